"""The laws of a graph store, on both stores."""

import re
from datetime import date
from typing import Any

import pytest

from kgkit.errors import KgkitError, UsageError
from kgkit.graph import ladybug_scan, neo4j_store
from kgkit.graph.dump import dump_lines, dump_sha256
from kgkit.graph.store import GraphStore
from kgkit.records import Edge, EdgeKey, Node, Subgraph, Value, canonical_json
from tests.graph.conftest import Open
from tests.graph.graphs import edge, key, node, pump

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def by_key(subgraph: Subgraph) -> list[Node | Edge]:
    """What a dump of the subgraph must be."""
    nodes = sorted(subgraph.nodes, key=lambda item: (item.key.label, item.key.id))
    edges = sorted(
        subgraph.edges,
        key=lambda item: (
            item.key.type,
            item.key.start.label,
            item.key.end.label,
            item.key.start.id,
            item.key.end.id,
            item.key.extra,
        ),
    )
    return [*nodes, *edges]


def test_a_dump_is_what_was_merged_in_the_order_of_its_keys(store: GraphStore):
    store.merge(pump())
    assert list(store.dump()) == by_key(pump())


def test_an_empty_graph_dumps_nothing(store: GraphStore):
    assert (list(store.dump()), dump_sha256(store)) == ([], EMPTY)


def test_merging_twice_adds_nothing(store: GraphStore):
    store.merge(pump())
    once = list(dump_lines(store))
    store.merge(pump())
    assert list(dump_lines(store)) == once


def test_the_order_of_merging_does_not_matter(store: GraphStore):
    whole = pump()
    for item in reversed(whole.nodes):
        store.merge(Subgraph(nodes=(item,)))
    for link in reversed(whole.edges):
        store.merge(Subgraph(edges=(link,)))
    assert list(store.dump()) == by_key(whole)


def test_what_survives_closing(open_again: Open):
    store = open_again()
    store.merge(pump())
    before = dump_sha256(store)
    store.close()
    assert dump_sha256(open_again()) == before


def test_merge_replaces_all_properties_and_an_absent_one_is_gone(store: GraphStore):
    mode, asset = key("FailureMode", "brd"), key("Asset", "pump")
    link = edge(asset, "EXPERIENCES", mode, severity=3, examples=["a", "b"], ask="x")
    store.merge(
        Subgraph(nodes=(node("Asset", "pump", name="Pump", code="PU"), node("FailureMode", "brd")))
    )
    store.merge(Subgraph(edges=(link,)))
    changed = Subgraph(
        nodes=(node("Asset", "pump", family="pumps"),),
        edges=(edge(asset, "EXPERIENCES", mode, severity=4),),
    )
    store.merge(changed)
    assert list(store.dump()) == [*changed.nodes, node("FailureMode", "brd"), *changed.edges]


def test_every_row_of_a_merge_gets_its_own_properties_whichever_of_them_change(store: GraphStore):
    sensors = [key("Sensor", f"s{i}") for i in range(3)]
    asset = key("Asset", "pump")
    first: list[dict[str, Value]] = [
        {"name": "a", "aliases": ["x"]},
        {"name": "b", "aliases": ["y"]},
        {"name": "c"},
    ]
    then: list[dict[str, Value]] = [
        {"name": "A", "aliases": ["x"]},
        {"name": "b"},
        {"name": "c", "aliases": ["z", "w"]},
    ]
    on_edges: list[list[dict[str, Value]]] = [
        [{"sources": ["1"]}, {"role": "source"}, {}],
        [{"sources": ["2"]}, {}, {"ask": "q"}],
    ]
    merged = [
        Subgraph(
            nodes=(
                Node(key=asset, properties={}),
                *(
                    Node(key=one, properties=given)
                    for one, given in zip(sensors, names, strict=True)
                ),
            ),
            edges=tuple(
                Edge(key=EdgeKey(type="MONITORED_BY", start=asset, end=one), properties=given)
                for one, given in zip(sensors, links, strict=True)
            ),
        )
        for names, links in zip((first, then), on_edges, strict=True)
    ]
    for subgraph in merged:
        store.merge(subgraph)
        assert list(store.dump()) == by_key(subgraph)


def test_none_and_an_empty_list_are_the_same_as_absent(store: GraphStore):
    store.merge(Subgraph(nodes=(node("Asset", "pump", name=None, aliases=[], code=""),)))
    assert list(store.dump()) == [node("Asset", "pump", code="")]


def test_a_teacher_never_overwrites_a_table(store: GraphStore):
    store.merge(pump())
    before = list(store.dump())
    sensor, mode = key("Sensor", "vibration"), key("FailureMode", "brd")
    store.merge(
        Subgraph(
            nodes=(node("Sensor", "vibration", name="Vib", origin="teacher", ask="a1"),),
            edges=(
                edge(sensor, "RELEVANT_TO", mode, {"asset": "pump"}, label="No", origin="teacher"),
            ),
        )
    )
    assert list(store.dump()) == before


def test_a_teacher_never_overwrites_an_expert(store: GraphStore):
    sensor, mode = key("Sensor", "vibration"), key("FailureMode", "brd")
    ends = (node("Sensor", "vibration"), node("FailureMode", "brd"))
    for origin, label in (("teacher", "Yes"), ("expert", "No"), ("teacher", "Yes")):
        said = edge(sensor, "RELEVANT_TO", mode, {"asset": "pump"}, label=label, origin=origin)
        store.merge(Subgraph(nodes=ends, edges=(said,)))
    rows = store.query("MATCH ()-[r:RELEVANT_TO]->() RETURN r.label, r.origin").rows
    assert rows == (("No", "expert"),)


def test_a_table_overwrites_a_teacher(store: GraphStore):
    sensor, mode = key("Sensor", "flow"), key("FailureMode", "brd")
    said = Subgraph(
        nodes=(node("Sensor", "flow", name="flow", origin="teacher"), node("FailureMode", "brd")),
        edges=(edge(sensor, "RELEVANT_TO", mode, {"asset": "pump"}, label="No", origin="teacher"),),
    )
    written = Subgraph(
        nodes=(node("FailureMode", "brd"), node("Sensor", "flow", name="Flow", origin="table")),
        edges=(edge(sensor, "RELEVANT_TO", mode, {"asset": "pump"}, label="Yes", origin="table"),),
    )
    store.merge(said)
    store.merge(written)
    assert list(store.dump()) == [*written.nodes, *written.edges]


def test_key_properties_tell_edges_apart(store: GraphStore):
    sensor, mode = key("Sensor", "flow"), key("FailureMode", "brd")
    edges = tuple(
        edge(sensor, "RELEVANT_TO", mode, {"asset": asset}, label=label)
        for asset, label in (("fan", "No"), ("pump", "Yes"))
    )
    store.merge(Subgraph(nodes=(node("FailureMode", "brd"), node("Sensor", "flow")), edges=edges))
    store.merge(Subgraph(edges=edges))
    assert list(store.dump())[2:] == list(edges)


def test_deleting_a_node_takes_its_edges_and_what_is_not_there_is_ignored(store: GraphStore):
    store.merge(pump())
    store.delete(nodes=[key("Asset", "pump"), key("Asset", "no such asset")])
    left = by_key(pump())
    kept = [item for item in left if "pump'" not in repr(item.key).replace("'asset', 'pump'", "")]
    assert list(store.dump()) == kept


def test_deleting_an_edge_leaves_its_twin(store: GraphStore):
    sensor, mode = key("Sensor", "flow"), key("FailureMode", "brd")
    fan = edge(sensor, "RELEVANT_TO", mode, {"asset": "fan"}, label="No")
    other = edge(sensor, "RELEVANT_TO", mode, {"asset": "pump"}, label="Yes")
    store.merge(
        Subgraph(nodes=(node("FailureMode", "brd"), node("Sensor", "flow")), edges=(fan, other))
    )
    gone = EdgeKey(type="RELEVANT_TO", start=sensor, end=mode, extra=(("asset", "motor"),))
    store.delete(edges=[fan.key, gone])
    assert list(store.dump())[2:] == [other]


def test_clear_leaves_nothing(store: GraphStore):
    store.merge(pump())
    store.clear()
    assert list(store.dump()) == []


def test_a_missing_end_is_named_and_nothing_is_written(store: GraphStore):
    lost = edge(
        key("Sensor", "flow"), "RELEVANT_TO", key("FailureMode", "nowhere"), {"asset": "pump"}
    )
    with pytest.raises(
        KgkitError, match=re.escape("Sensor 'flow' -[RELEVANT_TO {asset: 'pump'}]-> ")
    ):
        store.merge(Subgraph(nodes=(node("Sensor", "flow"),), edges=(lost,)))
    assert list(store.dump()) == []


def test_the_state_is_kept_until_the_graph_is_cleared(open_again: Open):
    store = open_again()
    assert store.state() == ""
    store.merge(pump())
    before = list(store.dump())
    for state in ("first", "zweite Fassung \u2019'"):
        store.set_state(state)
        assert store.state() == state
    assert list(store.dump()) == before
    store.close()
    assert open_again(read_only=True).state() == "zweite Fassung \u2019'"
    store = open_again()
    store.clear()
    assert store.state() == ""


WRONG = {
    "label 'Pump' is not in": Subgraph(nodes=(node("Pump", "p"),)),
    "property 'colour' is not in": Subgraph(nodes=(node("Asset", "p", colour="red"),)),
    "property name must be string, not 1": Subgraph(nodes=(node("Asset", "p", name=1),)),
    r"property name must be string, not '\\udc80'": Subgraph(
        nodes=(node("Asset", "p", name="\udc80"),)
    ),
    "property sources must be string\\[\\], not 'a'": Subgraph(
        nodes=(node("Asset", "p", sources="a"),)
    ),
    "origin must be one of table, teacher, expert, not 'me'": Subgraph(
        nodes=(node("Asset", "p", origin="me"),)
    ),
    "stands twice": Subgraph(nodes=(node("Asset", "p"), node("Asset", "p", name="P"))),
    "not empty": Subgraph(nodes=(node("Asset", ""),)),
    "longer than 8000 bytes": Subgraph(nodes=(node("Asset", "ä" * 4001),)),
    "no such relationship in .*; it joins Category->Asset": Subgraph(
        edges=(edge(key("Asset", "a"), "HAS_CLASS", key("Category", "c")),)
    ),
    "must be exactly \\['asset'\\]": Subgraph(
        edges=(edge(key("Sensor", "s"), "RELEVANT_TO", key("FailureMode", "f")),)
    ),
    "severity must be integer, not True": Subgraph(
        nodes=(node("Asset", "a"), node("FailureMode", "f")),
        edges=(edge(key("Asset", "a"), "EXPERIENCES", key("FailureMode", "f"), severity=True),),
    ),
    "probability must be float, not nan": Subgraph(
        edges=(
            edge(
                key("Sensor", "s"),
                "RELEVANT_TO",
                key("FailureMode", "f"),
                {"asset": "a"},
                probability=float("nan"),
            ),
        )
    ),
}


@pytest.mark.parametrize("why", WRONG)
def test_what_the_schema_does_not_know_is_refused(open_ladybug: Open, why: str):
    store = open_ladybug()
    with pytest.raises(KgkitError, match=why):
        store.merge(WRONG[why])
    assert list(store.dump()) == []


def test_a_query_gives_nodes_edges_and_paths_as_plain_data(store: GraphStore):
    store.merge(pump())
    rows = store.query(
        "MATCH path = (a:Asset {id: $id})-[r:EXPERIENCES]->(f:FailureMode) "
        "RETURN a, r, path, [1, 2] AS numbers, f.description AS d, f.code AS nothing",
        {"id": "pump"},
    )
    asset = {"_label": "Asset", "id": "pump", **pump().nodes[1].properties}
    mode = {"_label": "FailureMode", "id": "brd", **pump().nodes[3].properties}
    link = {"_type": "EXPERIENCES", **pump().edges[2].properties}
    assert rows.columns == ("a", "r", "path", "numbers", "d", "nothing")
    assert rows.rows == ((asset, link, [asset, link, mode], [1, 2], "Serious damage", None),)
    assert canonical_json(rows.dicts())


def test_dates_and_times_come_as_iso_text(store: GraphStore):
    rows = store.query("RETURN date('2024-02-29') AS day")
    assert rows.dicts() == [{"day": "2024-02-29"}]


WRITES = {
    "create": "CREATE (:Asset {id: 'x'})",
    "create behind a match": "MATCH (a:Asset) CREATE (:Sensor {id: 'x'}) RETURN a",
    "set": "MATCH (a:Asset) SET a.name = 'x' RETURN a",
    "delete": "MATCH (a:Asset) DETACH DELETE a RETURN 1",
    "merge": "MATCH (a:Asset) MERGE (b:Sensor {id: 'x'}) RETURN b",
    "a second statement": "MATCH (a:Asset) RETURN a; CREATE (:Asset {id: 'x'})",
    "leaving the transaction": "COMMIT; CREATE (:Asset {id: 'x'})",
    "a table": "MATCH (a:Asset) RETURN a; DROP TABLE Asset",
}


@pytest.mark.parametrize("what", WRITES)
def test_a_query_cannot_write_unless_told(store: GraphStore, what: str):
    store.merge(pump())
    before = list(store.dump())
    with pytest.raises(KgkitError):
        store.query(WRITES[what])
    assert list(store.dump()) == before


def test_a_query_writes_when_told(store: GraphStore):
    store.query("CREATE (:Asset {id: $id, name: $name})", {"id": "x", "name": "X"}, write=True)
    assert list(store.dump()) == [node("Asset", "x", name="X")]


def test_a_store_opened_for_reading_reads_and_refuses_every_write(open_again: Open):
    store = open_again()
    store.merge(pump())
    before = list(store.dump())
    store.close()
    reader = open_again(read_only=True)
    assert list(reader.dump()) == before
    for write in (
        lambda: reader.merge(Subgraph(nodes=(node("Asset", "x"),))),
        lambda: reader.delete(nodes=[key("Asset", "pump")]),
        reader.clear,
        lambda: reader.set_state("x"),
        lambda: reader.query("CREATE (:Asset {id: 'x'})", write=True),
    ):
        with pytest.raises(KgkitError):
            write()
    assert list(reader.dump()) == before


def test_a_wrong_query_says_what_the_database_says(store: GraphStore):
    with pytest.raises(KgkitError, match="query: ") as caught:
        store.query("MATCH (a:Asset RETURN a")
    assert not isinstance(caught.value, UsageError)


BAD_PARAMETERS = {
    "mixed types": [1, "a"],
    "an object": object(),
    "too large": 2**70,
    "half a character": "\udc80",
    "a set": {1, 2},
    "mixed maps": [{"a": 1}, {"b": 2}],
}


@pytest.mark.parametrize("what", BAD_PARAMETERS)
def test_a_parameter_is_taken_as_it_is_or_refused_in_one_line(store: GraphStore, what: str):
    value: Any = BAD_PARAMETERS[what]
    try:
        said: object = store.query("RETURN $x AS x", {"x": value}).rows
    except KgkitError as error:
        said = str(error)
    lines = said.splitlines() if isinstance(said, str) else []
    assert said == ((value,),) or (len(lines) == 1 and lines[0].startswith("query: "))


@pytest.mark.parametrize("given", [{}, {"y": 1}])
def test_a_parameter_without_a_value_is_named(store: GraphStore, given: dict[str, Value]):
    with pytest.raises(UsageError, match=r"parameter \$x has no value; add --param x="):
        store.query("RETURN $x AS x, '$z' AS text", given)


def test_a_date_is_a_parameter_like_another(store: GraphStore):
    day: Any = date(2024, 2, 29)
    assert store.query("RETURN $x AS x", {"x": day}).rows == (("2024-02-29",),)


def test_more_rows_than_a_batch_holds(store: GraphStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kgkit.graph.check.BATCH_ROWS", 7)
    nodes = tuple(
        node("Passage", f"p{i:03}", text=f"text {i}", origin="teacher") for i in range(40)
    )
    edges = tuple(
        edge(nodes[i].key, "DERIVED_FROM", nodes[i // 2].key, origin="teacher")
        for i in range(1, 40)
    )
    store.merge(Subgraph(nodes=nodes[::-1], edges=edges[::-1]))
    assert list(store.dump()) == by_key(Subgraph(nodes=nodes, edges=edges))


def test_a_scan_gives_every_node_once_that_meets_the_condition(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ladybug_scan, "_BYTES_AT_ONCE", 64)
    monkeypatch.setattr(neo4j_store, "_SCAN_ROWS", 3)
    texts = [
        node("Passage", f"p{i}", kind="odd" if i % 2 else "even", parents=[f"{i}"])
        for i in range(17)
    ]
    store.merge(
        Subgraph(nodes=(*texts, node("Passage", "bare", kind="even"), node("Asset", "pump")))
    )
    store.delete(nodes=[key("Passage", "p4"), key("Passage", "p11")])
    columns = {"parents": "string[]", "id": "string", "text": "string"}
    found = store.scan(
        "Passage", where="n.kind IN $kinds", parameters={"kinds": ["even"]}, columns=columns
    )
    tables = list(found)
    assert {tuple(table.schema.names) for table in tables} == {tuple(columns)}
    rows = [
        (row["id"], row["parents"], row["text"]) for table in tables for row in table.to_pylist()
    ]
    assert sorted(rows) == sorted(
        [("bare", [], ""), *((f"p{i}", [f"{i}"], "") for i in range(0, 17, 2) if i != 4)]
    )
    assert len(tables) > 1


HARD_TEXTS = [
    'says "stop"',
    '"',
    "a,b",
    "two\nlines",
    "two\r\nlines\rmore",
    "back\\slash \\n \\",
    " room around ",
    "é 轴承 😀",
    "[a,b]",
    "{x: 1}",
    "NULL",
    "tab\there",
    "it's",
    "#",
]


@pytest.mark.parametrize("size", [12, 90])  # parts end within texts; a row is longer than a part
def test_a_scan_gives_texts_as_they_are(
    size: int, store: GraphStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ladybug_scan, "_BYTES_AT_ONCE", size)
    texts = [
        node("Passage", f"p{i:02}", text=text, parents=[text, "", text])
        for i, text in enumerate(HARD_TEXTS)
    ]
    store.merge(Subgraph(nodes=tuple(texts)))
    columns = {"id": "string", "text": "string", "parents": "string[]"}
    found = store.scan("Passage", where="true", parameters={}, columns=columns)
    rows = sorted(
        (row["id"], row["text"], row["parents"]) for table in found for row in table.to_pylist()
    )
    assert rows == [(f"p{i:02}", text, [text, "", text]) for i, text in enumerate(HARD_TEXTS)]


def test_a_scan_of_nothing_gives_no_rows(store: GraphStore):
    found = store.scan("Passage", where="true", parameters={}, columns={"id": "string"})
    assert sum(table.num_rows for table in found) == 0


def test_a_scan_does_nothing_but_read(store: GraphStore):
    with pytest.raises(UsageError, match="more than one statement"):
        list(
            store.scan(
                "Passage", where="true; MATCH (n) DELETE n", parameters={}, columns={"id": "string"}
            )
        )
