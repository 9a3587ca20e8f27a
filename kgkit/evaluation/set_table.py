"""Turn learned cut-offs into a table: precision, recall and F1 of what is returned, beside a fixed number of items.

Intervals over queries, as in kgkit/evaluation/retrieval_table.py; a gain draws the same queries for both rules.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgkit.evaluation.cut_off import RULES, set_score
from kgkit.evaluation.intervals import ENOUGH, Interval, percentiles, resampled_means
from kgkit.evaluation.retrieval_bench import PosedTasks, RetrievalResult, TaskRankings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MEAN = "mean"
FIXED = "first 10"
"""What a search returns unless it is told otherwise."""
_FIXED_K = 10
_BESIDE = RULES[0]
"""The rule that gains are told against."""
SET_COLUMNS = (
    "task",
    "returned by",
    "model",
    "learned value",
    "precision, %",
    "recall, %",
    "F1, %",
    f"F1 less that of {_BESIDE}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedSets:
    """Means over the `n` tested queries of a task, in [0, 1]; of the mean over tasks `n` counts tasks. No interval for less than six.

    `value`: k, a score, or a distance from the best score; None for a fixed number and for the mean. `gain`: F1 less that of the
    first k, k learned as well.
    """

    model: str
    task: str
    rule: str
    value: float | None
    n: int
    precision: float
    recall: float
    f1: float
    ci_low: float | None
    ci_high: float | None
    gain: float
    gain_low: float | None
    gain_high: float | None


def returned_sets(posed: PosedTasks, results: Sequence[RetrievalResult]) -> list[ReturnedSets]:
    """The rows of every model that has learned cut-offs: rule by rule for each task, then for the mean of these tasks."""
    return [row for result in results for row in _of_model(posed, result)]


def set_rows(sets: Sequence[ReturnedSets]) -> list[tuple[str, ...]]:
    """The table as text, in the order of SET_COLUMNS."""
    return [
        (
            one.task,
            one.rule,
            one.model,
            "" if one.value is None else f"{one.value:.3g}",
            f"{100 * one.precision:.1f}",
            f"{100 * one.recall:.1f}",
            f"{100 * one.f1:.1f}{_between(one.ci_low, one.ci_high)}",
            ""
            if one.rule == _BESIDE
            else f"{100 * one.gain:+.1f}{_between(one.gain_low, one.gain_high)}",
        )
        for one in sets
    ]


def _of_model(posed: PosedTasks, result: RetrievalResult) -> Iterator[ReturnedSets]:
    import numpy as np

    drawn: dict[str, list[Floats]] = {}
    means: dict[str, list[Floats]] = {}
    for seed, (task, one) in enumerate(result.tasks.items()):
        if not one.cut_offs:
            continue
        values = {rule: _values(posed, task, one, count) for rule, count in _counts(one)}
        for rule, found in values.items():
            both = np.column_stack([found, found[:, -1] - values[_BESIDE][:, -1]])
            draws = resampled_means(both, seed=seed)
            drawn.setdefault(rule, []).append(draws)
            means.setdefault(rule, []).append(both.mean(0))
            value = next((cut.value for name, cut in one.cut_offs.items() if name == rule), None)
            intervals = percentiles(draws) if len(found) >= ENOUGH else None
            yield _row((result.model, task, rule), value, len(found), both.mean(0), intervals)
    for rule, of_tasks in means.items():
        intervals = percentiles(np.mean(drawn[rule], axis=0))
        mean = np.mean(of_tasks, axis=0)
        yield _row((result.model, MEAN, rule), None, len(of_tasks), mean, intervals)


def _counts(one: TaskRankings) -> Iterator[tuple[str, Callable[[str], int]]]:
    """Rule -> how many items it returns for a query."""
    yield FIXED, lambda _: _FIXED_K
    for rule, cut in one.cut_offs.items():
        yield rule, cut.returned.__getitem__


def _values(
    posed: PosedTasks, task: str, one: TaskRankings, count: Callable[[str], int]
) -> "Floats":
    """Precision, recall and F1 of each tested query: (n_queries, 3)."""
    import numpy as np

    found = [
        set_score(one.rankings[query][: count(query)], relevant)
        for query, relevant in posed.tasks[task].relevant.items()
    ]
    return np.array([[each.precision, each.recall, each.f1] for each in found])


def _row(
    names: tuple[str, str, str],
    value: float | None,
    n: int,
    mean: "Floats",
    intervals: Sequence[Interval] | None,
) -> ReturnedSets:
    model, task, rule = names
    of_f1, of_gain = (intervals[2], intervals[3]) if intervals else (None, None)
    precision, recall, f1, gain = map(float, mean)
    return ReturnedSets(
        model=model,
        task=task,
        rule=rule,
        value=value,
        n=n,
        precision=precision,
        recall=recall,
        f1=f1,
        ci_low=of_f1.low if of_f1 else None,
        ci_high=of_f1.high if of_f1 else None,
        gain=gain,
        gain_low=of_gain.low if of_gain else None,
        gain_high=of_gain.high if of_gain else None,
    )


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
