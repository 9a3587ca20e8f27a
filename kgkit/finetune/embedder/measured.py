"""Rank the items of posed tasks with a model in memory: average precision by query, MAP@100 by task, and how much better it became."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from kgkit.errors import KgkitError
from kgkit.evaluation.intervals import ENOUGH, percentiles, resampled_means
from kgkit.evaluation.retrieval_bench import PosedTasks, RetrievalResult
from kgkit.evaluation.retrieval_metrics import by_query, rank
from kgkit.retrieval.embedder import Embedder
from kgkit.retrieval.pose import Posed
from kgkit.workspace import write_atomically

MEAN = "mean"
_SEED = 0

Precisions = Mapping[str, Mapping[str, float]]
"""Task -> query -> average precision at 100."""


def precisions(model: Any, sides: Mapping[str, Posed]) -> dict[str, dict[str, float]]:  # noqa: ANN401 - a SentenceTransformer
    """Task -> query -> average precision at 100, of the tasks that have a query."""
    embedder = Embedder(name="", identity="", directory=Path(), model=model)
    found = {}
    for name, posed in sides.items():
        if posed.queries:
            scores = embedder.scores(
                posed.task, [one.text for one in posed.queries], [one.text for one in posed.items]
            )
            rankings = rank(scores, [item.id for item in posed.items])
            ranked = dict(zip((query.id for query in posed.queries), rankings, strict=True))
            found[name] = _by_query(ranked, posed.relevant)
    return found


def kept_precisions(result: RetrievalResult, posed: PosedTasks) -> dict[str, dict[str, float]]:
    """The same of rankings that were kept."""
    return {
        name: _by_query(result.tasks[name].rankings, one.relevant)
        for name, one in posed.tasks.items()
    }


def _by_query(
    rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]]
) -> dict[str, float]:
    return {query: one.map_at_100 for query, one in by_query(rankings, relevant).items()}


def maps(found: Precisions) -> dict[str, float]:
    """Task -> MAP@100, and their mean. Empty without a task."""
    means = {task: fmean(of_query.values()) for task, of_query in found.items()}
    return {**means, MEAN: fmean(means.values())} if means else {}


def gained(before: Precisions, after: Precisions) -> list[dict[str, Any]]:
    """MAP@100 before and after of each task, with the interval of the difference over its queries (none for less than six)."""
    return [
        {"task": task, **_gain(list(of_query.values()), [after[task][each] for each in of_query])}
        for task, of_query in before.items()
    ]


def write_queries(path: Path, sides: Mapping[str, tuple[Precisions, Precisions]]) -> None:
    """Each query's average precision before and after training (side -> both), a line a query."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["side", "task", "query", "before", "after"])
    for side, (before, after) in sides.items():
        for task, of_query in before.items():
            writer.writerows(
                [side, task, query, round(value, 6), round(after[task][query], 6)]
                for query, value in sorted(of_query.items())
            )
    write_atomically(path, out.getvalue().encode())


def read_queries(path: Path) -> dict[str, tuple[Precisions, Precisions]]:
    """What `write_queries` wrote. Raises KgkitError where it is missing or something else."""
    again = "delete that folder, and the run is made again"
    found: dict[str, tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
            both = found.setdefault(row["side"], ({}, {}))
            for when, said in zip(both, (row["before"], row["after"]), strict=True):
                when.setdefault(row["task"], {})[row["query"]] = float(said)
    except FileNotFoundError:
        raise KgkitError(f"{path}: missing; {again}") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        found = {}
    if not found:
        raise KgkitError(f"{path}: is not as it was written; {again}")
    return dict(found)


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
