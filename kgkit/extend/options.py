"""The kinds of Phase II and what changes their asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "rephrase",
    "qa",
    "raft",
    "entities",
    "entity-centric",
    "interaction-centric",
    "descriptions",
]
KINDS: tuple[Kind, ...] = (
    "rephrase",
    "qa",
    "raft",
    "entities",
    "entity-centric",
    "interaction-centric",
)
"""The kinds that make corpora, `all` of them, each after those that it builds on."""
DESCRIPTIONS: Kind = "descriptions"
EVERY_KIND: tuple[Kind, ...] = (*KINDS, DESCRIPTIONS)
"""Those, and what is made for embedders and is in no corpus."""
RESTS_ON: Mapping[Kind, Kind] = {
    "raft": "qa",
    "entity-centric": "entities",
    "interaction-centric": "entities",
}
"""What a kind is made of; descriptions are made of the tables, the others of the knowledge documents of Phase I."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendOptions:
    """Which kinds, and `pairs_per_document`: how many pairs of entities interaction-centric explains for one document.

    None means all pairs.
    """

    kinds: tuple[Kind, ...] = KINDS
    pairs_per_document: int | None = 10

    def ordered(self) -> list[Kind]:
        """The kinds, each once and after those that it builds on."""
        return [kind for kind in EVERY_KIND if kind in self.kinds]
