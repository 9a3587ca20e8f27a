"""Whatever stands in a name, a key or a text stays data, byte for byte, in both stores."""

import pytest

from kgkit.graph.store import GraphStore
from kgkit.records import Node, Subgraph
from tests.graph.graphs import edge, node

FRAGMENTS = [
    "'", '"', "`", "\\", "\\'", "'; DROP TABLE Asset; //", "\"}) DETACH DELETE n //",
    "'}) MATCH (n) DETACH DELETE n RETURN ('", "pump' OR '1'='1", "$id", "$rows", "{{7*7}}", "${x}",
    "`:Asset`", "\\u0027", "\\x27", "%27", "/* */", "// end", ";", "\0", "a\0b", "\n", "\r\n", "\t", " ", "  x ",
    "\u200b", "\ufeff", "\u202eabc\u202c", "שלום", "مضخة", "泵", "🛠️", "👩‍🔧", "e\u0301", "é", "ß", "İ", "ǆ",
    "\U0010ffff", "\ufffd", "\uffff", "NULL", "null", "None", "true", "NaN", "-1", "1e5", "=1+1", "@x", "+x", "[]",
    "{}", "[1, 2]", "{a: 1}", "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1/", "<script>alert(1)</script>",
    "\x1b[31m", "\x7f", "\x80", "\u2028", "\u2029", "n" * 1999,
]  # fmt: skip
HOSTILE = [*FRAGMENTS, *(f"pump {fragment} x" for fragment in FRAGMENTS)]


def hostile_nodes() -> tuple[Node, ...]:
    return tuple(
        node(
            "Asset",
            name,
            name=name,
            code=name,
            aliases=[name, name],
            sources=[name],
            origin="table",
        )
        for name in sorted(set(HOSTILE))
    )


def test_hostile_names_come_back_byte_for_byte_and_nothing_else_happens(store: GraphStore):
    nodes = hostile_nodes()
    store.merge(Subgraph(nodes=nodes))
    assert list(store.dump()) == list(nodes)
    store.merge(Subgraph(nodes=nodes))
    assert list(store.dump()) == list(nodes)


def test_hostile_keys_join_and_part_edges(store: GraphStore):
    names = sorted(set(HOSTILE))
    mode = node("FailureMode", "'")
    sensors = tuple(node("Sensor", name) for name in names)
    edges = tuple(
        edge(sensor.key, "RELEVANT_TO", mode.key, {"asset": sensor.key.id}, reason=sensor.key.id)
        for sensor in sensors
    )
    store.merge(Subgraph(nodes=(mode, *sensors), edges=edges))
    store.merge(Subgraph(edges=edges))
    assert list(store.dump()) == [mode, *sensors, *edges]
    store.delete(edges=[item.key for item in edges[::2]])
    assert list(store.dump()) == [mode, *sensors, *edges[1::2]]
    store.delete(nodes=[item.key for item in sensors])
    assert list(store.dump()) == [mode]


def test_hostile_parameters_of_a_query_stay_data(store: GraphStore):
    store.merge(Subgraph(nodes=hostile_nodes()))
    for name in FRAGMENTS:
        rows = store.query(
            "MATCH (a:Asset {id: $id}) RETURN a.name AS name, $id AS id", {"id": name}
        )
        assert rows.rows == ((name, name),)


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_a_long_name_is_kept_whole(store: GraphStore, size: int):
    long = node("Asset", "long", name="äx泵🛠" * (size // 10), aliases=["y" * size])
    store.merge(Subgraph(nodes=(long,)))
    assert list(store.dump()) == [long]
    assert store.query("MATCH (a:Asset) RETURN a.name").rows == ((long.properties["name"],),)
