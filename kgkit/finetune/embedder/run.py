"""An embedder's recipe from the graph to a directory with a run card: pose, draw, search, rank, train, rank again."""

import hashlib
import importlib.util
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import yaml

from kgkit.errors import KgkitError, UsageError
from kgkit.evaluation.models import CARD
from kgkit.evaluation.retrieval_bench import (
    PosedTasks,
    RetrievalResult,
    evaluate_embedder,
    pose_tasks,
)
from kgkit.finetune.embedder import card as cards
from kgkit.finetune.embedder import guard
from kgkit.finetune.embedder.encoder import open_base, require_pooling, save
from kgkit.finetune.embedder.losses import Table
from kgkit.finetune.embedder.measured import (
    gained,
    kept_precisions,
    maps,
    precisions,
    write_queries,
)
from kgkit.finetune.embedder.mining import nearest
from kgkit.finetune.embedder.recipe import AllItems, EmbedderRecipe, MaskedLanguage
from kgkit.finetune.embedder.rows import Descriptions
from kgkit.finetune.embedder.sampler import Batch, draw, draw_texts
from kgkit.finetune.embedder.train import Trained, train
from kgkit.finetune.engine import Step
from kgkit.finetune.guard import learned_before
from kgkit.finetune.parts import EXPORTED, Source, export_corpora, rows_of
from kgkit.finetune.recipe import as_yaml, meant
from kgkit.finetune.rows import Row as Text
from kgkit.finetune.run import RECIPE, require_same
from kgkit.graph.store import GraphStore
from kgkit.retrieval.embedder import open_embedder
from kgkit.retrieval.paraphrases import Paraphrase, with_paraphrases
from kgkit.retrieval.pose import Posed, pose_all
from kgkit.retrieval.tasks import Task, read_tasks, task_names
from kgkit.splits import Side, Split
from kgkit.teacher.ledger import Ledger
from kgkit.workspace import write_atomically

ROWS = "rows.jsonl"
QUERIES = "queries.csv"
"""How well each query of the dev and the held-out side was answered before and after."""
_CHECKPOINTS, _UNTRAINED = "checkpoints", "untrained"
_TRIED = 6
"""Steps that a plan measures; the first is not counted."""


class Watcher(Protocol):
    """Who is told how far a run is."""

    def begins(self, what: str, total: int) -> None:
        """Steps of training, or tasks that are ranked."""

    def step(self, step: Step) -> None:
        """A step of training is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where tasks are posed, and where results are kept."""

    graph: GraphStore
    split: Split
    ledger: Ledger
    evaluations: Path
    descriptions: Descriptions
    paraphrases: Mapping[str, Sequence[Paraphrase]]
    """Task -> what teachers said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A recipe with every step drawn and searched. `left_out`: tasks that have nothing to learn from, and why."""

    recipe: EmbedderRecipe
    model: Path
    folder: Path
    sides: Mapping[str, Mapping[Side, Posed]]
    left_out: Mapping[str, str]
    batches: Sequence[Batch]
    passed: guard.Passed

    @property
    def table(self) -> Table:
        """The training sides."""
        return Table({name: posed["train"] for name, posed in self.sides.items()})

    @property
    def dev(self) -> dict[str, Posed]:
        """Task -> what settings and checkpoints are chosen by."""
        return {name: posed["dev"] for name, posed in self.sides.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A trained embedder: its folder, its card, and what that says."""

    folder: Path
    card: Path
    said: Mapping[str, Any]


def prepare(
    recipe: EmbedderRecipe, *, model: Path, folder: Path, ground: Ground, resume: bool
) -> Prepared:
    """Pose the tasks, draw every step and search it.

    Raises UsageError where `folder` holds another run, or this one unfinished and `resume` is false, and for unknown tasks;
    ContentError for what tells of the evaluation.
    """
    require_same(folder, recipe, resume=resume)
    require_pooling(model, recipe)
    known = task_names()
    if unknown := sorted(set(recipe.left_out) - set(known)):
        raise UsageError(f"left_out.{unknown[0]} is no retrieval task{meant(unknown[0], known)}")
    if recipe.descriptions and not ground.descriptions:
        raise UsageError(
            f"descriptions is {recipe.descriptions}, and the workspace has none: set it to 0, or have them written: kgkit extend descriptions"
        )
    tasks = _in_words(recipe, ground)
    posed = {task.name: pose_all(task, ground.graph, ground.split) for task in tasks}
    sides = {name: one for name, one in posed.items() if one["train"].queries}
    if not sides:
        raise UsageError(
            "no retrieval task has a query to learn from in this workspace; load tables first: kgkit load"
        )
    learned = {name: one["train"] for name, one in sides.items()}
    texts = _texts(recipe, folder, ground)
    if isinstance(recipe.loss, MaskedLanguage):
        batches = draw_texts(recipe, texts)
    else:
        near = nearest(model, recipe, learned)
        batches = draw(recipe, learned, descriptions=ground.descriptions, nearest=near)
    before = learned_before(model, ground.split)
    passed = guard.check(batches, sides, ground.graph, ground.split, texts)
    return Prepared(
        recipe=recipe,
        model=model,
        folder=folder,
        sides=sides,
        left_out={
            name: "nothing in the workspace to learn from" for name in posed if name not in sides
        },
        batches=batches,
        passed=replace(passed, families=sorted({*passed.families, *before})),
    )


def finetune_embedder(prepared: Prepared, ground: Ground, watcher: Watcher) -> Finished:
    """Rank as it is, train, rank again, and leave model and card in the folder.

    Raises KgkitError where training cannot go on; the last whole checkpoint stays, and the same call goes on from it.
    """
    recipe, folder = prepared.recipe, prepared.folder
    begun = time.time()
    if finished := _finished(folder, recipe):
        return finished
    write_atomically(folder / RECIPE, as_yaml(recipe).encode())
    data = _write_rows(prepared)
    tested = pose_tasks(ground.graph, ground.split) if recipe.held_out else None
    model = open_base(prepared.model, recipe, _tasks(prepared))
    dev_before = precisions(model, prepared.dev)
    before = _result(_untrained(prepared), tested, ground, watcher) if tested else None
    watcher.begins(recipe.name, len(prepared.batches))
    trained = train(
        model,
        recipe,
        prepared.batches,
        prepared.table,
        folder=folder / _CHECKPOINTS,
        tokens=token_counts(prepared, model),
        measure=lambda now: maps(precisions(now, prepared.dev)),
        on_step=watcher.step,
    )
    save(model, folder)
    sides = {"dev": (dev_before, precisions(model, prepared.dev))}
    write_queries(folder / QUERIES, sides)
    was, now = map(maps, sides["dev"])
    card = {
        **_said(prepared, ground, data, trained),
        "dev": [
            {"task": name, "before": round(value, 4), "after": round(now[name], 4)}
            for name, value in was.items()
        ],
        "evaluation": [],
    }
    cards.write(folder, card)  # so that what it learned from is known before it is measured
    if tested and before:
        after = _result(folder, tested, ground, watcher)
        sides["held-out"] = (kept_precisions(before, tested), kept_precisions(after, tested))
        write_queries(folder / QUERIES, sides)
        card["evaluation"] = gained(*sides["held-out"])
    card["seconds"] = round(time.time() - begun, 1)
    path = cards.write(folder, card)
    for aside in (_CHECKPOINTS, _UNTRAINED):
        shutil.rmtree(folder / aside, ignore_errors=True)
    return Finished(folder=folder, card=path, said=card)


def _in_words(recipe: EmbedderRecipe, ground: Ground) -> list[Task]:
    """The tasks, with the paraphrases that the recipe draws among. Raises UsageError where it wants a teacher's and there is none."""
    tasks = read_tasks(recipe.tasks)
    if not recipe.teacher_paraphrases:
        return tasks
    if not any(ground.paraphrases.get(task.name) for task in tasks):
        raise UsageError(
            "teacher_paraphrases is true, and the workspace has none for these tasks: set it to false, or have them made: kgkit teacher paraphrase"
        )
    return [with_paraphrases(task, ground.paraphrases.get(task.name, ())) for task in tasks]


def _texts(recipe: EmbedderRecipe, folder: Path, ground: Ground) -> list[Text]:
    """What is learned where no task is."""
    if not isinstance(recipe.loss, MaskedLanguage):
        return []
    source = Source(
        graph=ground.graph,
        ledger=ground.ledger,
        split=ground.split,
        folder=folder,
        seed=recipe.seed,
    )
    export_corpora([recipe.loss.texts], source)
    texts = list(rows_of(recipe.loss.texts, source))
    shutil.rmtree(folder / EXPORTED, ignore_errors=True)
    return texts


def is_finished(prepared: Prepared) -> bool:
    """Whether its folder holds the trained model, measured."""
    return _finished(prepared.folder, prepared.recipe) is not None


def seconds_per_step(prepared: Prepared, folder: Path) -> float:
    """What a step takes here, measured on a few of them; nothing is kept."""
    model = open_base(prepared.model, prepared.recipe, _tasks(prepared))
    spread = prepared.batches[:: max(1, len(prepared.batches) // _TRIED)][:_TRIED]
    times: list[float] = []
    train(
        model,
        prepared.recipe,
        spread,
        prepared.table,
        folder=folder,
        tokens=[0] * len(spread),
        measure=None,
        on_step=lambda step: times.append(step.seconds),
    )
    return (times[-1] - times[0]) / max(1, len(times) - 1)


def token_counts(prepared: Prepared, model: Any) -> list[int]:  # noqa: ANN401 - a SentenceTransformer
    """The tokens that each step puts through the model, without padding: queries, and the items that they are ranked among."""
    counts: dict[str, int] = {}

    def count(texts: Iterable[str]) -> int:
        texts = list(texts)
        new = list(dict.fromkeys(text for text in texts if text not in counts))
        if new:
            read = model.tokenizer(new, truncation=True, max_length=model.max_seq_length)
            counts.update(
                {text: len(ids) for text, ids in zip(new, read["input_ids"], strict=True)}
            )
        return sum(counts[text] for text in texts)

    table = prepared.table
    whole = isinstance(prepared.recipe.loss, AllItems)
    found = []
    for batch in prepared.batches:
        tokens = count(row.text for row in batch) + count(
            row.item_text for row in batch if row.item
        )
        if whole:
            items = table.items_of(table.queries[batch[0].task, batch[0].query])
            tokens += count(table.texts[items.start : items.stop])
        found.append(tokens)
    return found


def _finished(folder: Path, recipe: EmbedderRecipe) -> Finished | None:
    """A run that is there already, measured as it says."""
    path = folder / CARD
    if not path.exists():
        return None
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    if recipe.held_out and not said["evaluation"]:
        return None
    return Finished(folder=folder, card=path, said=said)


def _tasks(prepared: Prepared) -> list[Any]:
    return [posed["train"].task for posed in prepared.sides.values()]


def _write_rows(prepared: Prepared) -> dict[str, Any]:
    """What every step learns from, a line a row; its digest and its counts. Raises KgkitError where a run to go on with had other rows."""
    lines = [
        json.dumps({"step": number, **asdict(row)}, ensure_ascii=False)
        for number, batch in enumerate(prepared.batches, start=1)
        for row in batch
    ]
    content = "".join(f"{line}\n" for line in lines).encode()
    path = prepared.folder / ROWS
    if path.exists() and path.read_bytes() != content:
        raise KgkitError(
            f"{path}: the workspace says other things than when this run began; name a new run with --name, or delete that folder"
        )
    write_atomically(path, content)
    steps = Counter(batch[0].task for batch in prepared.batches)
    rows = Counter(row.task for batch in prepared.batches for row in batch)
    return {
        "file": ROWS,
        "sha256": hashlib.sha256(content).hexdigest(),
        "steps": dict(steps),
        "tasks": {
            name: {
                "queries": len(posed["train"].queries),
                "items": len(posed["train"].items),
                "pairs": sum(map(len, posed["train"].relevant.values())),
                "steps": steps[name],
                "rows": rows[name],
                "posed": posed["train"].digest(),
                "left_out": dict(posed["train"].left_out),
            }
            for name, posed in prepared.sides.items()
        },
    }


def _untrained(prepared: Prepared) -> Path:
    """The model as it comes; a plain one with the recipe's pooling over it, written aside."""
    if prepared.recipe.pooling is None:
        return prepared.model
    whole = prepared.recipe.model_copy(update={"lora": None})
    directory = prepared.folder / _UNTRAINED / prepared.model.name
    save(open_base(prepared.model, whole, _tasks(prepared)), directory)
    return directory


def _result(
    directory: Path, tested: PosedTasks, ground: Ground, watcher: Watcher
) -> RetrievalResult:
    """How a directory ranks the held-out side, kept as `kgkit evaluate retrieval` keeps it."""
    watcher.begins("ranking the held-out side", len(tested.tasks))
    embedder = open_embedder(str(directory), cache_dir=directory)
    return evaluate_embedder(
        embedder, tested, ground.evaluations, allow_contaminated=False, on_task=lambda _: None
    )


def _said(
    prepared: Prepared, ground: Ground, data: Mapping[str, Any], trained: Trained
) -> dict[str, Any]:
    recipe = prepared.recipe
    return {
        "name": recipe.name,
        "trained_on": {
            "protocol": "transfer",
            "families": prepared.passed.families,
            "corpora": sorted({batch[0].task for batch in prepared.batches}),
        },
        "held_out": sorted(ground.split.held_out),
        "contamination": {"rows_checked": prepared.passed.checked, "found": 0},
        "left_out": dict(prepared.left_out),
        "model": {"name": prepared.model.name, "directory": str(prepared.model)},
        "recipe": recipe.model_dump(mode="json"),
        "data": {
            **data,
            "descriptions": len(ground.descriptions),
            "teacher_paraphrases": _teachers(prepared, ground),
        },
        "training": {
            "steps": len(trained.losses),
            "kept_step": trained.kept_step,
            "resumed_at": trained.resumed_at,
            "seconds": round(trained.seconds, 1),
            "cpu_seconds": round(trained.cpu_seconds, 1),
            "peak_memory_mb": round(trained.memory / 1e6),
            "losses": [round(loss, 6) for loss in trained.losses],
            "measured": trained.measured,
        },
        **cards.machine(),
    }


def _teachers(prepared: Prepared, ground: Ground) -> dict[str, int]:
    """Teacher -> how many of its paraphrases were drawn among."""
    if not prepared.recipe.teacher_paraphrases:
        return {}
    said = (one for name in prepared.sides for one in ground.paraphrases.get(name, ()))
    return dict(sorted(Counter(one.teacher for one in said).items()))


def require_embedder() -> None:
    """Raise KgkitError where the packages of the extra `finetune` are missing, without importing them."""
    needed = ["torch", "transformers", "sentence_transformers", "datasets", "accelerate"]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise KgkitError(
            f'an embedder\'s training needs {", ".join(missing)}: pip install "kgkit[finetune]"'
        )
