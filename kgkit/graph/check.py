"""Turn a Subgraph into checked batches: the closed graph type of schemas/graph.yaml is kept here, for both stores.

Batches have one label (or one type and one pair of end labels), are sorted by key and hold only values
that are there: None and [] are left out. So both stores get the same rows in the same order.
"""

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar, get_args

from kgkit.errors import KgkitError
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Origin, Subgraph, Value
from kgkit.schemas import GraphSpec, PropertyType, graph_spec

BATCH_ROWS = 10_000
"""Rows of one statement; 10,000 was the fastest size on both stores."""

MAX_ID_BYTES = 8_000
"""Longest id in UTF-8: a key of a Neo4j range index must stay under 8,167 bytes."""

Properties = dict[str, Value]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """The id of a node and the properties that it has."""

    id: str
    properties: Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRow:
    """The ends of an edge, its key properties in the order of the batch's `key`, and the properties it has."""

    start: str
    end: str
    extra: tuple[str, ...]
    properties: Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKind:
    """A label and its properties but `id`."""

    label: str
    columns: Mapping[str, PropertyType]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeKind:
    """A relationship type between two labels, its key properties and its other properties."""

    type: str
    start: str
    end: str
    key: tuple[str, ...]
    columns: Mapping[str, PropertyType]

    def edge_key(self, start: str, end: str, extra: tuple[str, ...]) -> EdgeKey:
        """The record that names one edge of this kind."""
        return EdgeKey(
            type=self.type,
            start=NodeKey(label=self.start, id=start),
            end=NodeKey(label=self.end, id=end),
            extra=tuple(zip(self.key, extra, strict=True)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBatch:
    """At most BATCH_ROWS nodes of one kind, sorted by id."""

    kind: NodeKind
    rows: tuple[NodeRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeBatch:
    """At most BATCH_ROWS edges of one kind, sorted by start, end and key properties."""

    kind: EdgeKind
    rows: tuple[EdgeRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """A checked subgraph: all nodes come before all edges."""

    nodes: tuple[NodeBatch, ...]
    edges: tuple[EdgeBatch, ...]


def node_kinds(spec: GraphSpec) -> list[NodeKind]:
    """Every label of the spec, sorted."""
    return [
        NodeKind(label=label, columns=spec.node_properties(label)) for label in sorted(spec.nodes)
    ]


def edge_kinds(spec: GraphSpec) -> list[EdgeKind]:
    """Every (type, start label, end label) of the spec, sorted."""
    return [
        EdgeKind(
            type=type_,
            start=start,
            end=end,
            key=tuple(sorted(relationship.key)),
            columns=spec.edge_properties(type_),
        )
        for type_, relationship in sorted(spec.relationships.items())
        for start, end in sorted(relationship.ends)
    ]


def batches(subgraph: Subgraph) -> Batches:
    """`subgraph` as sorted batches. Raises KgkitError that names the first node or edge out of order."""
    spec = graph_spec()
    nodes: dict[str, dict[str, NodeRow]] = defaultdict(dict)
    kinds_of_nodes = {kind.label: kind for kind in node_kinds(spec)}
    for node in subgraph.nodes:
        node_kind = _node_kind(node.key, kinds_of_nodes)
        rows = nodes[node.key.label]
        if node.key.id in rows:
            raise KgkitError(
                f"{show(node.key)} stands twice in one subgraph; merge its properties first"
            )
        rows[node.key.id] = _node_row(node, node_kind)
    edges: dict[tuple[str, str, str], dict[tuple[str, ...], EdgeRow]] = defaultdict(dict)
    kinds_of_edges = {(kind.type, kind.start, kind.end): kind for kind in edge_kinds(spec)}
    for edge in subgraph.edges:
        edge_kind = _edge_kind(edge.key, kinds_of_edges)
        row = _edge_row(edge, edge_kind)
        known = edges[edge_kind.type, edge_kind.start, edge_kind.end]
        identity = (row.start, row.end, *row.extra)
        if identity in known:
            raise KgkitError(
                f"{show(edge.key)} stands twice in one subgraph; merge its properties first"
            )
        known[identity] = row
    return Batches(
        nodes=tuple(
            NodeBatch(kind=kinds_of_nodes[label], rows=tuple(rows[id_] for id_ in ids))
            for label, rows in sorted(nodes.items())
            for ids in chunks(sorted(rows))
        ),
        edges=tuple(
            EdgeBatch(kind=kinds_of_edges[triple], rows=tuple(found[key] for key in keys))
            for triple, found in sorted(edges.items())
            for keys in chunks(sorted(found))
        ),
    )


def node_key_batches(keys: Iterable[NodeKey]) -> Iterator[tuple[NodeKind, list[NodeRow]]]:
    """Distinct node keys by label, as rows without properties. Raises KgkitError on an unknown label."""
    kinds = {kind.label: kind for kind in node_kinds(graph_spec())}
    ids: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        ids[_node_kind(key, kinds).label].add(key.id)
    for label, found in sorted(ids.items()):
        for part in chunks(sorted(found)):
            yield kinds[label], [NodeRow(id=id_, properties={}) for id_ in part]


def edge_key_batches(keys: Iterable[EdgeKey]) -> Iterator[tuple[EdgeKind, list[EdgeRow]]]:
    """Distinct edge keys by kind, as rows without properties. Raises KgkitError on an unknown kind."""
    kinds = {(kind.type, kind.start, kind.end): kind for kind in edge_kinds(graph_spec())}
    found: dict[tuple[str, str, str], set[tuple[str, ...]]] = defaultdict(set)
    for key in keys:
        kind = _edge_kind(key, kinds)
        extra = (value for _, value in sorted(key.extra))
        found[kind.type, kind.start, kind.end].add((key.start.id, key.end.id, *extra))
    for triple, identities in sorted(found.items()):
        for part in chunks(sorted(identities)):
            yield (
                kinds[triple],
                [
                    EdgeRow(start=start, end=end, extra=tuple(extra), properties={})
                    for start, end, *extra in part
                ],
            )


def missing_end(
    kind: EdgeKind, rows: Iterable[EdgeRow], bound: Container[tuple[str, ...]]
) -> KgkitError:
    """The error that names the first of `rows` whose (start, end) is not in `bound`."""
    lost = next(row for row in rows if (row.start, row.end) not in bound)
    key = kind.edge_key(lost.start, lost.end, lost.extra)
    return KgkitError(f"{show(key)}: an end is not in the graph; merge the node before the edge")


def chunks(items: list[T]) -> Iterator[list[T]]:
    """`items` in parts of at most BATCH_ROWS."""
    for begin in range(0, len(items), BATCH_ROWS):
        yield items[begin : begin + BATCH_ROWS]


def show(key: NodeKey | EdgeKey) -> str:
    """A key as an error message names it, cut to a readable length."""
    if isinstance(key, NodeKey):
        return f"{key.label} {_short(key.id)}"
    extra = ", ".join(f"{name}: {_short(value)}" for name, value in key.extra)
    return f"{show(key.start)} -[{key.type}{' {' + extra + '}' if extra else ''}]-> {show(key.end)}"


def _short(value: object) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else value[:77] + "...")
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _node_kind(key: NodeKey, kinds: Mapping[str, NodeKind]) -> NodeKind:
    if (kind := kinds.get(key.label)) is None:
        raise KgkitError(
            f"label {_short(key.label)} is not in schemas/graph.yaml; known: {', '.join(kinds)}"
        )
    return kind


def _edge_kind(key: EdgeKey, kinds: Mapping[tuple[str, str, str], EdgeKind]) -> EdgeKind:
    kind = kinds.get((key.type, key.start.label, key.end.label))
    if kind is None:
        ends = [f"{start}->{end}" for type_, start, end in kinds if type_ == key.type]
        known = (
            f"it joins {', '.join(ends)}"
            if ends
            else "known: " + ", ".join(sorted({k[0] for k in kinds}))
        )
        raise KgkitError(f"{show(key)}: no such relationship in schemas/graph.yaml; {known}")
    if tuple(name for name, _ in sorted(key.extra)) != kind.key:
        raise KgkitError(f"{show(key)}: its key properties must be exactly {list(kind.key)}")
    return kind


def _node_row(node: Node, kind: NodeKind) -> NodeRow:
    _check_id(node.key, node.key.id)
    return NodeRow(id=node.key.id, properties=_properties(node, kind.columns))


def _edge_row(edge: Edge, kind: EdgeKind) -> EdgeRow:
    extra = tuple(value for _, value in sorted(edge.key.extra))
    for value in (edge.key.start.id, edge.key.end.id, *extra):
        _check_id(edge.key, value)
    return EdgeRow(
        start=edge.key.start.id,
        end=edge.key.end.id,
        extra=extra,
        properties=_properties(edge, kind.columns),
    )


def _check_id(key: NodeKey | EdgeKey, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise KgkitError(f"{show(key)}: an id and a key property must be text that is not empty")
    if not value.isascii() and not _is_unicode(value):
        raise KgkitError(f"{show(key)}: an id holds half of a surrogate pair; clean the text first")
    if len(value) * 4 > MAX_ID_BYTES and len(value.encode()) > MAX_ID_BYTES:
        raise KgkitError(
            f"{show(key)}: an id is longer than {MAX_ID_BYTES} bytes; shorten the name it comes from"
        )


def _properties(item: Node | Edge, columns: Mapping[str, PropertyType]) -> Properties:
    stored: Properties = {}
    for name, value in item.properties.items():
        if (type_ := columns.get(name)) is None:
            raise KgkitError(
                f"{show(item.key)}: property {_short(name)} is not in schemas/graph.yaml; known: {', '.join(columns)}"
            )
        if value is None or value == []:
            continue
        if not _fits(value, type_):
            raise KgkitError(
                f"{show(item.key)}: property {name} must be {type_}, not {_short(value)}"
            )
        stored[name] = float(value) if type_ == "float" and isinstance(value, int) else value
    if stored.get("origin", "table") not in get_args(Origin):
        raise KgkitError(
            f"{show(item.key)}: origin must be one of {', '.join(get_args(Origin))}, not {stored['origin']!r}"
        )
    return stored


def _fits(value: Value, type_: PropertyType) -> bool:
    if type_ == "string":
        return isinstance(value, str) and (value.isascii() or _is_unicode(value))
    if type_ == "string[]":
        return isinstance(value, list) and all(_fits(item, "string") for item in value)
    if isinstance(value, bool):
        return False
    if type_ == "integer":
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return isinstance(value, (int, float)) and math.isfinite(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
