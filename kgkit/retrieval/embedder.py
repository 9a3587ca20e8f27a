"""Turn texts into the vectors of a sentence-transformers directory, with the prompts that the directory itself keeps for a task.

`Embedder.search` is how others rank with it: a task, a query, and what is nearest.

Which prompt stands before a text is what mteb would take: `FM2S-query`, `FM2S`, `Retrieval-query`, `Retrieval`, `query`; a directory
that keeps none of these is asked with the plain text. So its numbers here and in mteb are the same.
"""

import hashlib
import importlib.util
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kgkit.errors import KgkitError, UsageError
from kgkit.graph.store import GraphStore
from kgkit.retrieval.pose import items_of
from kgkit.retrieval.tasks import Task, read_tasks
from kgkit.retrieval.texts import prompt_names, query_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

PREFIX = "embedder:"
CARD = "kgkit-run.yaml"
"""What kgkit writes beside the weights of a model that it trained; no part of the model."""
_MARK = "modules.json"
_AT_ONCE = 64
_DIGITS = 6
"""Of a score: the rest hangs on which texts were read together."""
Kind = Literal["query", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An item of a task and how near it is to the query by the model's own similarity."""

    id: str
    text: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """A loaded model. `identity` is its name with the sha256 of its files. `graph` is where searches find a task's items."""

    name: str
    identity: str
    directory: Path
    model: Any
    graph: GraphStore | None = None
    _known: dict[tuple[str, str], "Floats"] = field(default_factory=dict, repr=False, compare=False)
    """(task, text of an item) -> its vector."""

    def prompt(self, task: Task | None, kind: Kind) -> str:
        """What the directory keeps to stand before queries, or items, of the task (None: of any retrieval); "" for nothing."""
        kept = self.model.prompts or {}
        own = (prompt_names(task)[0 if kind == "query" else 1], task.name) if task else ()
        for name in (*own, f"Retrieval-{kind}", "Retrieval", kind):
            if name in kept:
                return kept[name] or ""
        return ""

    def search(
        self,
        task: Task | str,
        query: str | Mapping[str, str],
        candidates: Mapping[str, str] | None = None,
        k: int = 10,
    ) -> list[Found]:
        """The `k` items nearest to the query, the nearest first; equally near ones (to six digits) by id.

        `task`: a task or its name. `query`: its text, or its fields (`{"asset": "pump", "failure_mode": "cavitation"}`). `candidates`:
        id -> text; None for all items of the task in the graph. Vectors of items are kept between calls. Raises UsageError for an
        unknown task or field, an empty query, k < 1, or no candidates where the embedder was opened without a graph.
        """
        import numpy as np

        task = read_tasks([task])[0] if isinstance(task, str) else task
        asked = _asked(task, query)
        if k < 1:
            raise UsageError(f"search: k={k}; ask for one item or more")
        if candidates is None:
            if self.graph is None:
                raise UsageError("search: give candidates, or open the embedder with a graph")
            candidates = items_of(task, self.graph)
        if not candidates:
            return []
        of_items = self._items(task, candidates.values())
        of_query = self._vectors(task, "query", [asked])
        [scores] = np.asarray(self.model.similarity(of_query, of_items), dtype=np.float64)
        found = [
            Found(id=id_, text=text, score=round(float(score), _DIGITS))
            for (id_, text), score in zip(candidates.items(), scores, strict=True)
        ]
        return sorted(found, key=lambda one: (-one.score, one.id))[:k]

    def _items(self, task: Task, texts: Collection[str]) -> "Floats":
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if (task.name, text) not in self._known]
        if new:
            vectors = np.asarray(self._vectors(task, "document", new))
            self._known.update(
                ((task.name, text), one) for text, one in zip(new, vectors, strict=True)
            )
        return np.stack([self._known[task.name, text] for text in texts])

    def documents(self, texts: Sequence[str]) -> "Floats":
        """The vectors of texts as documents of any retrieval: (n_texts, dimensions)."""
        import numpy as np

        return np.asarray(self._vectors(None, "document", texts))

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


def _asked(task: Task, query: str | Mapping[str, str]) -> str:
    """The text of a query."""
    if not isinstance(query, str):
        if unknown := sorted(set(query) - set(task.fields)):
            raise UsageError(
                f"search: {task.name} has no field {unknown[0]}; choose from {', '.join(task.fields)}"
            )
        query = query_text(task, query)
    if not query.strip():
        raise UsageError(f"search: the query of {task.name} is empty")
    return query


def is_embedder(uri: str) -> bool:
    """Whether a --model names one: `embedder:DIR`, or a sentence-transformers directory."""
    return uri.startswith(PREFIX) or (Path(uri) / _MARK).is_file()


def open_embedder(uri: str, *, cache_dir: Path, graph: GraphStore | None = None) -> Embedder:
    """Load `embedder:DIR`, `DIR`, or `embedder:NAME` of what `kgkit teacher pull` fetched; to search in `graph`.

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
        graph=graph,
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
