"""Turn what a user typed into scopes to expand. A scope is one asset, or one part of an asset at depth 2."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kgkit.errors import UsageError
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import asset_id, normal_form, plain, spoken
from kgkit.records import NodeKey
from kgkit.splits import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What changes the asks of an expansion. `samples`: votes per relevance ask. `depth` 2: parts as well."""

    samples: int = 1
    depth: int = 1
    describe_no: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FedBack:
    """A sensor or a failure mode that documents of an asset name and that Phase I takes up; `ask` named it."""

    label: Literal["Sensor", "FailureMode"]
    id: str
    name: str
    ask: str
    teacher: str
    prompt: str
    prompt_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One asset (`part` is None) or one of its parts, with all that its asks need to know of the rest.

    `name` is how prompts call it, `category` as the taxonomy says. The patterns find its own names, names
    of any asset, and names of held-out assets in a text. `fed_back` is what Phase II found for the asset.
    `held_out`: the asset is held out itself, and may be described for evaluation, no more.
    """

    asset: str
    name: str
    category: str
    part: reading.Part | None
    options: Options
    own_pattern: re.Pattern[str]
    asset_pattern: re.Pattern[str]
    held_out_pattern: re.Pattern[str]
    fed_back: tuple[FedBack, ...] = ()
    held_out: bool = False

    @property
    def key(self) -> NodeKey:
        """The node that is monitored: the part, else the asset."""
        return NodeKey(label=self.label, id=self.part.id if self.part else self.asset)

    @property
    def label(self) -> Literal["Asset", "Subunit", "Component"]:
        """Label of that node."""
        return self.part.label if self.part else "Asset"

    def speakable(self, examples: Iterable[str]) -> tuple[str, ...]:
        """The examples that name no held-out asset."""
        return tuple(text for text in examples if not self.held_out_pattern.search(text))

    @property
    def part_id(self) -> str | None:
        """Id of the part, None for a whole asset."""
        return self.part.id if self.part else None


class Assets:
    """All assets of the graph under one split: finds what a user typed, makes scopes."""

    def __init__(
        self,
        rows: Iterable[reading.Asset],
        split: Split,
        fed_back: Mapping[str, tuple[FedBack, ...]] | None = None,
    ) -> None:
        self.rows = {row.id: row for row in rows}
        self.split = split
        self._fed_back = fed_back or {}
        self._names = {
            name: row.id for row in self.rows.values() for name in (row.name, *row.aliases)
        }
        held_out = {name for name in self._names if split.side(name) == "held_out"}
        self.asset_pattern = names_pattern(self._names)
        self._held_out_names = held_out | set(split.held_out_names())
        self.held_out_pattern = names_pattern(self._held_out_names)

    def find(self, typed: str) -> reading.Asset:
        """The asset that `typed` means: its id, name, class code or an alias, in any case, singular or plural.

        Raises UsageError that names the nearest ones.
        """
        from rapidfuzz import fuzz, process

        if not self.rows:
            raise UsageError("the graph holds no assets: run `kgkit load` first")
        for row in self.rows.values():
            spellings = {asset_id(name) for name in (row.id, row.name, *row.aliases)}
            if asset_id(typed) in spellings or (row.code and plain(typed) == plain(row.code)):
                return row
        names = {normal_form(row.name): row.name for row in self.rows.values()}
        found = process.extract(normal_form(typed), list(names), scorer=fuzz.ratio, limit=3)
        near = [names[form] for form, _, _ in found]
        raise UsageError(
            f"no asset is called {typed}; did you mean {', '.join(near)}? (`kgkit status` lists all)"
        )

    def is_open(self, asset: str) -> bool:
        """Whether something may be generated about the asset with this id."""
        row = self.rows[asset]
        return self.split.side(row.name) != "held_out" and row.role == "source"

    def is_held_out(self, asset: str) -> bool:
        """Whether the split holds the asset with this id out."""
        return self.split.side(self.rows[asset].name) == "held_out"

    def held_out_scope(self, asset: str) -> Scope:
        """The scope of a held-out asset, in which assets of its own family may be named and no other held-out one."""
        family = self.split.family(self.rows[asset].name)
        others = {name for name in self._held_out_names if self.split.family(name) != family}
        scope = self._scope(asset, Options())
        return replace(scope, held_out_pattern=names_pattern(others), held_out=True)

    def scope(self, asset: str, options: Options) -> Scope:
        """The scope of the asset with this id. Raises UsageError if it is held out or for evaluation alone."""
        row = self.rows[asset]
        self.split.require_open(row.name)
        if row.role == "evaluation":
            raise UsageError(
                f"{row.name} is named by evaluation tables alone; nothing is generated about it"
            )
        return self._scope(asset, options)

    def _scope(self, asset: str, options: Options) -> Scope:
        row = self.rows[asset]
        own = {row.name, *row.aliases}
        return Scope(
            asset=asset,
            name=spoken(row.name),
            category=spoken(row.category),
            part=None,
            options=options,
            own_pattern=names_pattern(own),
            asset_pattern=self.asset_pattern,
            held_out_pattern=self.held_out_pattern,
            fed_back=self._fed_back.get(asset, ()),
        )

    def next_scopes(self, scope: Scope, graph: GraphStore, linked: Iterable[str]) -> list[Scope]:
        """What depth 2 adds to an asset's scope: `linked` assets and the asset's own parts.

        A part that is an asset of its own leads to that asset; any other part becomes a scope. What is
        held out is left out.
        """
        scopes: dict[str, Scope] = {}
        for asset in linked:
            if self.is_open(asset):
                scopes[asset] = self.scope(asset, scope.options)
        for part in reading.parts_of(graph, scope.asset):
            as_asset = asset_id(part.name)
            if as_asset in self.rows:
                if self.is_open(as_asset):
                    scopes.setdefault(as_asset, self.scope(as_asset, scope.options))
            elif not self.held_out_pattern.search(part.name):
                scopes[part.id] = part_scope(part, scope)
        scopes.pop(scope.asset, None)
        return [scopes[key] for key in sorted(scopes)]


def part_scope(part: reading.Part, scope: Scope) -> Scope:
    """The scope of a part of `scope`'s asset."""
    within = f"{spoken(part.within)} of the {scope.name}" if part.within else scope.name
    return replace(
        scope,
        name=f"{spoken(part.name)} of the {within}",
        part=part,
        own_pattern=names_pattern([part.name, scope.name]),
        fed_back=(),
    )


def names_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds any of `names` as whole words in any case, singular or plural; matches nothing if there are none.

    Between two words of a name there may be any white space or a dash: an `electric-generator` is found as well.
    """
    forms = {normal_form(name) for name in names} | {plain(name) for name in names}
    if not forms:
        return re.compile(r"(?!)")
    alternatives = "|".join(
        _either_number(form) for form in sorted(forms, key=lambda form: (-len(form), form))
    )
    return re.compile(rf"(?<!\w)(?:{alternatives})(?:e?s)?(?!\w)", re.IGNORECASE)


def _either_number(form: str) -> str:
    """The pattern of one name; `battery` finds `batteries`."""
    words = [re.escape(word) for word in re.split(r"\s+|(?<=\w)-(?=\w)", form)]
    if re.search(r"[^aeiou\W]y$", words[-1]):
        words[-1] = f"{words[-1][:-1]}(?:y|ies)"
    return r"[\s\u2010-\u2015-]+".join(words)
