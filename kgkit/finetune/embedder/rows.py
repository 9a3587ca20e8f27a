"""Turn what a step learns from into texts: a query as it is asked this time, an item with its output tag. Pure.

Instruction, fields and descriptions are drawn afresh each time a query comes up, so that no two passes read the same (embedding
paper, sections 3.2 and 3.3).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from kgkit.finetune.embedder.recipe import EmbedderRecipe
from kgkit.names import normal_form
from kgkit.retrieval.pose import Item, Query
from kgkit.retrieval.tasks import Task
from kgkit.retrieval.texts import item_prompt, query_prompt, query_text

TEXTS = "texts"
"""What stands for a task where none is learned."""
Descriptions = Mapping[str, str]
"""Normal form of a value -> one sentence about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One query of a step, with the item of a pair where the loss takes pairs ("" elsewhere). `relevant`: whether the item is."""

    task: str
    query: str
    item: str
    relevant: bool
    text: str
    item_text: str

    @property
    def words(self) -> str:
        """All that the row says."""
        return f"{self.text}\n{self.item_text}"


def query_as_asked(
    task: Task,
    query: Query,
    *,
    recipe: EmbedderRecipe,
    descriptions: Descriptions,
    rng: random.Random,
) -> str:
    """The query's text behind an instruction, as it is drawn this time."""
    instruction = task.instruction
    if rng.random() < recipe.paraphrased:
        instruction = rng.choice(task.paraphrases)
    drop = recipe.left_out.get(task.name, 0.0)
    shown = {}
    for column, value in query.shown.items():
        if column != task.key and rng.random() < drop:
            continue
        about = descriptions.get(normal_form(value))
        shown[column] = (
            described(value, about) if about and rng.random() < recipe.descriptions else value
        )
    return query_prompt(task, instruction) + query_text(task, shown)


def described(value: str, about: str) -> str:
    """`pump (A machine that moves liquids)`."""
    return f"{value} ({about.strip().rstrip('.')})"


def item_as_read(task: Task, item: Item) -> str:
    """The item's text behind the output tag."""
    return item_prompt(task) + item.text
