"""What all corpora share: a row, its split, and the columns that say where it comes from."""

from collections.abc import Mapping
from typing import Literal

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
    "prompt": "string",
    "prompt_version": "string",
}
"""Columns of a row that is a relation of the graph."""
