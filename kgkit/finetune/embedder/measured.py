"""Rank the items of posed tasks with a model in memory: MAP@100 by task, and how much better it became."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kgkit.evaluation.intervals import ENOUGH, percentiles, resampled_means
from kgkit.evaluation.retrieval_bench import PosedTasks, RetrievalResult
from kgkit.evaluation.retrieval_metrics import by_query, rank, retrieval
from kgkit.retrieval.embedder import Embedder
from kgkit.retrieval.pose import Posed

MEAN = "mean"
_SEED = 0


def maps(model: Any, sides: Mapping[str, Posed]) -> dict[str, float]:  # noqa: ANN401 - a SentenceTransformer
    """Task -> MAP@100 of those that have a query, and their mean. Empty where none has."""
    embedder = Embedder(name="", identity="", directory=Path(), model=model)
    found = {}
    for name, posed in sides.items():
        if posed.queries:
            scores = embedder.scores(
                posed.task, [one.text for one in posed.queries], [one.text for one in posed.items]
            )
            rankings = rank(scores, [item.id for item in posed.items])
            ranked = dict(zip((query.id for query in posed.queries), rankings, strict=True))
            found[name] = retrieval(ranked, posed.relevant).map_at_100
    if found:
        found[MEAN] = sum(found.values()) / len(found)
    return found


def gained(
    posed: PosedTasks, before: RetrievalResult, after: RetrievalResult
) -> list[dict[str, Any]]:
    """MAP@100 before and after of each task, with the interval of the difference over its queries (none for less than six)."""
    return [
        {
            "task": name,
            **_gain(
                _precisions(before, name, one.relevant), _precisions(after, name, one.relevant)
            ),
        }
        for name, one in posed.tasks.items()
    ]


def _precisions(
    result: RetrievalResult, task: str, relevant: Mapping[str, frozenset[str]]
) -> list[float]:
    found = by_query(result.tasks[task].rankings, relevant)
    return [found[query].map_at_100 for query in sorted(found)]


def _gain(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    import numpy as np

    gains = np.array(after) - np.array(before)
    interval = None
    if len(gains) >= ENOUGH:
        (interval,) = percentiles(resampled_means(gains[:, None], seed=_SEED))
    return {
        "queries": len(gains),
        "before": round(float(np.mean(before)), 4),
        "after": round(float(np.mean(after)), 4),
        "difference": round(float(gains.mean()), 4),
        "ci_low": round(interval.low, 4) if interval else None,
        "ci_high": round(interval.high, 4) if interval else None,
    }
