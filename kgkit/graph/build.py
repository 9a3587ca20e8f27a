"""Turn table rows into nodes and edges. Pure: no database, no network, and no matter in which order rows come.

Every row states facts by the fields that it has, whatever its layout is called: an asset and a failure mode give
EXPERIENCES, an asset and a sensor MONITORED_BY, a tick RELEVANT_TO, and so on. The same fact from several rows is one
item whose sources are all the cells that state it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from kgkit.names import asset_id, failure_mode_id, sensor_id, slug
from kgkit.records import (
    Cell,
    Edge,
    EdgeKey,
    Node,
    NodeKey,
    Role,
    Subgraph,
    TableRow,
    Value,
    canonical_json,
)
from kgkit.splits import Split

_NAMING_LAYOUTS = ("taxonomy", "failure-mode-codes")
_LISTED = {
    "example": "examples",
    "cause": "causes",
    "effect": "effects",
    "detection": "detections",
    "function": "functions",
    "component": "components",
}
_RATINGS = ("rpn", "severity", "occurrence", "detectability")
_FMEA_FIELDS = ("cause", "effect", "detection", "function", *_RATINGS)

_asset_id, _failure_mode_id, _sensor_id, _slug = map(
    cache, (asset_id, failure_mode_id, sensor_id, slug)
)


@dataclass(slots=True)
class _Item:
    """What the rows of one role say of one node or edge."""

    names: set[tuple[int, int, str]] = field(default_factory=set)
    lists: dict[str, set[str]] = field(default_factory=dict)
    texts: dict[str, set[str]] = field(default_factory=dict)
    worst: tuple[int, ...] = ()
    sources: set[str] = field(default_factory=set)

    def add(self, cells: Iterable[Cell]) -> None:
        self.sources.update(str(cell.source) for cell in cells)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The cells of one row by field, with their names resolved."""

    cells: Mapping[str, Cell]
    role: Role
    rank: int
    asset: NodeKey | None
    failure_mode: NodeKey | None


def build(rows: Iterable[TableRow], *, split: Split) -> Subgraph:
    """The graph that `rows` state: nodes sorted by key, edges sorted by key, no end missing.

    `role` is evaluation where every row that says so was loaded for evaluation or is about an asset that
    `split` holds out. An item that a source row states too takes its properties from source rows alone.
    """
    builder = _Builder(split)
    late = [row for row in rows if not builder.take(row)]
    builder.resolve()
    for row in late:
        builder.take(row)
    return builder.subgraph()


class _Builder:
    """Collects items; a row that names its asset or failure mode by code waits until all codes are known."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.nodes: dict[tuple[NodeKey, Role], _Item] = {}
        self.edges: dict[tuple[EdgeKey, Role], _Item] = {}
        self.codes: dict[tuple[str, str], set[str]] = {}
        self.resolved: dict[tuple[str, str], str] | None = None

    def resolve(self) -> None:
        """From now on codes stand for names."""
        self.resolved = {key: min(names) for key, names in self.codes.items()}

    def take(self, row: TableRow) -> bool:
        """Add the row's facts; False if it must wait for codes."""
        named = {what: self._name(row.cells, what) for what in ("asset", "failure_mode")}
        if None in named.values():
            return False
        asset = _key("Asset", named["asset"], _asset_id)
        mode = _key("FailureMode", named["failure_mode"], _failure_mode_id)
        held_out = asset is not None and self.split.side(asset.id) == "held_out"
        reader = _Reader(
            cells=row.cells,
            role="evaluation" if held_out else row.role,
            rank=0 if row.layout in _NAMING_LAYOUTS else 1,
            asset=asset,
            failure_mode=mode,
        )
        self._equipment(reader, named["asset"] or "")
        self._failure_mode(reader, named["failure_mode"] or "")
        self._sensor(reader)
        return True

    def _name(self, cells: Mapping[str, Cell], what: str) -> str | None:
        """The name of the row's asset or failure mode, "" if it has none, None if codes are needed first."""
        name, code = cells.get(what), cells.get(f"{what}_code")
        text = _line(name) if name else ""
        if text and code:
            self.codes.setdefault((what, code.text), set()).add(text)
            return text
        mention = text or (code.text if code else "")
        looks_like_code = bool(code) or (len(text) <= 4 and text.isupper())
        if not mention or not looks_like_code:
            return mention
        return None if self.resolved is None else self.resolved.get((what, mention), mention)

    def _node(
        self, reader: _Reader, key: NodeKey, cells: Iterable[Cell | None], name: str
    ) -> _Item:
        item = self.nodes.setdefault((key, reader.role), _Item())
        item.names.add((reader.rank, len(name), name))
        item.add(cell for cell in cells if cell)
        return item

    def _edge(
        self,
        reader: _Reader,
        type_: str,
        start: NodeKey,
        end: NodeKey,
        cells: Iterable[Cell | None],
        *,
        extra: tuple[tuple[str, str], ...] = (),
    ) -> _Item:
        key = EdgeKey(type=type_, start=start, end=end, extra=extra)
        item = self.edges.setdefault((key, reader.role), _Item())
        item.add(cell for cell in cells if cell)
        return item

    def _equipment(self, reader: _Reader, name: str) -> None:
        """Category, asset, type, subunit and component, and what holds them together."""
        asset, cells = reader.asset, reader.cells
        category = cells.get("category")
        if asset is None:
            return
        said = cells.get("asset") or cells.get("asset_code")
        item = self._node(reader, asset, (said, cells.get("asset_code")), name)
        if code := cells.get("asset_code"):
            item.texts.setdefault("code", set()).add(code.text)
        if category:
            key = NodeKey(label="Category", id=_slug(category.text))
            self._node(reader, key, (category,), _line(category))
            self._edge(reader, "HAS_CLASS", key, asset, (category, said))
        if type_ := cells.get("type"):
            key = NodeKey(label="EquipmentType", id=f"{asset.id}.{_slug(type_.text)}")
            kind = self._node(reader, key, (type_, cells.get("type_code")), _line(type_))
            if type_code := cells.get("type_code"):
                kind.texts.setdefault("code", set()).add(type_code.text)
            self._edge(reader, "HAS_TYPE", asset, key, (type_, said))
        self._parts(reader, asset, said)

    def _parts(self, reader: _Reader, asset: NodeKey, said: Cell | None) -> None:
        parent, parent_cell = asset, said
        subunit, component = reader.cells.get("subunit"), reader.cells.get("component")
        if subunit:
            key = NodeKey(label="Subunit", id=f"{asset.id}.{_slug(subunit.text)}")
            item = self._node(reader, key, (subunit,), _line(subunit))
            item.texts["asset"] = {asset.id}
            self._edge(reader, "HAS_SUBUNIT", asset, key, (subunit, said))
            parent, parent_cell = key, subunit
        if component:
            key = NodeKey(label="Component", id=f"{parent.id}.{_slug(component.text)}")
            item = self._node(reader, key, (component,), _line(component))
            item.texts["asset"] = {asset.id}
            self._edge(reader, "HAS_COMPONENT", parent, key, (component, parent_cell))

    def _failure_mode(self, reader: _Reader, name: str) -> None:
        mode, cells, asset = reader.failure_mode, reader.cells, reader.asset
        if mode is None:
            return
        said = cells.get("failure_mode") or cells.get("failure_mode_code")
        code, description = cells.get("failure_mode_code"), cells.get("description")
        item = self._node(reader, mode, (said, code, description), name)
        for property_, cell in (("code", code), ("description", description)):
            if cell:
                item.texts.setdefault(property_, set()).add(cell.text)
        if class_ := cells.get("failure_class"):
            key = NodeKey(label="FailureClass", id=_slug(class_.text))
            self._node(reader, key, (class_,), _line(class_))
            self._edge(reader, "IN_CLASS", mode, key, (class_, said))
        tick = cells.get("tick")
        if asset and (tick is None or tick.text == "Yes" or "sensor" in cells):
            evidence = None if "sensor" in cells else tick
            self._experience(reader, asset, mode, said, evidence)

    def _experience(
        self,
        reader: _Reader,
        asset: NodeKey,
        mode: NodeKey,
        said: Cell | None,
        tick: Cell | None,
    ) -> None:
        cells = reader.cells
        listed = {name: cells[name] for name in _LISTED if name in cells}
        ratings = {name: cells[name] for name in _RATINGS if name in cells}
        item = self._edge(
            reader, "EXPERIENCES", asset, mode, (said, tick, *listed.values(), *ratings.values())
        )
        for name, cell in listed.items():
            item.lists.setdefault(_LISTED[name], set()).add(cell.text)
        if any(name in cells for name in _FMEA_FIELDS):
            row = {"source": str(said.source) if said else ""}
            row.update((name, cell.text) for name, cell in {**listed, **ratings}.items())
            item.lists.setdefault("fmea", set()).add(canonical_json(row))
            item.worst = max(item.worst, tuple(_whole(ratings.get(name)) for name in _RATINGS))

    def _sensor(self, reader: _Reader) -> None:
        sensor, asset, mode = reader.cells.get("sensor"), reader.asset, reader.failure_mode
        if sensor is None:
            return
        key = NodeKey(label="Sensor", id=_sensor_id(sensor.text))
        self._node(reader, key, (sensor,), _line(sensor))
        if asset is None:
            return
        self._edge(reader, "MONITORED_BY", asset, key, (sensor,))
        if mode is not None and (tick := reader.cells.get("tick")):
            item = self._edge(
                reader, "RELEVANT_TO", key, mode, (tick,), extra=(("asset", asset.id),)
            )
            item.texts.setdefault("label", set()).add(tick.text)

    def subgraph(self) -> Subgraph:
        """All items, sorted; what source rows say hides what evaluation rows say of the same item."""
        nodes = [
            Node(key=key, properties=self._node_properties(key, item, role))
            for (key, role), item in self.nodes.items()
            if role == "source" or (key, "source") not in self.nodes
        ]
        edges = [
            Edge(key=key, properties=_properties(item, role))
            for (key, role), item in self.edges.items()
            if role == "source" or (key, "source") not in self.edges
        ]
        return Subgraph(
            nodes=tuple(sorted(nodes, key=lambda node: (node.key.label, node.key.id))),
            edges=tuple(sorted(edges, key=lambda edge: _edge_order(edge.key))),
        )

    def _node_properties(self, key: NodeKey, item: _Item, role: Role) -> dict[str, Value]:
        name = min(item.names)[2]
        properties: dict[str, Value] = {"name": name, **_properties(item, role)}
        others = sorted({other for _, _, other in item.names} - {name})
        if others and key.label in ("Asset", "FailureMode", "Sensor"):
            properties["aliases"] = others
        if key.label == "Asset":
            properties["family"] = self.split.family(key.id)
        return properties


def _properties(item: _Item, role: Role) -> dict[str, Value]:
    properties: dict[str, Value] = {
        "origin": "table",
        "role": role,
        "sources": sorted(item.sources),
    }
    properties.update((name, sorted(texts)) for name, texts in sorted(item.lists.items()))
    # Of two labels `Yes` is the greater: a mark anywhere counts. Codes and descriptions: the first in order.
    for name, texts in sorted(item.texts.items()):
        properties[name] = max(texts) if name == "label" else min(texts)
    for name, number in zip(_RATINGS, item.worst, strict=False):
        if number >= 0:
            properties[name] = number
    return properties


def _edge_order(key: EdgeKey) -> tuple[object, ...]:
    return (key.type, key.start.label, key.start.id, key.end.label, key.end.id, key.extra)


def _key(label: str, name: str | None, id_of: Callable[[str], str]) -> NodeKey | None:
    return NodeKey(label=label, id=id_of(name)) if name else None


def _line(cell: Cell) -> str:
    """A name on one line."""
    return " ".join(cell.text.split())


def _whole(cell: Cell | None) -> int:
    """A rating as a whole number, -1 for one that is missing or is none."""
    text = cell.text if cell else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
