"""Turn a file of finetune/ with `sweeps` into runs of an embedder's recipe, and what they were measured at into a table.

A sweep varies one thing; each of its values is trained with every seed and measured alike. A run that is finished is read back
from its card. Embedding paper, section 5 (Figures 8 and 9).
"""

import csv
import io
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.intervals import ENOUGH, Interval, crossed_strata
from kgkit.evaluation.table import as_markdown
from kgkit.finetune.embedder.measured import MEAN, Precisions
from kgkit.finetune.embedder.recipe import EmbedderRecipe, read_embedder
from kgkit.finetune.recipe import NAME
from kgkit.finetune.recipe_files import find, read_as
from kgkit.workspace import write_atomically

if TYPE_CHECKING:
    from kgkit.evaluation.intervals import Floats

_SEED = 0
_COLUMNS = (
    "sweep", "value", "task", "seeds", "mean", "deviation", "difference", "ci_low", "ci_high",
)  # fmt: skip


class Sweep(BaseModel):
    """One thing that varies. `axis`: what it is, under the plot; `values`: value -> what differs from the recipe, by dotted names; `base`: the value that others are compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    axis: str
    seeds: list[int] = Field(min_length=1)
    base: str
    values: dict[str, dict[str, Any]] = Field(min_length=1)

    @model_validator(mode="after")
    def _base_is_a_value(self) -> "Sweep":
        if self.base not in self.values:
            raise ValueError(f"base: {self.base} is none of {', '.join(self.values)}")
        return self


class Ablations(BaseModel):
    """Sweeps over a recipe. `every_run`: what differs from it in all of them, by dotted names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    version: int
    title: str
    source: str
    recipe: str
    every_run: dict[str, Any]
    sweeps: dict[Annotated[str, Field(pattern=NAME)], Sweep] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A value of a sweep with a seed."""

    sweep: str
    value: str
    seed: int
    recipe: EmbedderRecipe
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """MAP@100 of a task (or their mean) for a value: mean over seeds, and its standard deviation over them (None for one seed).

    `difference`: how much better than the sweep's base with the same seeds (None for the base itself, and where it has other tasks); `interval`: its 95 % interval
    over seeds and queries (None for less than six queries).
    """

    sweep: str
    value: str
    task: str
    seeds: int
    mean: float
    deviation: float | None
    difference: float | None
    interval: Interval | None


def read_ablations(path: Path) -> Ablations:
    """The ablations in a file. Raises ContentError."""
    return read_as(path, Ablations)


def runs_of(
    ablations: Ablations, *, folder: Path, changes: Mapping[str, Any] | None = None
) -> list[Run]:
    """Every run, sweep after sweep; `changes` by dotted names in all of them. Raises ContentError, UsageError with the run named."""
    found = []
    path = find(ablations.recipe)
    for name, sweep in ablations.sweeps.items():
        for number, (value, differs) in enumerate(sweep.values.items()):
            for seed in sweep.seeds:
                said = {
                    **ablations.every_run,
                    **(changes or {}),
                    **differs,
                    "name": f"{ablations.name}-{name}-{number}-seed{seed}",
                    "seed": seed,
                }
                try:
                    recipe = read_embedder(path, said)
                except (ContentError, UsageError) as error:
                    raise type(error)(f"{ablations.name}, {name} {value}: {error}") from None
                where = folder / name / f"{number}-seed{seed}"
                found.append(Run(sweep=name, value=value, seed=seed, recipe=recipe, folder=where))
    sides = {run.recipe.held_out for run in found}
    if len(sides) > 1:
        raise UsageError(
            f"{ablations.name}: held_out differs between runs, which cannot be compared then; set it in every_run"
        )
    return found


def scores(
    ablations: Ablations, runs: Sequence[Run], precisions_of: Callable[[Run], Precisions]
) -> list[Score]:
    """What every value was measured at, task by task, the mean last."""
    found = []
    for name, sweep in ablations.sweeps.items():
        by_value: dict[str, list[Precisions]] = {value: [] for value in sweep.values}
        for run in runs:
            if run.sweep == name:
                by_value[run.value].append(precisions_of(run))
        arrays = {value: _arrays(of_seed) for value, of_seed in by_value.items()}
        for value, by_task in arrays.items():
            base = arrays[sweep.base] if value != sweep.base else None
            for task in by_task:
                beside = base if base and task in base else None
                found.append(_score(name, value, task, [task], by_task, beside))
            beside = base if base and base.keys() == by_task.keys() else None
            found.append(_score(name, value, MEAN, list(by_task), by_task, beside))
    return found


def _arrays(of_seed: Sequence[Precisions]) -> "dict[str, Floats]":
    """Task -> average precisions (seeds, queries), queries by id."""
    import numpy as np

    return {
        task: np.array([[each[task][query] for query in sorted(by_query)] for each in of_seed])
        for task, by_query in of_seed[0].items()
    }


def _score(
    sweep: str,
    value: str,
    name: str,
    tasks: Sequence[str],
    by_task: "Mapping[str, Floats]",
    base: "Mapping[str, Floats] | None",
) -> Score:
    of_seed = [
        statistics.fmean(float(by_task[task][seed].mean()) for task in tasks)
        for seed in range(len(by_task[tasks[0]]))
    ]
    difference, interval = None, None
    if base is not None:
        gains = [by_task[task] - base[task] for task in tasks]
        difference = statistics.fmean(float(each.mean()) for each in gains)
        if sum(each.shape[1] for each in gains) >= ENOUGH:
            interval = crossed_strata(gains, seed=_SEED)
    return Score(
        sweep=sweep,
        value=value,
        task=name,
        seeds=len(of_seed),
        mean=statistics.fmean(of_seed),
        deviation=statistics.stdev(of_seed) if len(of_seed) > 1 else None,
        difference=difference,
        interval=interval,
    )


def table(
    ablations: Ablations, found: Sequence[Score], sweep: str
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a sweep: a value a row, MAP@100 in % by task, with the deviation over seeds."""
    tasks = list(dict.fromkeys(one.task for one in found if one.sweep == sweep))
    cells = {(one.value, one.task): _cell(one) for one in found if one.sweep == sweep}
    said = ablations.sweeps[sweep]
    rows = [[value, *(cells[value, task] for task in tasks)] for value in said.values]
    return [said.axis, *tasks], rows


def differences(
    ablations: Ablations, found: Sequence[Score], sweep: str
) -> tuple[list[str], list[list[str]]]:
    """The same of how much better each value is than the sweep's base, with intervals over seeds and queries."""
    said = ablations.sweeps[sweep]
    tasks = list(dict.fromkeys(one.task for one in found if one.sweep == sweep))
    cells = {(one.value, one.task): _gain(one) for one in found if one.sweep == sweep}
    others = [value for value in said.values if value != said.base]
    return [f"beside {said.base}", *tasks], [
        [value, *(cells[value, task] for task in tasks)] for value in others
    ]


def write(ablations: Ablations, found: Sequence[Score], folder: Path, *, side: str) -> Path:
    """ablations.md and scores.csv in `folder`; the path of the first."""
    parts = [
        f"# {ablations.title}",
        f"MAP@100 in % on the {side} side: mean over seeds, and standard deviation over them.",
    ]
    for name, sweep in ablations.sweeps.items():
        columns, rows = table(ablations, found, name)
        parts += [
            f"## {sweep.title}",
            f"{len(sweep.seeds)} seeds a value.",
            as_markdown(columns, rows),
            f"Points more than {sweep.base}, with 95 % intervals over seeds and queries (six queries or more):",
            as_markdown(*differences(ablations, found, name)),
        ]
    path = folder / "ablations.md"
    write_atomically(path, ("\n\n".join(part.strip() for part in parts) + "\n").encode())
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(list(_COLUMNS))
    writer.writerows(_row(one) for one in found)
    write_atomically(folder / "scores.csv", out.getvalue().encode())
    return path


def draw(ablations: Ablations, found: Sequence[Score], folder: Path) -> list[Path]:
    """A chart for each sweep, a panel a task, as Figures 8 and 9 have it; their paths. Raises ImportError without matplotlib."""
    from matplotlib import rc_context

    from kgkit.corpora.drawing import OURS, STYLE, new_figure, save, write_below

    drawn = []
    for name, sweep in ablations.sweeps.items():
        of_task: dict[str, dict[str, Score]] = {}
        for one in found:
            if one.sweep == name:
                of_task.setdefault(one.task, {})[one.value] = one
        places = range(len(sweep.values))
        with rc_context(STYLE):  # type: ignore[arg-type]
            figure, panels = new_figure(1.2 + 1.1 * len(of_task), rows=len(of_task))
            for (task, scored), axes in zip(of_task.items(), panels, strict=True):
                line = [scored[value] for value in sweep.values]
                heights = [100 * one.mean for one in line]
                spread = [100 * (one.deviation or 0.0) for one in line]
                axes.errorbar(places, heights, yerr=spread, color=OURS, marker="o", capsize=3)
                axes.set_title(task, fontsize=10.5)
                axes.set_xticks(places, [])
            panels[-1].set_xticks(places, list(sweep.values), rotation=30, ha="right")
            panels[-1].set_xlabel(sweep.axis)
            figure.suptitle(sweep.title, x=0.02, ha="left", fontweight="bold", fontsize=12.0)
            write_below(
                figure, "MAP@100 in %: mean over seeds, bars: standard deviation over them."
            )
            drawn += save(figure, folder, name)
    return drawn


def _cell(one: Score) -> str:
    if one.deviation is None:
        return f"{100 * one.mean:.1f}"
    return f"{100 * one.mean:.1f} ± {100 * one.deviation:.1f}"


def _gain(one: Score) -> str:
    if one.difference is None:
        return ""
    gain = f"{100 * one.difference:+.1f}"
    if one.interval is None:
        return gain
    return f"{gain} [{100 * one.interval.low:+.1f}, {100 * one.interval.high:+.1f}]"


def _row(one: Score) -> list[object]:
    low, high = (one.interval.low, one.interval.high) if one.interval else (None, None)
    numbers = (one.mean, one.deviation, one.difference, low, high)
    rounded = ["" if number is None else round(number, 6) for number in numbers]
    return [one.sweep, one.value, one.task, one.seeds, *rounded]
