"""What all corpora share: a corpus, a row, its split, and the columns that say where it comes from."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kgkit.graph.store import GraphStore
from kgkit.splits import Split

if TYPE_CHECKING:
    import pyarrow as pa

SplitName = Literal["train", "validation", "test"]
SIDES: Mapping[str, SplitName] = {"train": "train", "dev": "validation", "held_out": "test"}
"""Side of the asset's family -> split of the corpus."""
Row = dict[str, object]

ORIGIN = {
    "origin": "string",
    "role": "string",
    "sources": "string[]",
    "ask": "string",
    "teacher": "string",
    "prompt_name": "string",
    "prompt_version": "string",
}
"""Columns of a row that is a relation of the graph."""

LINEAGE = {
    "asset": "string",
    "part": "string",
    "sensor": "string",
    "failure_mode": "string",
    "parents": "string[]",
    "sources": "string[]",
    "ask": "string",
    "prompt_name": "string",
    "prompt_version": "string",
    "teacher": "string",
    "split": "string",
}
"""Columns of every row that is made of a passage. No column is called `prompt` but the one that trainers read as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One corpus: its name, what it is, and its columns.

    A column is `string`, `string[]`, `integer`, `float`, `boolean` or `messages` (a list of role and content).
    """

    name: str
    summary: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageCorpus(Corpus):
    """A corpus that passages of some kinds become, a page of all passages at a time, so that they are read once for all.

    `begin` gives what turns the pages, in the order of ids and with the columns of `passages.pages`, into the corpus's rows; it
    may remember what went before, and counts in its argument what it leaves out.
    """

    kinds: frozenset[str]
    begin: Callable[[Counter[str]], Callable[["pa.Table"], "pa.Table"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCorpus(Corpus):
    """A corpus that reads the graph itself; it counts in the last argument what it leaves out."""

    tables: Callable[[GraphStore, Split, Counter[str]], Iterator["pa.Table"]]
