"""Every query of docs/cypher/ runs on both stores with the same answer, and the page shows them as they are."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from kgkit.graph.store import GraphStore
from kgkit.records import Subgraph, Value, canonical_json
from tests.graph.conftest import Open
from tests.graph.graphs import edge, key, node, pump

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "cypher"
QUERIES = sorted(FOLDER.glob("*.cypher"))


def parameters(cypher: str) -> dict[str, Value]:
    return {
        name: json.loads(value)
        for name, value in re.findall(r"^// :param (\w+) => (.*)$", cypher, re.M)
    }


def cookbook_graph() -> Subgraph:
    """A graph in which every query of the cookbook finds at least one row."""
    whole = pump()
    pump_key, fan = key("Asset", "pump"), node("Asset", "fan", name="Fan", role="source")
    leak = node("FailureMode", "elp", name="Leakage", role="source")
    second = node("Passage", "p0", text="first", kind="asset_sensor", asset="pump", role="source")
    sensor, mode = key("Sensor", "vibration"), key("FailureMode", "brd")
    more = (
        edge(fan.key, "EXPERIENCES", mode, rpn=120, severity=8, occurrence=5),
        edge(pump_key, "EXPERIENCES", leak.key),
        edge(key("Passage", "p1"), "DERIVED_FROM", second.key),
        edge(sensor, "RELEVANT_TO", mode, {"asset": "fan"}, label="No", votes_yes=1, votes_no=2),
    )
    with_entities = entities()
    return Subgraph(
        nodes=(*whole.nodes, fan, leak, second, *with_entities.nodes),
        edges=(*whole.edges, *more, *with_entities.edges),
    )


def entities() -> Subgraph:
    """A document with three entities, of which one is in the tables, and an interaction of two."""
    nodes = (
        node("Passage", "d", text="d", kind="asset_sensor", asset="pump", role="source"),
        node("Passage", "i", text="i", kind="entity_interaction", asset="pump", role="source"),
        node("Entity", "vibration", name="vibration", kind="sensor"),
        node("Entity", "bearing-wears", name="bearing wears", kind="failure mode"),
        node("Entity", "bearing-wear", name="bearing wear", kind="failure mode"),
    )
    document, said, sensor, rare, often = (one.key for one in nodes)
    edges = (
        edge(document, "MENTIONS", sensor, kind="sensor", name="vibration"),
        edge(document, "MENTIONS", rare, kind="failure mode", name="bearing wears"),
        edge(document, "MENTIONS", often, kind="failure mode", name="bearing wear"),
        edge(sensor, "SAME_AS", key("Sensor", "vibration"), how="exact"),
        edge(rare, "NEAR_DUPLICATE_OF", often, jaccard=0.8),
        edge(often, "INTERACTS_WITH", sensor, {"passage": "i"}),
        edge(said, "DERIVED_FROM", document),
    )
    return Subgraph(nodes=nodes, edges=edges)


def test_there_are_twenty_three():
    assert len(QUERIES) == 23


@pytest.fixture
def filled(store: GraphStore) -> GraphStore:
    store.merge(cookbook_graph())
    return store


def test_every_query_finds_something(filled: GraphStore):
    for path in QUERIES:
        cypher = path.read_text(encoding="utf-8")
        assert filled.query(cypher, parameters(cypher)).rows, path.name


@pytest.mark.neo4j
def test_both_stores_answer_alike(open_ladybug: Open, open_neo4j: Open):
    embedded, server = open_ladybug(), open_neo4j()
    for store in (embedded, server):
        store.merge(cookbook_graph())
    for path in QUERIES:
        cypher = path.read_text(encoding="utf-8")
        one, other = (store.query(cypher, parameters(cypher)) for store in (embedded, server))
        assert one.columns == other.columns, path.name
        assert sorted(map(canonical_json, one.rows)) == sorted(map(canonical_json, other.rows)), (
            path.name
        )


def test_the_page_is_made_from_the_files():
    spec = importlib.util.spec_from_file_location("make_page", FOLDER / "make_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()


def test_the_style_names_every_label():
    from kgkit.schemas import graph_spec

    styled = set(
        re.findall(r"^node\.(\w+)", (FOLDER / "style.grass").read_text(encoding="utf-8"), re.M)
    )
    assert styled == set(graph_spec().nodes)
