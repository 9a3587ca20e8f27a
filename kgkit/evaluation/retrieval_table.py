"""Turn rankings into the table of a retrieval benchmark: models beside what needs no model, task by task, with intervals over queries.

An interval is a percentile bootstrap over the queries of a task, from six queries on: fewer cannot give one that holds 95 times in
100. The mean of all tasks draws the queries of each task anew. A verdict draws the same queries for both: the difference in average
precision, with its interval.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.evaluation.intervals import ENOUGH, Interval, percentiles, resampled_means
from kgkit.evaluation.published import Beside, published_beside
from kgkit.evaluation.rankers import Rankings
from kgkit.evaluation.retrieval_bench import PosedTask, PosedTasks, RetrievalResult
from kgkit.evaluation.retrieval_metrics import Found, blind, by_query
from kgkit.evaluation.set_table import SET_COLUMNS, ReturnedSets, returned_sets, set_rows
from kgkit.evaluation.table import as_markdown
from kgkit.retrieval.pose import SEEN
from kgkit.retrieval.tasks import BENCHMARK
from kgkit.workspace import write_atomically

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

METRICS = ("HIT@1", "MAP@100", "NDCG@10")
MEAN = "mean"
"""The row of a ranker's means over tasks."""
RANDOM = "random (expected)"
_DECIDES = METRICS.index("MAP@100")
_SEED = 0
"""Of the draws of all intervals."""
TASK_COLUMNS = (
    "task",
    "queries",
    "of them tested",
    "items",
    "of them in tests only",
    "items per query",
)
_COLUMNS = ("task", "ranked by", *(f"{metric}, %" for metric in METRICS))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalScore:
    """One number in [0, 1]: the mean over `n` queries with its 95 % interval (None for less than six).

    `slice`: "" for all queries of the task; `pairs=all`, `some`, `none`: by how many of a query's pairs training has; `items=trained`,
    `items=new`: whether training has all of a query's relevant items. `task` is `mean` for the mean over tasks; its `n` counts tasks.
    """

    model: str
    task: str
    metric: str
    value: float
    n: int
    ci_low: float | None
    ci_high: float | None
    slice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A ranker: task -> values of its queries, in their order (n_queries, 3)."""

    name: str
    values: Mapping[str, "Floats"]
    result: RetrievalResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much better a model's MAP@100 is than a baseline's on the same queries; no interval for less than six."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The best baseline that a model is surely better than; None for none."""

    best: str | None
    against: Mapping[str, Difference]

    def as_json(self) -> dict[str, object]:
        """The verdict with every difference behind it."""
        return {
            "beats": self.best,
            "against": {
                name: {
                    "difference": one.value,
                    "ci_low": one.interval.low if one.interval else None,
                    "ci_high": one.interval.high if one.interval else None,
                }
                for name, one in self.against.items()
            },
        }


@dataclass(kw_only=True)
class RetrievalTable:
    """What is shown and written. `published`: what a paper reports, beside and never among ours; `sets`: of models alone."""

    posed: PosedTasks
    rows: Sequence[_Row]
    verdicts: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    published: Sequence[Beside] = ()
    sets: Sequence[ReturnedSets] = ()

    @cached_property
    def scores(self) -> list[RetrievalScore]:
        """Every number, by task, slice and ranker."""
        return list(_scores(self.rows, self.posed))

    def task_rows(self) -> list[tuple[str, ...]]:
        """How large the tasks are, as Table 1 of the embedding paper has it."""
        return [(name, *map(str, _size(one).values())) for name, one in self.posed.tasks.items()]

    def columns(self) -> tuple[str, ...]:
        """Those of `score_rows`."""
        return (*_COLUMNS, *(f"MAP@100, {slice_}" for slice_ in _shown_slices(self.scores)))

    def score_rows(self) -> list[tuple[str, ...]]:
        """Percentages with intervals, a line a task and ranker, means last."""
        slices = _shown_slices(self.scores)
        found = {(one.task, one.model, one.slice, one.metric): one for one in self.scores}
        lines = []
        for task in (*self.posed.tasks, MEAN):
            for row in self.rows:
                whole = [_cell(found.get((task, row.name, "", metric))) for metric in METRICS]
                parts = [
                    _cell(found.get((task, row.name, one, "MAP@100")), n=True) for one in slices
                ]
                lines.append((task, row.name, *whole, *parts))
        return lines

    def as_json(self) -> dict[str, object]:
        """The table as the command line prints it."""
        return {
            "benchmark": BENCHMARK,
            "split": self.posed.split,
            "holdout": self.posed.holdout,
            "tasks": {name: _size(one) for name, one in self.posed.tasks.items()},
            "left_out": self.posed.left_out,
            "scores": [asdict(score) for score in self.scores],
            "verdicts": {
                model: {task: verdict.as_json() for task, verdict in verdicts.items()}
                for model, verdicts in self.verdicts.items()
            },
            "returned_sets": [asdict(one) for one in self.sets],
            "remarks": self.remarks,
            "published": [beside.as_json() for beside in self.published],
        }

    def markdown(self) -> str:
        """Sizes, scores, remarks, and what papers report in tables of their own."""
        parts = [
            as_markdown(TASK_COLUMNS, self.task_rows()),
            as_markdown(self.columns(), self.score_rows()),
            as_markdown(SET_COLUMNS, set_rows(self.sets)) if self.sets else "",
            "\n".join(f"- {remark}" for remark in self.remarks),
        ]
        for beside in self.published:
            parts += [f"## {beside.standing}\n\n{beside.heading}"]
            parts.append(as_markdown(beside.columns, beside.rows))
        return "\n\n".join(part for part in parts if part) + "\n"

    def write(self, folder: Path) -> None:
        """table.md and scores.csv in `folder`."""
        out = io.StringIO()
        rows = [asdict(score) for score in self.scores]
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(folder / "scores.csv", out.getvalue().encode())
        write_atomically(folder / "table.md", self.markdown().encode())


def retrieval_table(
    posed: PosedTasks,
    without_model: Mapping[str, Mapping[str, Rankings]],
    results: Sequence[RetrievalResult],
) -> RetrievalTable:
    """The table of results beside what needs no model."""
    baselines = [_blind(posed)]
    baselines += [_row(name, rankings, posed) for name, rankings in without_model.items()]
    models = [
        _row(
            _label(result),
            {task: one.rankings for task, one in result.tasks.items()},
            posed,
            result,
        )
        for result in results
    ]
    found = RetrievalTable(
        posed=posed,
        rows=[*baselines, *models],
        published=published_beside(BENCHMARK),
        sets=returned_sets(posed, results),
    )
    for row in models:
        found.verdicts[row.name] = dict(_verdicts(row, baselines, posed))
    found.remarks = list(_remarks(found, results))
    return found


def _blind(posed: PosedTasks) -> _Row:
    values = {
        task: _array([blind(len(items), len(one.items)) for items in one.relevant.values()])
        for task, one in posed.tasks.items()
    }
    return _Row(name=RANDOM, values=values)


def _row(
    name: str,
    rankings: Mapping[str, Rankings],
    posed: PosedTasks,
    result: RetrievalResult | None = None,
) -> _Row:
    values = {
        task: _array(list(by_query(rankings[task], one.relevant).values()))
        for task, one in posed.tasks.items()
    }
    return _Row(name=name, values=values, result=result)


def _array(found: Sequence[Found]) -> "Floats":
    import numpy as np

    return np.array([[one.hit_at_1, one.map_at_100, one.ndcg_at_10] for one in found])


def _label(result: RetrievalResult) -> str:
    return f"{result.model} (contaminated)" if result.contaminated else result.model


def _scores(rows: Sequence[_Row], posed: PosedTasks) -> Iterator[RetrievalScore]:
    """Every ranker's numbers, task by task and slice by slice, on the same draws of queries; then the means over tasks."""
    import numpy as np

    values, drawn = [], []
    for seed, (task, one) in enumerate(posed.tasks.items(), start=_SEED):
        everything = np.concatenate([row.values[task] for row in rows], axis=1)
        for slice_, places in _slices(one).items():
            some = everything[places]
            means = resampled_means(some, seed=seed)
            if not slice_:
                values.append(some.mean(0))
                drawn.append(means)
            intervals = percentiles(means) if len(places) >= ENOUGH else None
            yield from _numbers(rows, task, some.mean(0), len(places), intervals, slice_)
    intervals = percentiles(np.mean(drawn, axis=0))
    yield from _numbers(rows, MEAN, np.mean(values, axis=0), len(values), intervals, "")


def _numbers(
    rows: Sequence[_Row],
    task: str,
    values: "Floats",
    n: int,
    intervals: Sequence[Interval] | None,
    slice_: str,
) -> Iterator[RetrievalScore]:
    """Three numbers a ranker, in the order of `rows`."""
    for place, (row, metric) in enumerate((row, metric) for row in rows for metric in METRICS):
        interval = intervals[place] if intervals else None
        yield RetrievalScore(
            model=row.name,
            task=task,
            metric=metric,
            value=float(values[place]),
            n=n,
            ci_low=interval.low if interval else None,
            ci_high=interval.high if interval else None,
            slice=slice_,
        )


def _slices(one: PosedTask) -> dict[str, list[int]]:
    """The places of a task's queries by slice, "" having all."""
    found: dict[str, list[int]] = {"": []}
    for test in (fold.test for fold in one.folds):
        trained = {item.id for item in test.items if item.trained}
        for query in test.queries:
            place = len(found[""])
            known = "trained" if test.relevant[query.id] <= trained else "new"
            for name in ("", f"pairs={test.seen[query.id]}", f"items={known}"):
                found.setdefault(name, []).append(place)
    order = ["", *(f"pairs={seen}" for seen in SEEN), "items=trained", "items=new"]
    return {name: found[name] for name in order if name in found}


def _shown_slices(scores: Sequence[RetrievalScore]) -> list[str]:
    """The slices that stand in the table: those by pairs, where a task has more than one, and new items."""
    names = {score.slice for score in scores}
    return [
        name for name in ("pairs=all", "pairs=some", "pairs=none", "items=new") if name in names
    ]


def _cell(score: RetrievalScore | None, *, n: bool = False) -> str:
    if score is None:
        return ""
    counted = f", of {score.n}" if n else ""
    if score.ci_low is None or score.ci_high is None:
        return f"{100 * score.value:.1f}{counted}"
    return f"{100 * score.value:.1f} [{100 * score.ci_low:.1f}, {100 * score.ci_high:.1f}]{counted}"


def _size(one: PosedTask) -> dict[str, int | float]:
    """How large a task is: in the order of TASK_COLUMNS."""
    return {
        "queries": one.queries,
        "tested": len(one.relevant),
        "items": len(one.items),
        "items_in_tests_only": sum(
            not any(item.trained for item in same)
            for same in zip(*(fold.test.items for fold in one.folds), strict=True)
        ),
        "items_per_query": round(one.pairs / one.queries, 1),
    }


def _verdicts(
    row: _Row, baselines: Sequence[_Row], posed: PosedTasks
) -> Iterator[tuple[str, Verdict]]:
    """Task by task, then on their mean: against every baseline at once, all on the same draws."""
    import numpy as np

    drawn, means = [], []
    for seed, task in enumerate(posed.tasks):
        mine = row.values[task][:, _DECIDES]
        gains = np.stack([mine - one.values[task][:, _DECIDES] for one in baselines], axis=1)
        drawn.append(resampled_means(gains, seed=_SEED + seed))
        means.append(gains.mean(0))
        yield task, _verdict(baselines, means[-1], drawn[-1] if len(mine) >= ENOUGH else None)
    yield MEAN, _verdict(baselines, np.mean(means, axis=0), np.mean(drawn, axis=0))


def _verdict(baselines: Sequence[_Row], gains: "Floats", drawn: "Floats | None") -> Verdict:
    intervals = percentiles(drawn) if drawn is not None else [None] * len(baselines)
    against = {
        one.name: Difference(value=float(gain), interval=interval)
        for one, gain, interval in zip(baselines, gains, intervals, strict=True)
    }
    beaten = [name for name, one in against.items() if one.interval and one.interval.low > 0]
    best = min(beaten, key=lambda name: against[name].value, default=None)
    return Verdict(best=best, against=against)


def _remarks(found: RetrievalTable, results: Sequence[RetrievalResult]) -> Iterator[str]:
    for name, why in found.posed.left_out.items():
        yield f"{name} is left out: {why}"
    for name, one in found.posed.tasks.items():
        if all({*fold.test.seen.values()} == {"none"} for fold in one.folds):
            yield f"{name}: no pair of {one.task.key.replace('_', ' ')} and item that is tested stands in training, so pair lookup has nothing to find"
    for model, verdicts in found.verdicts.items():
        yield from _said(model, verdicts)
    for result in results:
        if result.contaminated:
            yield f"{result.model} is contaminated: it has learned from {', '.join(result.contaminated)}"


def _said(model: str, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    """What a model surely beats, in MAP@100."""
    for task, verdict in verdicts.items():
        where = "the mean of all tasks" if task == MEAN else task
        if not any(one.interval for one in verdict.against.values()):
            yield f"{model}, {where}: too few queries to be sure of anything"
            continue
        if verdict.best is None:
            yield f"{model}, {where}: surely better than nothing that needs no model"
            continue
        one = verdict.against[verdict.best]
        low, high = (one.interval.low, one.interval.high) if one.interval else (0.0, 0.0)
        yield (
            f"{model}, {where}: MAP@100 beats {verdict.best} by {100 * one.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        )
