"""An embedder's recipe on the ground of a workspace: the tasks posed, every step drawn and searched before the first is taken."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kgkit.errors import UsageError
from kgkit.finetune.embedder import guard
from kgkit.finetune.embedder.encoder import require_pooling
from kgkit.finetune.embedder.losses import Table
from kgkit.finetune.embedder.mining import nearest
from kgkit.finetune.embedder.recipe import AllItems, EmbedderRecipe, MaskedLanguage
from kgkit.finetune.embedder.rows import Descriptions
from kgkit.finetune.embedder.sampler import Batch, draw, draw_texts
from kgkit.finetune.guard import learned_before
from kgkit.finetune.parts import EXPORTED, Source, export_corpora, rows_of
from kgkit.finetune.prepared import require_same
from kgkit.finetune.recipe_files import meant
from kgkit.finetune.rows import Row as Text
from kgkit.graph.store import GraphStore
from kgkit.retrieval.paraphrases import Paraphrase, with_paraphrases
from kgkit.retrieval.pose import Posed, pose_all
from kgkit.retrieval.tasks import Task, read_tasks, task_names
from kgkit.splits import Side, Split
from kgkit.teacher.ledger import Ledger


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
    def tasks(self) -> list[Task]:
        """Those that have something to learn from."""
        return [posed["train"].task for posed in self.sides.values()]

    @property
    def table(self) -> Table:
        """The training sides."""
        return Table({name: posed["train"] for name, posed in self.sides.items()})

    @property
    def dev(self) -> dict[str, Posed]:
        """Task -> what settings and checkpoints are chosen by."""
        return {name: posed["dev"] for name, posed in self.sides.items()}


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
        passed=replace(
            passed, families=sorted({*passed.families, *(before.families if before else ())})
        ),
    )


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
