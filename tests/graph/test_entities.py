"""What stands on shared entities is a function of the graph, on both stores."""

from collections.abc import Mapping

from kgkit.extend.resolve import settle_entities
from kgkit.graph.dump import dump_lines
from kgkit.graph.store import GraphStore
from kgkit.records import Edge, Node, Subgraph, Value
from tests.graph.graphs import edge, key, node

TABLE: Mapping[str, Value] = {"origin": "table", "role": "source"}
TEACHER: Mapping[str, Value] = {"origin": "teacher", "role": "source"}
NODES = (
    node("Asset", "pump", name="Pumps", code="PU", aliases=["Feed pump"], **TABLE),
    node("Component", "fan.pump", name="Pump", asset="fan", **TABLE),
    node("Component", "mixer.pump", name="Pump", asset="mixer", **TABLE),
    node("Sensor", "vibration", name="Vibration", **TABLE),
    node("Sensor", "noise", name="noise", role="evaluation"),
    node("FailureMode", "brd", name="Bearing damage", **TABLE),
)


def mentions(passage: str, *called: tuple[str, str, str]) -> Subgraph:
    """A document and what it mentions, as (entity, name, kind)."""
    nodes: list[Node] = [node("Passage", passage, text="x", asset="pump", **TEACHER)]
    edges: list[Edge] = []
    for id_, name, kind in called:
        nodes.append(node("Entity", id_, name=id_.replace("-", " "), **TEACHER))
        said = {"name": name, "kind": kind, **TEACHER}
        edges.append(edge(key("Passage", passage), "MENTIONS", key("Entity", id_), **said))
    return Subgraph(nodes=tuple(nodes), edges=tuple(edges))


def fill(store: GraphStore) -> None:
    store.merge(Subgraph(nodes=NODES))
    store.merge(mentions("p1", ("pump", "pump", "asset"), ("pu", "PU", "asset")))
    store.merge(
        mentions(
            "p2",
            ("pump", "Pumps", "concept"),
            ("vibration", "vibration sensor", "sensor"),
            ("bearing-damage", "bearing damage", "failure mode"),
            ("noise", "noise", "sensor"),
        )
    )
    store.merge(
        mentions(
            "p3",
            ("feed-pump", "feed pump", "asset"),
            ("bearings-damage", "bearings damage", "concept"),
            ("bearing-damage", "Bearing damage", "concept"),
            ("limit-above-level-1", "limit above level 1", "concept"),
            ("limit-above-level-2", "limit above level 2", "concept"),
        )
    )


def rows(store: GraphStore, cypher: str) -> list[tuple[object, ...]]:
    return sorted(store.query(cypher).rows, key=str)


def test_entities_are_what_most_call_them_and_all_that_they_can_be(store: GraphStore) -> None:
    fill(store)
    settle_entities(store)
    kinds = {
        str(row[0]): row[1] for row in store.query("MATCH (e:Entity) RETURN e.id, e.kind").rows
    }
    assert kinds == {
        "pump": "asset",
        "pu": "asset",
        "vibration": "sensor",
        "bearing-damage": "concept",
        "noise": "sensor",
        "feed-pump": "asset",
        "bearings-damage": "concept",
        "limit-above-level-1": "concept",
        "limit-above-level-2": "concept",
    }
    assert rows(store, "MATCH (e:Entity)-[r:SAME_AS]->(n) RETURN e.id, n.id, r.how") == [
        ("bearing-damage", "brd", "exact"),
        ("feed-pump", "pump", "alias"),
        ("pu", "pump", "alias"),
        ("pump", "fan.pump", "exact"),
        ("pump", "mixer.pump", "exact"),
        ("pump", "pump", "exact"),
        ("vibration", "vibration", "normalised"),
    ]
    near = "MATCH (a:Entity)-[r:NEAR_DUPLICATE_OF]->(b) RETURN a.id, b.id, r.jaccard"
    assert rows(store, near) == [("bearings-damage", "bearing-damage", 0.7059)]


def test_settling_again_writes_nothing(store: GraphStore) -> None:
    fill(store)
    settle_entities(store)
    before = list(dump_lines(store))

    class Watched:
        """The store, with what is written through it."""

        written: list[object] = []  # noqa: RUF012 - one instance

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def merge(self, subgraph: Subgraph) -> None:
            self.written += [*subgraph.nodes, *subgraph.edges]

        def delete(self, *, nodes: object = (), edges: object = ()) -> None:
            self.written += [*nodes, *edges]  # type: ignore[misc]

    settle_entities(Watched())  # type: ignore[arg-type]
    assert Watched.written == []
    assert list(dump_lines(store)) == before


def test_what_is_no_longer_said_goes_whatever_was_there_before(store: GraphStore) -> None:
    fill(store)
    one, other = key("Entity", "pump"), key("Entity", "vibration")
    store.merge(
        Subgraph(
            edges=(
                edge(one, "INTERACTS_WITH", other, {"passage": "gone"}, **TEACHER),
                edge(one, "NEAR_DUPLICATE_OF", other, jaccard=0.9, **TEACHER),
                edge(other, "SAME_AS", key("FailureMode", "brd"), how="exact", **TEACHER),
            )
        )
    )
    settle_entities(store)
    store.delete(nodes=[key("Passage", "p2"), key("FailureMode", "brd")])
    settle_entities(store)
    after = list(dump_lines(store))
    store.clear()
    store.merge(Subgraph(nodes=NODES[:-1]))
    store.merge(mentions("p1", ("pump", "pump", "asset"), ("pu", "PU", "asset")))
    store.merge(
        mentions(
            "p3",
            ("limit-above-level-2", "limit above level 2", "concept"),
            ("limit-above-level-1", "limit above level 1", "concept"),
            ("bearing-damage", "Bearing damage", "concept"),
            ("bearings-damage", "bearings damage", "concept"),
            ("feed-pump", "feed pump", "asset"),
        )
    )
    settle_entities(store)
    assert list(dump_lines(store)) == after


def test_a_graph_without_entities_is_left_alone(store: GraphStore) -> None:
    store.merge(Subgraph(nodes=NODES))
    before = list(dump_lines(store))
    settle_entities(store)
    assert list(dump_lines(store)) == before
