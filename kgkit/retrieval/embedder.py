"""Turn texts into the vectors of a sentence-transformers directory, with the prompts that the directory itself keeps for a task.

Which prompt stands before a text is what mteb would take: `FM2S-query`, `FM2S`, `Retrieval-query`, `Retrieval`, `query`; a directory
that keeps none of these is asked with the plain text. So its numbers here and in mteb are the same.
"""

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kgkit.errors import KgkitError, UsageError
from kgkit.retrieval.tasks import Task
from kgkit.retrieval.texts import prompt_names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

PREFIX = "embedder:"
CARD = "kgkit-run.yaml"
"""What kgkit writes beside the weights of a model that it trained; no part of the model."""
_MARK = "modules.json"
_AT_ONCE = 64
Kind = Literal["query", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """A loaded model. `identity` is its name with the sha256 of its files."""

    name: str
    identity: str
    directory: Path
    model: Any

    def prompt(self, task: Task | None, kind: Kind) -> str:
        """What the directory keeps to stand before queries, or items, of the task (None: of any retrieval); "" for nothing."""
        kept = self.model.prompts or {}
        own = (prompt_names(task)[0 if kind == "query" else 1], task.name) if task else ()
        for name in (*own, f"Retrieval-{kind}", "Retrieval", kind):
            if name in kept:
                return kept[name] or ""
        return ""

    def scores(self, task: Task | None, queries: Sequence[str], items: Sequence[str]) -> "Floats":
        """How near each item is to each query by the model's own similarity: (n_queries, n_items)."""
        import numpy as np

        of_queries = self._vectors(task, "query", queries)
        of_items = self._vectors(task, "document", items)
        return np.asarray(self.model.similarity(of_queries, of_items), dtype=np.float64)

    def _vectors(self, task: Task | None, kind: Kind, texts: Sequence[str]) -> object:
        encode = self.model.encode_query if kind == "query" else self.model.encode_document
        prompt = self.prompt(task, kind)
        return encode(list(texts), prompt=prompt, batch_size=_AT_ONCE, show_progress_bar=False)


def is_embedder(uri: str) -> bool:
    """Whether a --model names one: `embedder:DIR`, or a sentence-transformers directory."""
    return uri.startswith(PREFIX) or (Path(uri) / _MARK).is_file()


def open_embedder(uri: str, *, cache_dir: Path) -> Embedder:
    """Load `embedder:DIR`, `DIR`, or `embedder:NAME` of what `kgkit teacher pull` fetched.

    Raises UsageError where there is no such directory, KgkitError where sentence-transformers is missing or cannot load it.
    """
    directory = find_embedder(uri, cache_dir=cache_dir)
    if importlib.util.find_spec("sentence_transformers") is None:
        raise KgkitError(
            'an embedder needs sentence-transformers: pip install "kgkit[evaluation]", or sentence-transformers alone'
        )
    from sentence_transformers import SentenceTransformer

    from kgkit.teacher.pull import quiet_transformers

    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    with quiet_transformers():
        try:
            model = SentenceTransformer(str(directory), local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            said = " ".join(str(error).split())
            raise KgkitError(f"{directory} cannot be loaded: {said}; save it again") from None
    return Embedder(
        name=directory.name,
        identity=f"{directory.name}@sha256:{_sha256(directory)}",
        directory=directory,
        model=model,
    )


def find_embedder(uri: str, *, cache_dir: Path) -> Path:
    """The directory that `uri` means, without loading it. Raises UsageError."""
    said = uri.removeprefix(PREFIX)
    for directory in (Path(said), cache_dir / "models" / said):
        if said and (directory / _MARK).is_file():
            return directory.resolve()
    raise UsageError(
        f"--model {uri}: {said or 'the empty name'} is no sentence-transformers directory (it has no {_MARK}); "
        "name one, or embedder:minilm after `kgkit teacher pull minilm`"
    )


def _sha256(directory: Path) -> str:
    """Over names and content of all files but kgkit's own card."""
    whole = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        if path.name != CARD:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(directory).as_posix()} {content}\n".encode())
    return whole.hexdigest()
