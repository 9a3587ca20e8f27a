"""Turn rankings into HIT@1, MAP@100 and NDCG@10 where a query has several relevant items, and texts into BM25's rankings. Pure.

Items of equal scores stand in the order of their ids (trec_eval turns that order round). All numbers are means over queries in [0, 1].
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgkit.errors import UsageError
from kgkit.names import plain

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DEPTH = 100
"""So many items of a ranking count."""
_NDCG_DEPTH = 10
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")
"""A word, or one Chinese character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How well one query's ranking finds what is relevant to it."""

    hit_at_1: float
    map_at_100: float
    ndcg_at_10: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How well rankings find what is relevant, as means over `queries` queries. Embedding paper, Table 3."""

    queries: int
    hit_at_1: float
    map_at_100: float
    ndcg_at_10: float


def retrieval(
    rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]]
) -> Retrieval:
    """Score rankings (query id -> item ids, best first) by what is relevant to each query: the means of `by_query`."""
    found = by_query(rankings, relevant).values()
    return Retrieval(
        queries=len(found),
        hit_at_1=math.fsum(one.hit_at_1 for one in found) / len(found),
        map_at_100=math.fsum(one.map_at_100 for one in found) / len(found),
        ndcg_at_10=math.fsum(one.ndcg_at_10 for one in found) / len(found),
    )


def by_query(
    rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]]
) -> dict[str, Found]:
    """Score each query's ranking (item ids, best first) by what is relevant to it.

    The queries are those of `relevant` that have a relevant item; one without a ranking found nothing. Average precision and ideal
    gain count all relevant items of a query, found or not, as trec_eval's map_cut_100 and ndcg_cut_10 do. Raises UsageError
    without a query, and where a ranking names an item twice.
    """
    wanted = {query: frozenset(items) for query, items in relevant.items() if items}
    if not wanted:
        raise UsageError("no query has a relevant item; check the qrels")
    scored: dict[str, Found] = {}
    for query, items in wanted.items():
        ranking = list(rankings.get(query, ()))
        if len(set(ranking)) < len(ranking):
            raise UsageError(f"the ranking of {query} names an item twice; rank each item once")
        found = [item in items for item in ranking[:DEPTH]]
        scored[query] = Found(
            hit_at_1=float(found[:1] == [True]),
            map_at_100=_average_precision(found, len(items)),
            ndcg_at_10=_gain(found[:_NDCG_DEPTH]) / _ideal_gain(len(items)),
        )
    return scored


def blind(relevant: int, items: int) -> Found:
    """What is expected of a ranking in random order: `relevant` of `items` items are relevant."""
    share = relevant / items
    others = (relevant - 1) / (items - 1) if items > 1 else 0.0
    precisions = ((1 + (place - 1) * others) / place for place in range(1, min(DEPTH, items) + 1))
    gain = share * _gain([True] * min(items, _NDCG_DEPTH))
    return Found(
        hit_at_1=share,
        map_at_100=math.fsum(precisions) / items,
        ndcg_at_10=gain / _ideal_gain(relevant),
    )


def rank(scores: "npt.NDArray[np.floating]", items: Sequence[str]) -> list[list[str]]:
    """The best 100 items of each row of `scores` (n_queries, n_items), best first. Raises UsageError if a score is no number."""
    import numpy as np

    if np.isnan(scores).any():
        raise UsageError("a score is NaN: the model diverged, or its weights are broken")
    by_id = np.array(sorted(range(len(items)), key=items.__getitem__), dtype=np.intp)
    order = np.argsort(-scores[:, by_id], axis=1, kind="stable")[:, :DEPTH]
    return [[items[at] for at in row] for row in by_id[order]]


def bm25(queries: Mapping[str, str], items: Mapping[str, str]) -> dict[str, list[str]]:
    """Rank items (id -> text) for each query (id -> text) by BM25 as Lucene has it (k1 = 1.5, b = 0.75), without stop words or stems.

    Items that share no word with the query are not found, so that they owe nothing to their ids.
    """
    import bm25s

    ids = sorted(items)
    index = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    index.index([_WORD.findall(plain(items[id_])) for id_ in ids], show_progress=False)
    found: dict[str, list[str]] = {}
    for query, text in queries.items():
        asked = _WORD.findall(plain(text))
        scores = index.get_scores(asked) if asked else []
        ranking = sorted(
            (-float(score), id_) for score, id_ in zip(scores, ids, strict=False) if score > 0
        )
        found[query] = [id_ for _, id_ in ranking[:DEPTH]]
    return found


def _average_precision(found: Sequence[bool], relevant: int) -> float:
    hits, total = 0, 0.0
    for place, hit in enumerate(found, start=1):
        hits += hit
        total += hits / place if hit else 0.0
    return total / relevant


def _ideal_gain(relevant: int) -> float:
    return _gain([True] * min(relevant, _NDCG_DEPTH))


def _gain(found: Sequence[bool]) -> float:
    return math.fsum(1 / math.log2(place + 1) for place, hit in enumerate(found, start=1) if hit)
