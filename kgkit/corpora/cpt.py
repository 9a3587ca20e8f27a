"""The corpus for continued pre-training: one `text` column out of all passage corpora, within a budget of tokens.

Ids are digests, so the order of ids is a fair shuffle: passages are taken in it, all corpora merged, until the budget is
spent. A larger budget takes what a smaller one took, and more.
"""

import heapq
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice

from kgkit.corpora.passages import LINEAGE, questions, texts
from kgkit.corpora.row import Row
from kgkit.corpora.rows import Corpus
from kgkit.corpora.tokens import Tokens
from kgkit.errors import UsageError
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

SOURCES = ("kd_base", "kd_rephrase", "kd_qa", "kd_extend")
"""The corpora that it may be made of."""
_AT_ONCE = 500


def cpt(
    *,
    tokens: int | None = None,
    mix: Mapping[str, float] | None = None,
    tokenizer: Tokens | None = None,
    without: Container[str] = (),
) -> Corpus:
    """The corpus of all of SOURCES, or of those in `mix`, `without` the passages with these ids.

    With `tokens`, training rows are taken until their tokens reach it; `mix` gives each corpus its share (weights, of
    any sum). A corpus that has not enough gives all it has, once. Rows for validation are not budgeted.
    Raises UsageError for a corpus that is none of SOURCES, a weight that is not above 0, `mix` without `tokens`.
    """
    mix = mix or {}
    for name, weight in mix.items():
        if name not in SOURCES:
            raise UsageError(f"--mix {name}: choose from {', '.join(SOURCES)}")
        if weight <= 0:
            raise UsageError(f"--mix {name}={weight:g}: a weight is above 0")
    if mix and tokens is None:
        raise UsageError("--mix shares out a budget: give --tokens with it")
    names = [name for name in SOURCES if not mix or name in mix]
    budgets = {
        name: float("inf")
        if tokens is None
        else tokens * mix[name] / sum(mix.values())
        if mix
        else float(tokens)
        for name in names
    }

    def rows(graph: GraphStore, split: Split) -> Iterator[Row]:
        merged = heapq.merge(
            *(_texts_of(name, graph, split) for name in names), key=lambda row: str(row["id"])
        )
        kept = (row for row in merged if row["id"] not in without)
        return _within(kept, budgets, shared=not mix, tokenizer=tokenizer)

    return Corpus(
        name="cpt",
        summary="one text column for continued pre-training, out of the corpora in `corpus`",
        columns={
            "id": "string",
            "text": "string",
            "tokens": "integer",
            "corpus": "string",
            "kind": "string",
            **LINEAGE,
        },
        rows=rows,
    )


def _texts_of(name: str, graph: GraphStore, split: Split) -> Iterator[Row]:
    """A corpus's rows with `text` and `corpus`."""
    if name == "kd_qa":
        for row in questions(graph, split):
            text = f"Question: {row['question']}\nAnswer: {row['answer']}"
            yield {**row, "text": text, "kind": "qa", "corpus": name}
    else:
        for row in texts(name)(graph, split):
            yield {**row, "corpus": name}


def _within(
    rows: Iterator[Row],
    budgets: Mapping[str, float],
    *,
    shared: bool,
    tokenizer: Tokens | None,
) -> Iterator[Row]:
    """Training rows while their corpus (all together if `shared`) has tokens left; rows for validation as they are."""
    left = dict(budgets)
    while batch := list(islice(rows, _AT_ONCE)):
        for row, count in zip(batch, _counts(batch, tokenizer), strict=True):
            counted = {**row, "tokens": count}
            if row["split"] != "train" or count is None:
                yield counted
                continue
            purse = next(iter(left)) if shared else str(row["corpus"])
            if left[purse] > 0:
                left[purse] -= count
                yield counted


def _counts(batch: Sequence[Row], tokenizer: Tokens | None) -> list[int | None]:
    if tokenizer is None:
        return [None] * len(batch)
    return [len(ids) for ids in tokenizer.ids([str(row["text"]) for row in batch])]
