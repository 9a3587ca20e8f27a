"""Refuse to train on what must stay unseen: held-out assets by column and by name, evaluation questions, matrices under `alia`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.errors import ContentError
from kgkit.evaluation.models import TrainedOn, trained_on
from kgkit.expand.scope import Assets
from kgkit.finetune.phrases import Phrases
from kgkit.finetune.recipe import Protocol
from kgkit.finetune.rows import Row
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

_MATRIX = "tells a cell of a sensor matrix"


def learned_before(model: Path, split: Split) -> TrainedOn | None:
    """What one of kgkit's own models has learned from, as its card says. Raises ContentError where that is a family that the split holds out."""
    learned = trained_on(model)
    if learned is None:
        return None
    if told := sorted({*learned.families} & {*split.held_out}):
        raise ContentError(
            f"{model}: it has learned from {', '.join(told)}, which this workspace holds out. What is trained from it could not be measured: "
            "take a model that has not, or load under the split that it was trained with"
        )
    return learned


class Guard:
    """What no row may tell, and the families that rows speak of, as they pass."""

    def __init__(
        self, graph: GraphStore, split: Split, protocol: Protocol, stems: "Sequence[str]"
    ) -> None:
        self._split = split
        self._protocol = protocol
        assets = Assets(reading.assets(graph, role=None), split)
        self._names = assets.held_out_pattern
        self._assets = assets.asset_pattern
        self._stems = Phrases(stems)
        self.families: set[str] = set()
        self.checked = self.refused = 0

    def passed(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows. What they name counts as learned. Raises ContentError at the first one that tells of the evaluation, and says what and where."""
        for row in rows:
            fault = self.fault(row)
            if fault:
                raise ContentError(
                    f"{row.part}, row {row.id[:16]}: {fault}. A model that learned it could not be measured: take the row out, or load under a split that does not hold it out"
                )
            yield self._named(row)

    def without(
        self, rows: Iterable[Row], left_out: Counter[str], *, foreign: bool
    ) -> Iterator[Row]:
        """The rows but those that tell of the evaluation, or of a matrix under `alia`, which are counted. `foreign`: not of kgkit's own making, so that what they name counts as learned."""
        for row in rows:
            if not self.fault(row):
                yield self._named(row) if foreign else self._seen(row)
                continue
            self.refused += 1
            left_out[_MATRIX if self._forbidden(row) else "tells of the evaluation"] += 1

    def _named(self, row: Row) -> Row:
        self.families.update(map(self._split.family, _names(self._assets, row.words)))
        return self._seen(row)

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
        if asked := self._stems.found(words):
            return f"asks what the evaluation asks: {asked}"
        return f"{_MATRIX}, and the protocol alia trains on none" if self._forbidden(row) else ""

    def _forbidden(self, row: Row) -> bool:
        return self._protocol == "alia" and row.matrix


def _names(pattern: "re.Pattern[str]", text: str) -> list[str]:
    return [found.group() for found in pattern.finditer(text)]


def _around(text: str, found: "re.Match[str]") -> str:
    return " ".join(text[max(found.start() - 40, 0) : found.end() + 40].split())
