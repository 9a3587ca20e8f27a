"""An embedder without weights, for tests of what is done with its vectors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kgkit.names import plain
from kgkit.retrieval.embedder import Embedder


class Words:
    """Texts -> counts of their words, by a hash; with prompts and similarity as sentence-transformers has them."""

    def __init__(self, prompts: dict[str, str] | None = None) -> None:
        self.prompts = prompts or {}
        self.read: list[str] = []

    def encode_query(self, texts: Sequence[str], *, prompt: str, **_: object) -> np.ndarray:
        return np.array([self._vector(prompt + text) for text in texts])

    encode_document = encode_query

    def similarity(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(some, axis=1)[:, None] * np.linalg.norm(others, axis=1)[None]
        return np.asarray((some @ others.T) / lengths)

    def _vector(self, text: str) -> np.ndarray:
        self.read.append(text)
        found = np.full(64, 0.01)
        for word in plain(text).replace(",", " ").replace(":", " ").split():
            found[hashlib.sha256(word.encode()).digest()[0] % 64] += 1
        return found


def words(folder: Path, *, prompts: dict[str, str] | None = None) -> Embedder:
    """That embedder, as if it lay in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text("[]")
    return Embedder(
        name=folder.name, identity=f"{folder.name}@words", directory=folder, model=Words(prompts)
    )
