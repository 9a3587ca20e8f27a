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
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.table import as_markdown
from kgkit.finetune.embedder.measured import MEAN
from kgkit.finetune.embedder.recipe import EmbedderRecipe, read_embedder
from kgkit.finetune.recipe import NAME, find, read_as
from kgkit.workspace import write_atomically


class Sweep(BaseModel):
    """One thing that varies. `axis`: what it is, under the plot; `values`: value -> what differs from the recipe, by dotted names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    axis: str
    seeds: list[int] = Field(min_length=1)
    values: dict[str, dict[str, Any]] = Field(min_length=1)


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
    """MAP@100 of a task (or their mean) for a value: mean over seeds, and its standard deviation over them (None for one seed)."""

    sweep: str
    value: str
    task: str
    seeds: int
    mean: float
    deviation: float | None


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


def scores(runs: Sequence[Run], card_of: Callable[[Run], Mapping[str, Any]]) -> list[Score]:
    """What every value was measured at, task by task, the mean last. On the held-out side where the runs rank it, else on the dev side."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        card = card_of(run)
        values = {one["task"]: float(one["after"]) for one in card["evaluation"] or card["dev"]}
        values.setdefault(MEAN, statistics.fmean(values.values()))
        for task, value in values.items():
            found.setdefault((run.sweep, run.value, task), []).append(value)
    return [
        Score(
            sweep=sweep,
            value=value,
            task=task,
            seeds=len(values),
            mean=statistics.fmean(values),
            deviation=statistics.stdev(values) if len(values) > 1 else None,
        )
        for (sweep, value, task), values in found.items()
    ]


def table(
    ablations: Ablations, found: Sequence[Score], sweep: str
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a sweep: a value a row, MAP@100 in % by task, with the deviation over seeds."""
    tasks = list(dict.fromkeys(one.task for one in found if one.sweep == sweep))
    cells = {(one.value, one.task): _cell(one) for one in found if one.sweep == sweep}
    said = ablations.sweeps[sweep]
    rows = [[value, *(cells[value, task] for task in tasks)] for value in said.values]
    return [said.axis, *tasks], rows


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
        ]
    path = folder / "ablations.md"
    write_atomically(path, ("\n\n".join(part.strip() for part in parts) + "\n").encode())
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["sweep", "value", "task", "seeds", "mean", "deviation"])
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


def _row(one: Score) -> list[object]:
    deviation = "" if one.deviation is None else round(one.deviation, 6)
    return [one.sweep, one.value, one.task, one.seeds, round(one.mean, 6), deviation]
