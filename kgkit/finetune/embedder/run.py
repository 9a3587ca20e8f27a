"""A prepared embedder's recipe to a directory with a run card: rank, train, rank again."""

import hashlib
import importlib.util
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from kgkit.errors import KgkitError
from kgkit.evaluation.models import CARD
from kgkit.evaluation.retrieval_bench import (
    PosedTasks,
    RetrievalResult,
    evaluate_embedder,
    pose_tasks,
)
from kgkit.finetune.card import base
from kgkit.finetune.embedder import card as cards
from kgkit.finetune.embedder.encoder import open_base, save
from kgkit.finetune.embedder.measured import (
    gained,
    kept_precisions,
    maps,
    precisions,
    write_queries,
)
from kgkit.finetune.embedder.prepared import Ground, Prepared, token_counts
from kgkit.finetune.embedder.recipe import EmbedderRecipe
from kgkit.finetune.embedder.train import Trained, train
from kgkit.finetune.engine import Step
from kgkit.finetune.prepared import RECIPE
from kgkit.finetune.recipe_files import as_yaml
from kgkit.retrieval.embedder import open_embedder
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
class Finished:
    """A trained embedder: its folder, its card, and what that says."""

    folder: Path
    card: Path
    said: Mapping[str, Any]


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
    model = open_base(prepared.model, recipe, prepared.tasks)
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


def is_finished(prepared: Prepared) -> bool:
    """Whether its folder holds the trained model, measured."""
    return _finished(prepared.folder, prepared.recipe) is not None


def seconds_per_step(prepared: Prepared, folder: Path) -> float:
    """What a step takes here, measured on a few of them; nothing is kept."""
    model = open_base(prepared.model, prepared.recipe, prepared.tasks)
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


def _finished(folder: Path, recipe: EmbedderRecipe) -> Finished | None:
    """A run that is there already, measured as it says."""
    path = folder / CARD
    if not path.exists():
        return None
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    if recipe.held_out and not said["evaluation"]:
        return None
    return Finished(folder=folder, card=path, said=said)


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
    save(open_base(prepared.model, whole, prepared.tasks), directory)
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
        "contamination": {"rows_searched": prepared.passed.checked},
        "left_out": dict(prepared.left_out),
        "model": base(prepared.model),
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
