"""A study from its file to a table: every arm trained with every seed, all measured alike, and what that says of the arms.

All data is gathered and checked before the first step of the first run. A run that is finished is read back from its card.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgkit.errors import UsageError
from kgkit.evaluation.evaluate import Bench
from kgkit.evaluation.pose import Posed
from kgkit.evaluation.scores import exactly_right
from kgkit.finetune import card as cards
from kgkit.finetune.arms import Study, read_arm, read_plain
from kgkit.finetune.compared import Answered, Compared, compared
from kgkit.finetune.job import steps_of
from kgkit.finetune.prepared import Prepared, prepare, sequences
from kgkit.finetune.recipe import GENERAL, Recipe
from kgkit.finetune.run import Asked, Watcher, finetune, measure
from kgkit.teacher.ledger import Ledger

_SHORT = 0.05
"""An arm that has so much less than the study's tokens is no fair one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One arm with one seed. `seed` and `folder` are None for the model as it is, which is measured alone."""

    arm: str
    seed: int | None
    recipe: Recipe
    model: Path
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a study takes before it begins: runs in all, those to train yet, their tokens and steps."""

    runs: int
    to_train: int
    tokens: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run was given, from its card. `tokens` went through the model; `documents`: rows of one epoch, without general ones.

    `gradients`: stage -> what was measured of answers and explanations there, as `gradient_report.summary` says it. `data`: stage -> sha256 of what it learned
    from; `versions`: of the libraries.
    """

    arm: str
    seed: int | None
    folder: str
    tokens: int
    documents: int
    epochs: float
    steps: int
    seconds: float
    gradients: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """A study's end: its runs, and its arms compared. `benchmarks`: by the names that they have in tables; `rest`: which of them says what was forgotten, "" if none."""

    study: Study
    recipe: Recipe
    runs: Sequence[Trained]
    benchmarks: Mapping[str, Posed]
    rest: str
    compared: Compared


def runs_of(
    study: Study,
    *,
    folder: Path,
    changes: Mapping[str, Any],
    directory_of: Callable[[str], Path],
) -> list[Run]:
    """Every run, seed after seed. `directory_of` finds the directory of a model that a recipe names.

    Raises UsageError where arms are not measured alike, ContentError.
    """
    plain = read_plain(study, changes)
    if not plain.evaluate and not plain.retain:
        raise UsageError(
            f"{study.name} measures nothing, so that its arms cannot be compared: name a benchmark in `evaluate`, or set retain to true"
        )
    found = []
    for seed in study.seeds:
        for arm in study.arms:
            recipe = read_arm(study, arm, seed=seed, changes=changes)
            if recipe is not None:
                _require_alike(study, arm, recipe, plain)
            elif seed != study.seeds[0]:
                continue
            found.append(
                Run(
                    arm=arm,
                    seed=seed if recipe else None,
                    recipe=recipe or plain,
                    model=directory_of((recipe or plain).model),
                    folder=folder / f"{arm}-seed{seed}" if recipe else None,
                )
            )
    return found


def gather(
    study: Study, runs: Sequence[Run], bench: Bench, ledger: Ledger, *, resume: bool
) -> tuple[list[Prepared | None], Size]:
    """The data of all runs that are not finished, checked and on disk, and what is to come.

    Raises UsageError for a folder that holds another run, or an unfinished one without `resume`, for a finished one whose data would be
    another now, and for an arm whose data is too little for the study's tokens; ContentError for data that tells of the evaluation.
    """
    found: list[Prepared | None] = []
    for run in runs:
        if run.folder is None:
            found.append(None)
            continue
        finished = cards.is_finished(run.folder, run.recipe)
        prepared = prepare(
            run.recipe,
            model=run.model,
            folder=run.folder,
            bench=bench,
            ledger=ledger,
            resume=resume or finished,
        )
        _require_tokens(study, run, prepared)
        found.append(None if finished else prepared)
    waiting = [one for one in found if one is not None]
    return found, Size(
        runs=len(runs),
        to_train=len(waiting),
        tokens=sum(_tokens(one) for one in waiting),
        steps=sum(_steps(one) for one in waiting),
    )


def carry_out(
    study: Study,
    runs: Sequence[Run],
    prepared: Sequence[Prepared | None],
    bench: Bench,
    watcher: Watcher,
    *,
    report_to: str = "none",
    launch: Path | None = None,
) -> Studied:
    """Train what is not trained, measure every run, compare the arms. Raises KgkitError as training does; the same call goes on."""
    for one in prepared:
        if one is not None:
            finetune(one, bench, watcher, report_to=report_to, launch=launch)
    measured = [_measured(run, bench, watcher) for run in runs]
    recipe = runs[0].recipe
    found = compared(
        [_answered(number, runs, measured) for number in range(len(measured[0]))], base=study.base
    )
    return Studied(
        study=study,
        recipe=recipe,
        runs=[_trained(run) for run in runs],
        benchmarks={one.name: one.posed for one in measured[0]},
        rest=measured[0][-1].name if recipe.retain else "",
        compared=found,
    )


def _require_alike(study: Study, arm: str, recipe: Recipe, plain: Recipe) -> None:
    for name in ("evaluate", "retain", "protocol"):
        if getattr(recipe, name) != getattr(plain, name):
            raise UsageError(
                f"{study.name}, arm {arm} changes {name}: arms that are not measured alike cannot be compared; make two studies of it"
            )


def _require_tokens(study: Study, run: Run, prepared: Prepared) -> None:
    if study.tokens is None:
        return
    given = _tokens(prepared)
    if given < (1 - _SHORT) * study.tokens:
        raise UsageError(
            f"{study.name}, arm {run.arm}: its data has {given} tokens of the {study.tokens} that every arm is given; give its parts "
            "shares that are 1 in all, so that rows are drawn again, more epochs, or the study fewer tokens"
        )


def _tokens(prepared: Prepared) -> int:
    """Of all epochs of all stages, as counted before training."""
    both = zip(prepared.jobs, prepared.mixed, strict=True)
    return round(sum(sum(mixed.tokens.values()) * job.stage.epochs for job, mixed in both))


def _steps(prepared: Prepared) -> int:
    both = zip(prepared.jobs, prepared.mixed, strict=True)
    return sum(steps_of(job.stage, sequences(job, mixed)) for job, mixed in both)


def _measured(run: Run, bench: Bench, watcher: Watcher) -> Sequence[Asked]:
    """What a run answers; a trained one's answers are in the ledger already."""
    return measure(f"local:{run.folder or run.model}", run.recipe, bench, watcher)


def _answered(number: int, runs: Sequence[Run], measured: Sequence[Sequence[Asked]]) -> Answered:
    """One benchmark's answers by arm."""
    arms: dict[str, list[dict[str, bool]]] = {}
    for run, every in zip(runs, measured, strict=True):
        one = every[number]
        right = exactly_right(one.posed.questions, one.result.by_question())
        arms.setdefault(run.arm, []).append(right)
    name, questions = measured[0][number].name, measured[0][number].posed.questions
    clusters = {question.id: question.asset for question in questions}
    return Answered(benchmark=name, clusters=clusters, arms=arms)


def _trained(run: Run) -> Trained:
    if run.folder is None:
        return Trained(
            arm=run.arm, seed=None, folder=run.model.name, tokens=0, documents=0, epochs=0.0, steps=0, seconds=0.0, gradients={}, data={}, versions={},
        )  # fmt: skip
    card = cards.read(run.folder)
    stages = card["stages"]
    rows = [stage["data"]["rows"] for stage in stages]
    return Trained(
        arm=run.arm,
        seed=run.seed,
        folder=run.folder.name,
        tokens=sum(stage["tokens"] for stage in stages),
        documents=sum(
            count for each in rows for name, count in each.items() if not name.startswith(GENERAL)
        ),
        epochs=sum(stage.epochs for stage in run.recipe.stages),
        steps=sum(stage["steps"] for stage in stages),
        seconds=sum(stage["seconds"] for stage in stages),
        gradients={stage["name"]: stage["gradients"] for stage in stages if stage.get("gradients")},
        data={stage["name"]: stage["data"]["sha256"] for stage in stages},
        versions=card["versions"],
    )
