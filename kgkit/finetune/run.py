"""A recipe from its data to a model with a run card: gather, check, measure, train stage after stage, measure again."""

import contextlib
import dataclasses
import importlib.util
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kgkit.errors import KgkitError, UsageError
from kgkit.evaluation.answering import planned_asks
from kgkit.evaluation.evaluate import Bench, Options, evaluate
from kgkit.evaluation.intervals import Comparison, compare
from kgkit.evaluation.models import CARD
from kgkit.evaluation.pose import Posed, pose
from kgkit.evaluation.results import Result
from kgkit.evaluation.retain import read_retention, retained
from kgkit.evaluation.scores import exactly_right
from kgkit.evaluation.table import table
from kgkit.finetune import card as cards
from kgkit.finetune import mixture
from kgkit.finetune.engine import Step, train
from kgkit.finetune.gradient_report import draw, summary
from kgkit.finetune.job import Job
from kgkit.finetune.measuring import measures
from kgkit.finetune.memory import give_back_memory
from kgkit.finetune.prepared import Prepared, is_begun, sequences
from kgkit.finetune.recipe import Recipe
from kgkit.finetune.worker import TRAINED, keep_trained, read_trained, train_in_processes
from kgkit.teacher.asking import Event
from kgkit.teacher.budget import Budget
from kgkit.workspace import write_atomically

LAUNCHED = "accelerate.yaml"
"""The configuration of accelerate that a run was begun with."""
_COPIED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_SEED = 0


class Watcher(Protocol):
    """Who is told how far a run is."""

    def begins(self, what: str, total: int) -> None:
        """A stage of so many steps, or a benchmark of so many questions."""

    def step(self, step: Step) -> None:
        """A step of training is done."""

    def event(self, event: Event) -> None:
        """A question was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A trained model: its folder, its card, and both measured before and after."""

    folder: Path
    card: Path
    said: Mapping[str, Any]


def finetune(
    prepared: Prepared,
    bench: Bench,
    watcher: Watcher,
    *,
    report_to: str = "none",
    launch: Path | None = None,
) -> Finished:
    """Measure, train every stage that is not trained yet, measure again, and write the card.

    `launch`: a configuration of accelerate, to train in several processes.
    Raises KgkitError where training cannot go on; what was saved stays, and the same call goes on from it. Raises UsageError where it was begun with another `launch`.
    """
    recipe, folder = prepared.recipe, prepared.folder
    _keep_launch(folder, launch)
    begun = time.time()
    before = measure(f"local:{prepared.model}", recipe, bench, watcher)
    seconds = time.time() - begun
    stages = [
        _trained(job, mixed, watcher, report_to=report_to, launch=launch)
        for job, mixed in zip(prepared.jobs, prepared.mixed, strict=True)
    ]
    _take(prepared.jobs[-1].weights, folder)
    card = _card(prepared, bench, stages, launch)
    cards.write(folder, card, recipe)  # what it has learned is known when it is asked
    _draw_gradients(prepared)
    begun = time.time()
    after = measure(f"local:{folder}", recipe, bench, watcher)
    card["evaluation"] = list(map(_compared, before, after))
    card["verdict"] = _verdict(recipe, before, after, bench.folder)
    seconds += time.time() - begun + sum(stage["seconds"] for stage in stages)
    card["seconds"] = round(seconds, 1)  # of training in all that it took, and of measuring
    return Finished(folder=folder, card=cards.write(folder, card, recipe), said=card)


def kept(folder: Path, recipe: Recipe) -> Finished | None:
    """A finished run of the recipe, as its card says; None where `folder` holds none. Raises ContentError for a card that cannot be read."""
    if not cards.is_finished(folder, recipe):
        return None
    return Finished(folder=folder, card=folder / CARD, said=cards.read(folder))


def _keep_launch(folder: Path, launch: Path | None) -> None:
    """Keep how training begins: with other processes a step would be of other rows, and their number another."""
    record = folder / LAUNCHED
    if not is_begun(folder):
        record.unlink(missing_ok=True)
        if launch:
            write_atomically(record, launch.read_bytes())
        return
    said = record.read_bytes() if record.exists() else None
    if said != (launch.read_bytes() if launch else None):
        how = f"with --launch and what {record} says" if said else "without --launch"
        raise UsageError(
            f"{folder} was begun {how}: go on with it so, or train it anew with --name"
        )


def _draw_gradients(prepared: Prepared) -> None:
    """The figure of what was measured of answers and explanations, where that was and matplotlib is there."""
    found = {job.name: some for job in prepared.jobs if (some := measures(job.folder))}
    if found:
        with contextlib.suppress(ImportError):
            draw(found, prepared.folder)


def _trained(
    job: Job, mixed: mixture.Mixed, watcher: Watcher, *, report_to: str, launch: Path | None
) -> dict[str, Any]:
    """Train a stage, or read how its training ended."""
    if not (job.folder / TRAINED).exists():
        watcher.begins(job.name, 0)
        if launch:
            train_in_processes(job.folder, launch, on_step=watcher.step, report_to=report_to)
        else:
            rows = sequences(job, mixed)
            trained = train(job, rows=rows, on_step=watcher.step, report_to=report_to)
            keep_trained(job.folder, trained)
        give_back_memory()
    found = read_trained(job.folder)
    tokens = sum(mixed.tokens.values()) * job.stage.epochs
    return {
        "name": job.name,
        "data": mixed.as_json(),
        "steps": len(found.losses),
        "seconds": round(found.seconds, 1),
        "resumed_at": found.resumed_at,
        "tokens": found.tokens or round(tokens),
        "tokens_per_second": round((found.tokens or tokens) / max(found.seconds, 1e-9), 1),
        "peak_memory_mb": round(found.memory / 1e6),
        "first_loss": round(found.losses[0], 6),
        "last_loss": round(found.losses[-1], 6),
        "losses": [round(loss, 6) for loss in found.losses],
        "gradients": summary(job.folder, seconds=found.seconds),
    }


def _take(weights: Path, folder: Path) -> None:
    """Put the last stage's weights where the model is loaded from: data alone, no pickle."""
    for pattern in _COPIED:
        for file in weights.glob(pattern):
            shutil.copy2(file, folder / file.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A benchmark as a model answered it. `name`: the benchmark's, with the way where it is asked in several: `fmsr-by-options`."""

    name: str
    posed: Posed
    result: Result


def measure(uri: str, recipe: Recipe, bench: Bench, watcher: Watcher) -> list[Asked]:
    """What the model answers to the recipe's benchmarks, and to the general questions if it says so.

    Raises KeyboardInterrupt where a signal ends it, KgkitError where a model answers nothing at all.
    """
    asked = [
        (pose(one.benchmark, graph=bench.graph, split=bench.split, limit=one.limit), one.by)
        for one in recipe.evaluate
    ]
    if recipe.retain:
        rest = pose(read_retention().questions, graph=bench.graph, split=bench.split)
        asked.append((rest, Options().by))
    often = Counter(posed.name for posed, _ in asked)
    found = []
    for posed, by in asked:
        options = Options(by=by, robust=False)
        asks = planned_asks(posed.questions, options.way(posed), robust=options.robust)
        watcher.begins(posed.name, asks)
        result = evaluate(uri, posed, bench, options, budget=Budget(), on_event=watcher.event)
        if result.stopped or result.unasked:  # by a signal; half a benchmark is no measurement
            raise KeyboardInterrupt
        if not exactly_right(posed.questions, result.by_question()):
            errors = sorted({one.error for one in result.outcomes})
            raise KgkitError(
                f"{uri} answers none of the {len(posed.questions)} questions of {posed.name} ({', '.join(errors)}), so that nothing can be compared: "
                f"take another model, or leave {posed.name} out of the recipe's evaluate"
            )
        name = f"{posed.name}-by-{by}" if often[posed.name] > 1 else posed.name
        found.append(Asked(name=name, posed=posed, result=result))
    give_back_memory()
    return found


def _compared(before: Asked, after: Asked) -> dict[str, Any]:
    """Before and after on the same questions, with the interval of the difference."""
    questions = before.posed.questions
    clusters = {question.id: question.asset for question in questions}
    first, second = (exactly_right(questions, one.result.by_question()) for one in (before, after))
    found: Comparison = compare(first, second, clusters, seed=_SEED)
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    return {
        "benchmark": before.name,
        "questions": found.n,
        "before": round(found.first, 4),
        "after": round(found.second, 4),
        "difference": round(found.difference, 4),
        "ci_low": low,
        "ci_high": high,
        "p": found.p,
        "undecided": sum(bool(one.undecided) for one in after.result.outcomes),
    }


def _verdict(
    recipe: Recipe, before: Sequence[Asked], after: Sequence[Asked], folder: Path
) -> list[str]:
    """What the tables say of both models, which are written as `kgkit evaluate` writes them, and whether the rest was kept."""
    lines = []
    for one, other in zip(before, after, strict=True):
        found = table(one.posed, [one.result, other.result], before_and_after=True)
        found.write(folder / one.name)
        lines += found.remarks
    if recipe.retain and recipe.evaluate:
        *asked, rest = before
        rest_results = [rest.result, after[-1].result]
        verdicts = [
            retained(
                dataclasses.replace(one.posed, name=one.name),
                [one.result, other.result],
                rest.posed,
                rest_results,
                margin=read_retention().margin,
            )
            for one, other in zip(asked, after, strict=False)
        ]
        lines += [verdict.lines()[0] for verdict in verdicts]
        lines.append(verdicts[0].lines()[1])
    return lines


def _card(
    prepared: Prepared, bench: Bench, stages: Sequence[Mapping[str, Any]], launch: Path | None
) -> dict[str, Any]:
    recipe = prepared.recipe
    return {
        "name": recipe.name,
        "trained_on": prepared.trained_on.model_dump(),
        "held_out": sorted(bench.split.held_out),
        "contamination": {
            "rows_searched": prepared.checked + prepared.refused,
            "rows_left_out": prepared.refused,
        },
        "left_out": prepared.left_out,
        "model": cards.base(prepared.model),
        "recipe": recipe.model_dump(mode="json"),
        "launch": launch.stem if launch else None,
        "stages": list(stages),
        "evaluation": [],
        "verdict": [],
        "seconds": None,
        "hardware": cards.hardware(),
        "versions": cards.versions(),
    }


def require_finetune(report_to: str) -> None:
    """Raise KgkitError where the packages of the extra `finetune`, or the one that losses go to, are missing, without importing them."""
    needed = ["torch", "transformers", "trl", "peft", "datasets", "accelerate"]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise KgkitError(
            f'kgkit finetune needs {", ".join(missing)}: pip install "kgkit[finetune]"'
        )
    if report_to != "none" and importlib.util.find_spec(report_to) is None:
        raise KgkitError(f"--report-to {report_to} needs it: pip install {report_to}")
