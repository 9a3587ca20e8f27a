"""Refuse to train on what must stay unseen: held-out assets by column and by name, evaluation questions, matrices under `alia`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.errors import ContentError
from kgkit.evaluation.models import trained_on
from kgkit.expand.scope import Assets
from kgkit.finetune.recipe import Protocol
from kgkit.finetune.rows import Row
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import plain
from kgkit.splits import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

_MATRIX = "tells a cell of a sensor matrix"


def learned_before(model: Path, split: Split) -> list[str]:
    """The families that one of kgkit's own models has learned from, as its card says. Raises ContentError where the split holds one out."""
    learned = trained_on(model)
    if learned is None:
        return []
    if told := sorted({*learned.families} & {*split.held_out}):
        raise ContentError(
            f"{model}: it has learned from {', '.join(told)}, which this workspace holds out. What is trained from it could not be measured: "
            "take a model that has not, or load under the split that it was trained with"
        )
    return learned.families


class Guard:
    """What no row may tell, and the families that rows speak of, as they pass."""

    def __init__(
        self, graph: GraphStore, split: Split, protocol: Protocol, stems: "Sequence[str]"
    ) -> None:
        self._split = split
        self._protocol = protocol
        self._names = Assets(reading.assets(graph, role=None), split).held_out_pattern
        self._stems = {plain(stem) for stem in stems}
        self.families: set[str] = set()
        self.checked = 0

    def passed(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows. Raises ContentError at the first one that tells of the evaluation, and says what and where."""
        for row in rows:
            fault = self.fault(row)
            if fault:
                raise ContentError(
                    f"{row.part}, row {row.id[:16]}: {fault}. A model that learned it could not be measured: take the row out, or train under another split (`kgkit load --split none`)"
                )
            yield self._seen(row)

    def without(self, rows: Iterable[Row], left_out: Counter[str]) -> Iterator[Row]:
        """The rows of kgkit's own making but those that tell of the evaluation, or of a matrix under `alia`, which are counted."""
        for row in rows:
            if self._forbidden(row):
                left_out[_MATRIX] += 1
            elif self.fault(row):
                left_out["tells of the evaluation"] += 1
            else:
                yield self._seen(row)

    def _seen(self, row: Row) -> Row:
        if row.asset:
            self.families.add(self._split.family(row.asset))
        self.checked += 1
        return row

    def fault(self, row: Row) -> str:
        """What the row tells of the evaluation, "" if nothing."""
        if row.asset and self._split.side(row.asset) == "held_out":
            return f"is about {row.asset}, which is held out"
        if row.asset and self._split.side(row.asset) == "dev":
            return f"is about {row.asset}, which is for development, not for training"
        words = row.words
        found = self._names.search(words)
        if found:
            return f"names {found.group()}, which is held out: {_around(words, found)}"
        asked = next((line for line in words.splitlines() if plain(line) in self._stems), "")
        if asked:
            return f"asks what the evaluation asks: {asked}"
        return f"{_MATRIX}, and the protocol alia trains on none" if self._forbidden(row) else ""

    def _forbidden(self, row: Row) -> bool:
        return self._protocol == "alia" and row.matrix


def _around(text: str, found: "re.Match[str]") -> str:
    return " ".join(text[max(found.start() - 40, 0) : found.end() + 40].split())
