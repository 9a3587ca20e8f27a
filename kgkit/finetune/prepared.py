"""A recipe's data on disk as TRL reads it, one folder for each stage: gathered, searched for what must stay unseen, mixed."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from kgkit.errors import UsageError
from kgkit.evaluation.asks import sentences
from kgkit.evaluation.evaluate import Bench, Options
from kgkit.evaluation.models import CARD, TrainedOn
from kgkit.evaluation.pose import Posed, pose
from kgkit.evaluation.retain import read_retention
from kgkit.finetune import mixture
from kgkit.finetune.counted import Length, TokenCounter
from kgkit.finetune.distillation import teachers_of
from kgkit.finetune.engine import last_checkpoint
from kgkit.finetune.guard import Guard, learned_before
from kgkit.finetune.job import WEIGHTS, Job
from kgkit.finetune.measuring import keep_rows
from kgkit.finetune.parts import Source, export_corpora, rows_of
from kgkit.finetune.recipe import FilesPart, GeneralPart, Part, Recipe
from kgkit.finetune.recipe_files import as_yaml
from kgkit.finetune.rows import Row
from kgkit.finetune.worker import TRAINED
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.pull import ADAPTER, model_directory
from kgkit.workspace import write_atomically

RECIPE = "recipe.yaml"
DATA = "data.json"
_STAGES = "stages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A recipe with its data on disk: one job for each stage, its mixture, and what the guard saw.

    `checked`: rows that passed; `refused`: those of kgkit's own making or of general text that tell of the evaluation, or under `alia` of a matrix, and are left out.
    `trained_on`: what a model knows that learned this, also from the model that it begins with and from teachers of its stages.
    """

    recipe: Recipe
    model: Path
    folder: Path
    jobs: list[Job]
    mixed: list[mixture.Mixed]
    trained_on: TrainedOn
    checked: int
    refused: int
    left_out: Mapping[str, Mapping[str, int]]


def begun_with(model: str, *, cache_dir: Path) -> Path:
    """The directory of the model that a recipe names. Raises KgkitError as `model_directory` does, UsageError for an adapter without its base."""
    directory = model_directory(model, cache_dir=cache_dir).resolve()
    if (directory / ADAPTER).exists():
        raise UsageError(
            f"{directory} is an adapter, and a run begins with a whole model: merge it (`kgkit finetune RECIPE --resume --merge`, the recipe that it was trained by), "
            f"then give --model {directory / 'merged'}"
        )
    return directory


def prepare(
    recipe: Recipe, *, model: Path, folder: Path, bench: Bench, ledger: Ledger, resume: bool
) -> Prepared:
    """Gather and check the data of all stages and write it below `folder`, as TRL reads it.

    Raises UsageError where `folder` holds another run, or this one unfinished and `resume` is false, and where a benchmark asks about
    what is learned; ContentError for data that tells of the evaluation. Nothing is trained before.
    """
    _forget_untrained(folder)
    require_same(folder, recipe, resume=resume)
    before = [
        learned
        for directory in (model, *teachers_of(recipe, model))
        if (learned := learned_before(directory, bench.split))
    ]
    named = _all_posed(recipe, bench)
    posed = list(named.values())
    stems = [
        stem
        for one in posed
        for question in one.questions
        for stem in (question.stem, *question.paraphrases)
    ]
    source = Source(
        graph=bench.graph, ledger=ledger, split=bench.split, folder=folder, seed=recipe.seed, stems=stems,
    )  # fmt: skip
    # a sentence about a held-out machine is near to documents about another one, so that it is looked for word by word alone
    guard = Guard(bench.graph, bench.split, recipe.protocol, [*stems, *_stated(recipe, named)])
    export_corpora((part for stage in recipe.stages for part in stage.data), source)

    jobs: list[Job] = []
    mixtures: list[list[tuple[Row, Length]]] = []
    for number, stage in enumerate(recipe.stages):
        parts = [list(_checked(part, source, guard)) for part in stage.data]
        count = TokenCounter(recipe, stage, model)
        mixtures.append(
            mixture.mix(stage, parts, count=count, seed=recipe.seed, left_out=source.left_out)
        )
        trained = jobs[-1].weights if jobs else None
        jobs.append(
            Job(
                name=stage.name,
                folder=folder / _STAGES / f"{number + 1}-{stage.name}",
                model=trained if trained and not recipe.lora else model,
                adapter=trained if recipe.lora else None,
                recipe=recipe,
                stage=stage,
            )
        )
    learned = _learned(recipe, before, guard.families, mixtures)
    _require_unasked(recipe, learned, posed)
    mixed = [_written(job, mixture_) for job, mixture_ in zip(jobs, mixtures, strict=True)]
    if recipe.gradients:
        keep_rows(jobs, [row for mixture_ in mixtures for row, _ in mixture_ if row.why])
    write_atomically(folder / RECIPE, as_yaml(recipe).encode())
    return Prepared(
        recipe=recipe,
        model=model,
        folder=folder,
        jobs=jobs,
        mixed=mixed,
        trained_on=learned,
        checked=guard.checked,
        refused=guard.refused,
        left_out={name: dict(reasons) for name, reasons in source.left_out.items() if reasons},
    )


def _forget_untrained(folder: Path) -> None:
    """Drop the data of a run of which no step is kept: it was refused, or stopped, before it could leave one."""
    stages = folder / _STAGES
    if stages.is_dir() and not is_begun(folder) and not (folder / CARD).exists():
        (folder / RECIPE).unlink(missing_ok=True)
        shutil.rmtree(stages)


def is_begun(folder: Path) -> bool:
    """Whether a step of the run's training is kept."""
    stages = (folder / _STAGES).glob("*")
    return any((one / TRAINED).exists() or last_checkpoint(one / WEIGHTS) for one in stages)


def require_same(folder: Path, recipe: BaseModel, *, resume: bool) -> None:
    """Raise UsageError where a folder holds a run of another recipe, or this one and `resume` is false."""
    said = folder / RECIPE
    if not said.exists():
        return
    if said.read_text(encoding="utf-8") != as_yaml(recipe):
        raise UsageError(
            f"{folder} holds a run of another recipe; name this one with --name, or delete that folder"
        )
    if not resume:
        state = "finished" if (folder / CARD).exists() else "not finished"
        raise UsageError(
            f"{folder} holds this very run, {state}: add --resume to go on with it, --name for another one, or delete it"
        )


def _stated(recipe: Recipe, posed: Mapping[str, Posed]) -> list[str]:
    """The sentences that the recipe's benchmarks put beside their questions, but those of any machine: what machines share may be learned.

    Raises UsageError for a way of asking that is none for a benchmark's questions.
    """
    ways = [
        (posed[one.benchmark], Options(by=one.by).way(posed[one.benchmark]))
        for one in recipe.evaluate
    ]
    return [
        sentence
        for one, way in ways
        if way.by != "unnamed-statements"
        for question in one.questions
        for sentence in sentences(question, way)
    ]


def _all_posed(recipe: Recipe, bench: Bench) -> dict[str, Posed]:
    """Every question that the recipe's benchmarks may ask, also beyond a limit, and the general ones, which any model may be asked later."""
    names = {read_retention().questions, *(measured.benchmark for measured in recipe.evaluate)}
    try:
        return {name: pose(name, graph=bench.graph, split=bench.split) for name in sorted(names)}
    except UsageError as error:
        raise UsageError(f"{error}; to train without benchmarks: --set 'evaluate=[]'") from None


def _checked(part: Part, source: Source, guard: Guard) -> Iterator[Row]:
    rows = rows_of(part, source)
    if isinstance(part, FilesPart):
        return guard.passed(rows)
    foreign = isinstance(part, GeneralPart) and part.path is not None
    return guard.without(rows, source.left_out.setdefault(part.label, Counter()), foreign=foreign)


def _learned(
    recipe: Recipe,
    before: Sequence[TrainedOn],
    families: set[str],
    mixtures: Sequence[Sequence[tuple[Row, Length]]],
) -> TrainedOn:
    """What a model knows after the run: of `transfer` if anything that it learned was."""
    protocols = {recipe.protocol, *(one.protocol for one in before)}
    corpora = {row.part for mixture_ in mixtures for row, _ in mixture_}
    return TrainedOn(
        protocol="alia" if protocols == {"alia"} else "transfer",
        families=sorted(families.union(*(one.families for one in before))),
        corpora=sorted(corpora.union(*(one.corpora for one in before))),
    )


def _require_unasked(recipe: Recipe, learned: TrainedOn, posed: Sequence[Posed]) -> None:
    for one in posed:
        if told := sorted(one.families.intersection(learned.families)):
            raise UsageError(
                f"{recipe.name}: its data tells of {', '.join(told)}, which {one.name} asks about: the score would say nothing. "
                "Take that benchmark out of `evaluate`, or those families out of the data"
            )


def _written(job: Job, mixed: Sequence[tuple[Row, Length]]) -> mixture.Mixed:
    """The mixture on disk; the one that is there already must be the same."""
    record = job.folder / DATA
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
    found = mixture.write(mixed, job.data, before=before["sha256"] if before else None)
    write_atomically(record, json.dumps(found.as_json(), indent=1).encode())
    job.write(rows=sequences(job, found))
    return found


def sequences(job: Job, mixed: mixture.Mixed) -> int:
    """What one epoch puts through the model, about: rows, or packs of them."""
    rows = sum(mixed.rows.values())
    if not job.stage.packing:
        return rows
    return max(1, -(-sum(mixed.tokens.values()) // job.recipe.context))
