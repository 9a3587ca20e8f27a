"""Any graph of the closed schema is the same in both stores, and is what merging by hand gives."""

import pytest
from hypothesis import HealthCheck, given, settings

from kgkit.graph.dump import dump_lines
from kgkit.graph.store import GraphStore
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph
from tests.graph.conftest import Open
from tests.graph.graphs import subgraphs

SAME_FIXTURES = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
]
FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=SAME_FIXTURES,
    database=None,
)
MANY = settings(FEW, max_examples=300)


def merged_by_hand(parts: list[Subgraph]) -> list[Node | Edge]:
    """The law of merging, without a database."""
    graph: dict[NodeKey | EdgeKey, Node | Edge] = {}
    for part in parts:
        items: list[Node | Edge] = [*part.nodes, *part.edges]
        for item in items:
            there = graph.get(item.key)
            kept = there is not None and there.properties.get("origin") == "table"
            if kept and item.properties.get("origin") == "teacher":
                continue
            present = {
                name: value for name, value in item.properties.items() if value not in (None, [])
            }
            graph[item.key] = (
                Node(key=item.key, properties=present)
                if isinstance(item, Node)
                else Edge(key=item.key, properties=present)
            )
    nodes = [item for item in graph.values() if isinstance(item, Node)]
    edges = [item for item in graph.values() if isinstance(item, Edge)]
    return [
        *sorted(nodes, key=lambda item: (item.key.label, item.key.id)),
        *sorted(edges, key=lambda item: _edge_order(item.key)),
    ]


def _edge_order(key: EdgeKey) -> tuple[object, ...]:
    return (key.type, key.start.label, key.end.label, key.start.id, key.end.id, key.extra)


@FEW
@given(first=subgraphs(), second=subgraphs())
def test_the_embedded_store_keeps_the_law_of_merging(
    open_ladybug: Open, first: Subgraph, second: Subgraph
):
    store = open_ladybug()
    store.clear()
    store.merge(first)
    store.merge(second)
    assert list(store.dump()) == merged_by_hand([first, second])
    store.close()


def agree(embedded: GraphStore, server: GraphStore, parts: list[Subgraph]) -> None:
    for store in (embedded, server):
        store.clear()
        for part in parts:
            store.merge(part)
    lines = list(dump_lines(embedded))
    assert list(dump_lines(server)) == lines
    assert list(server.dump()) == merged_by_hand(parts)


@pytest.mark.neo4j
@FEW
@given(first=subgraphs(), second=subgraphs())
def test_both_stores_dump_the_same_bytes(
    open_ladybug: Open, open_neo4j: Open, first: Subgraph, second: Subgraph
):
    embedded, server = open_ladybug(), open_neo4j()
    agree(embedded, server, [first, second])
    embedded.close()
    server.close()


@pytest.mark.long
@pytest.mark.neo4j
@MANY
@given(first=subgraphs(), second=subgraphs())
def test_both_stores_dump_the_same_bytes_for_300_graphs(
    open_ladybug: Open, open_neo4j: Open, first: Subgraph, second: Subgraph
):
    embedded, server = open_ladybug(), open_neo4j()
    agree(embedded, server, [first, second])
    embedded.close()
    server.close()
