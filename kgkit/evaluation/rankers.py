"""Rank a task's items without any trained model, from the training side of the task: what every embedder must be seen beside.

The formulas are those of the question benchmarks (kgkit/questions/baselines.py). A pair is (the query's key, item), it holds where the item is
relevant; a training query and any item of training are a pair that was seen. Equal rates: by the items' ids.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from kgkit.errors import KgkitError
from kgkit.evaluation.retrieval_metrics import bm25, rank
from kgkit.questions.baselines import COUNTS_BELOW, KERNEL_WIDTH, Embed, word_overlap
from kgkit.retrieval.pose import Posed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Ranker = Literal[
    "BM25", "popularity", "pair lookup", "token kernel", "semantic kernel", "MiniLM, untuned"
]
RANKERS: tuple[Ranker, ...] = ("BM25", "popularity", "pair lookup", "token kernel")
WITH_ENCODER: tuple[Ranker, ...] = ("semantic kernel", "MiniLM, untuned")
"""These need an embedding of the names."""
Rankings = Mapping[str, Sequence[str]]
_HALF = 0.5


def require_bm25(what: str) -> None:
    """Raise KgkitError where bm25s is missing, without importing it."""
    if importlib.util.find_spec("bm25s") is None:
        raise KgkitError(f'{what} needs bm25s: pip install "kgkit[evaluation]", or bm25s alone')


def ranked(ranker: Ranker, train: Posed, test: Posed, *, embed: Embed | None) -> Rankings:
    """The items of `test` for each of its queries, best first, at most 100. Those of WITH_ENCODER need `embed`."""
    texts = {item.id: item.text for item in test.items}
    if ranker == "BM25":
        return bm25({query.id: query.text for query in test.queries}, texts)
    if ranker == "MiniLM, untuned":
        scores = _cosines(embed, [query.text for query in test.queries], list(texts.values()))
    else:
        scores = rates(ranker, train, test, embed=embed)
    found = rank(scores, list(texts))
    return dict(zip((query.id for query in test.queries), found, strict=True))


def rates(ranker: Ranker, train: Posed, test: Posed, *, embed: Embed | None) -> "Floats":
    """How likely each item is relevant to each query, in (0, 1): (n_queries, n_items) of `test`."""
    import numpy as np

    keys = sorted({query.key for query in train.queries})
    items = [item.id for item in train.items]
    held, asked = _counts(train, keys, items)
    base = held.sum() / asked.sum() if asked.any() else _HALF
    at = {item.id: place for place, item in enumerate(test.items)}
    places = [at[item] for item in items]
    popularity = np.full(len(test.items), base)
    popularity[places] = _smoothed(held.sum(0), asked.sum(0), base)
    wanted = [query.key for query in test.queries]
    if ranker == "popularity":
        return np.tile(popularity, (len(wanted), 1))
    left: Floats
    right: Floats
    if ranker == "pair lookup":
        left = np.array([[float(key == one) for one in keys] for key in wanted])
        right = np.array([[float(item.id == one) for one in items] for item in test.items])
    else:
        like = _likeness(ranker, embed)
        left = like(wanted, keys)
        right = like([item.text for item in test.items], [item.text for item in train.items])
    left, right = left.reshape(len(wanted), len(keys)), right.reshape(len(at), len(items))
    return _smoothed(left @ held @ right.T, left @ asked @ right.T, popularity)


def _counts(train: Posed, keys: Sequence[str], items: Sequence[str]) -> "tuple[Floats, Floats]":
    """How often each pair holds in training, and how often it was seen: (n_keys, n_items) each."""
    import numpy as np

    held, asked = np.zeros((len(keys), len(items))), np.zeros((len(keys), len(items)))
    row = {key: place for place, key in enumerate(keys)}
    column = {item: place for place, item in enumerate(items)}
    for query in train.queries:
        asked[row[query.key]] += 1
        for item in train.relevant[query.id]:
            held[row[query.key], column[item]] += 1
    return held, asked


def _smoothed(held: "Floats", asked: "Floats", below: "Floats | float") -> "Floats":
    smoothed: Floats = (held + COUNTS_BELOW * below) / (asked + COUNTS_BELOW)
    return smoothed


def _likeness(
    kernel: Ranker, embed: Embed | None
) -> "Callable[[Sequence[str], Sequence[str]], Floats]":
    """Names and names -> the weight of each pair of them: (n, m)."""
    import numpy as np

    if kernel == "token kernel":
        return lambda some, others: np.array(
            [[word_overlap(one, other) ** 3 for other in others] for one in some]
        )
    return lambda some, others: np.exp((_cosines(embed, some, others) - 1) / KERNEL_WIDTH)


def _cosines(embed: Embed | None, some: Sequence[str], others: Sequence[str]) -> "Floats":
    import numpy as np

    if embed is None:
        raise ValueError("this ranker compares names by their embeddings")
    return np.asarray(embed(some), dtype=np.float64) @ np.asarray(embed(others), np.float64).T
