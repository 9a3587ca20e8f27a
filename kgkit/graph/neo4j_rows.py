"""What Neo4j's driver gives as kgkit's nodes and edges, and as JSON-able data."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kgkit.graph import check
from kgkit.records import Edge, Node, NodeKey

if TYPE_CHECKING:
    import neo4j


def dump_nodes(transaction: "neo4j.Transaction", kind: check.NodeKind) -> Iterator[Node]:
    """All nodes of a kind, by id."""
    found = transaction.run(
        f"MATCH (n:`{kind.label}`) WHERE n.id > '' RETURN n.id, properties(n) ORDER BY n.id"
    )
    for id_, properties in found:
        yield Node(
            key=NodeKey(label=kind.label, id=id_), properties=_known(kind.columns, properties)
        )


def dump_edges(transaction: "neo4j.Transaction", kind: check.EdgeKind) -> Iterator[Edge]:
    """All edges of a kind, by start, end and key properties."""
    order = ", ".join(["a.id", "b.id", *(f"r.`{name}`" for name in kind.key)])
    found = transaction.run(
        f"MATCH (a:`{kind.start}`)-[r:`{kind.type}`]->(b:`{kind.end}`) WHERE a.id > '' "
        f"RETURN a.id, b.id, properties(r) ORDER BY {order}"
    )
    for start, end, properties in found:
        extra = tuple(properties[name] for name in kind.key)
        yield Edge(
            key=kind.edge_key(start, end, extra), properties=_known(kind.columns, properties)
        )


def _known(columns: Mapping[str, str], properties: dict[str, Any]) -> check.Properties:
    """The properties that schemas/graph.yaml knows: what people add in Neo4j Browser is theirs."""
    return {
        name: properties[name]
        for name in columns
        if properties.get(name) is not None and properties[name] != []
    }


def plain(cell: Any) -> object:  # noqa: ANN401 - whatever the database gives
    """A cell of a query as JSON-able data; see Rows."""
    from neo4j import graph

    if isinstance(cell, graph.Node):
        return {"_label": min(cell.labels, default=""), **_plain_map(cell)}
    if isinstance(cell, graph.Relationship):
        return {"_type": cell.type, **_plain_map(cell)}
    if isinstance(cell, graph.Path):
        steps = [plain(cell.start_node)]
        for relationship, node in zip(cell.relationships, cell.nodes[1:], strict=True):
            steps += [plain(relationship), plain(node)]
        return steps
    if isinstance(cell, dict):
        return _plain_map(cell)
    if isinstance(cell, (list, tuple)) and not hasattr(cell, "srid"):
        return [plain(item) for item in cell]
    if cell is None or isinstance(cell, (str, int, float, bool)):
        return cell
    return cell.iso_format() if hasattr(cell, "iso_format") else str(cell)


def _plain_map(items: Mapping[str, Any]) -> dict[str, object]:
    return {str(name): plain(value) for name, value in items.items()}
