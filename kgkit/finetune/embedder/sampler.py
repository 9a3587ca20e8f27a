"""Decide which rows each step learns from: one task a step, as often as `balance` says, pairs as balanced as the loss says. Pure.

All steps are drawn before the first, so that what is learned from can be searched, counted and read, and a run goes on where it
stopped.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TypeVar

from kgkit.errors import UsageError
from kgkit.finetune.embedder.recipe import AllItems, Contrastive, EmbedderRecipe, Ordered
from kgkit.finetune.embedder.rows import TEXTS, Descriptions, Row, item_as_read, query_as_asked
from kgkit.finetune.rows import Row as Text
from kgkit.retrieval.pose import Item, Posed, Query

Pair = tuple[Query, Item]
Batch = tuple[Row, ...]
Nearest = Mapping[tuple[str, str], Sequence[str]]
"""(task, query id) -> ids of items that are not relevant to the query, the nearest first."""
_One = TypeVar("_One")


def draw(
    recipe: EmbedderRecipe,
    learned: Mapping[str, Posed],
    *,
    descriptions: Descriptions,
    nearest: Nearest,
) -> list[Batch]:
    """The rows of every step, in order. `learned`: task -> its training side; `nearest`: hard negatives, where the loss wants some.

    Raises UsageError where a task has nothing to draw.
    """
    rng = random.Random(recipe.seed)  # noqa: S311 - a draw of data
    order = task_order(recipe, {name: len(one.queries) for name, one in learned.items()}, rng=rng)
    streams = {name: _batches(recipe, one, nearest, rng) for name, one in learned.items()}
    return [
        tuple(_row(recipe, learned[name], pair, descriptions, rng) for pair in next(streams[name]))
        for name in order
    ]


def draw_texts(recipe: EmbedderRecipe, texts: Sequence[Text]) -> list[Batch]:
    """The rows of every step where no task is learned: texts as they are. Raises UsageError where there is none."""
    if not texts:
        raise UsageError("loss.texts: there is no text to learn from")
    again = _again(texts, random.Random(recipe.seed))  # noqa: S311 - a draw of data
    return [
        tuple(
            Row(task=TEXTS, query=one.id, item="", relevant=True, text=one.words, item_text="")
            for one in islice(again, recipe.batch)
        )
        for _ in range(recipe.steps)
    ]


def task_order(
    recipe: EmbedderRecipe, queries: Mapping[str, int], *, rng: random.Random
) -> list[str]:
    """The task of each step: shares go by the number of queries to the power `balance`, each task has a step at least."""
    weights = {name: count**recipe.balance for name, count in queries.items()}
    whole = sum(weights.values())
    exact = {name: max(1.0, recipe.steps * weight / whole) for name, weight in weights.items()}
    order = [name for name, share in exact.items() for _ in range(int(share))]
    behind = sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))
    order += behind[: max(0, recipe.steps - len(order))]
    rng.shuffle(order)
    return order


def _batches(
    recipe: EmbedderRecipe, posed: Posed, nearest: Nearest, rng: random.Random
) -> Iterator[list[tuple[Query, Item | None]]]:
    """Endless batches of a task: queries, or pairs."""
    loss, size = recipe.loss, recipe.batch
    items = {item.id: item for item in posed.items}
    if isinstance(loss, AllItems):
        queries = _again(posed.queries, rng)
        size = min(size, len(posed.queries))
        while True:
            yield [(next(queries), None) for _ in range(size)]
    positives: list[Pair] = [
        (query, items[id_]) for query in posed.queries for id_ in sorted(posed.relevant[query.id])
    ]
    share = loss.positives if isinstance(loss, Contrastive | Ordered) else 1.0
    right = round(share * size)
    negatives: list[Pair] = [
        (query, item)
        for query in posed.queries
        for item in posed.items
        if share < 1 and item.id not in posed.relevant[query.id]
    ]
    if right < size and not negatives:
        raise UsageError(
            f"{posed.task.name}: every item is relevant to every query, so that there is no pair to tell apart; leave it out of tasks"
        )
    hard = loss.hard if isinstance(loss, Contrastive | Ordered) else None
    near = [
        (query, items[id_])
        for query in posed.queries
        if hard
        for id_ in nearest[posed.task.name, query.id][: hard.depth]
    ]
    mined = round(hard.share * (size - right)) if hard and near else 0
    streams = ((positives, right), (near, mined), (negatives, size - right - mined))
    drawn = [(_again(pairs, rng), count) for pairs, count in streams]
    while True:
        yield [next(pairs) for pairs, count in drawn for _ in range(count)]


def _again(some: Sequence[_One], rng: random.Random) -> Iterator[_One]:
    """All of them in random order, again and again."""
    return chain.from_iterable(iter(lambda: rng.sample(some, len(some)), None))


def _row(
    recipe: EmbedderRecipe,
    posed: Posed,
    pair: tuple[Query, Item | None],
    descriptions: Descriptions,
    rng: random.Random,
) -> Row:
    query, item = pair
    text = query_as_asked(posed.task, query, recipe=recipe, descriptions=descriptions, rng=rng)
    return Row(
        task=posed.task.name,
        query=query.id,
        item=item.id if item else "",
        relevant=item is None or item.id in posed.relevant[query.id],
        text=text,
        item_text=item_as_read(posed.task, item) if item else "",
    )
