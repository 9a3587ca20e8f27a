"""Laws of vectors beside the graph, on ladybug and on Neo4j: found by one query, gone with their node, in no dump."""

import re
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kgkit.errors import UsageError
from kgkit.graph.dump import dump_lines
from kgkit.graph.store import GraphStore
from kgkit.graph.vectors import INDEX, LABEL
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph
from kgkit.retrieval.embedder import Embedder
from kgkit.retrieval.vectors import load_vectors, vectors_there
from tests.evaluation.embedders import words
from tests.graph.conftest import Open

SAID = {"origin": "teacher", "role": "source"}
TEXTS = {
    "p1": "the bearing of the pump runs hot",
    "p2": "the bearing of the pump runs hot and loud",
    "p3": "oil leaks from a seal",
}
DOCS = Path(__file__).resolve().parents[2] / "docs" / "vectors.md"


def passage(id_: str, text: str, *, question: str | None = None) -> Node:
    said = {**SAID, "kind": "asset_sensor", "asset": "pump", "name": "pump", "text": text}
    return Node(key=NodeKey(label="Passage", id=id_), properties={**said, "question": question})


def named(label: str, id_: str, name: str) -> Node:
    return Node(key=NodeKey(label=label, id=id_), properties={**SAID, "name": name})


def graph_with(store: GraphStore, *more: Node) -> GraphStore:
    pump, sensor = named("Asset", "pump", "pump"), named("Sensor", "vibration", "vibration")
    nodes = (pump, sensor, *(passage(id_, text) for id_, text in TEXTS.items()), *more)
    edge = EdgeKey(type="MONITORED_BY", start=pump.key, end=sensor.key)
    store.merge(Subgraph(nodes=nodes, edges=(Edge(key=edge, properties=SAID),)))
    return store


def documented() -> dict[str, str]:
    """The queries of docs/vectors.md by the first word of their comment."""
    fences = re.findall(r"```cypher\n// (\w+)[^\n]*\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return {name: text.rstrip().rstrip(";") for name, text in fences}


def there(store: GraphStore) -> dict[str, tuple[str, ...]]:
    rows = store.query(f"MATCH (v:{LABEL}) RETURN v.id, v.label, v.node, v.name, v.model").rows
    return {str(id_): tuple(map(str, rest)) for id_, *rest in rows}


@pytest.fixture
def embedder(tmp_path: Path) -> Embedder:
    return words(tmp_path / "words")


def test_every_node_has_its_vector_and_loading_twice_adds_nothing(
    store: GraphStore, embedder: Embedder
) -> None:
    graph_with(store, passage("q1", "to the bearing", question="Where does oil go?"))
    loaded = load_vectors(store, embedder)
    assert loaded.by_label == {"Asset": 1, "Passage": 4, "Sensor": 1} == vectors_there(store)
    assert (loaded.written, loaded.dimensions, loaded.replaced) == (6, 64, "")
    assert there(store)["Sensor/vibration"] == (
        "Sensor",
        "vibration",
        "vibration",
        embedder.identity,
    )
    embedder.model.read.clear()
    again = load_vectors(store, embedder)
    assert (again.written, again.by_label) == (0, loaded.by_label)
    assert embedder.model.read == ["a"]
    [[values]] = store.query(f"MATCH (v:{LABEL} {{id: 'Passage/q1'}}) RETURN v.vector").rows
    wanted = embedder.documents(["Where does oil go?\nto the bearing"])[0]
    assert np.allclose(np.array(values, dtype=float), wanted, atol=1e-5)


def test_the_documented_query_returns_the_neighbours_on_both_stores(
    store: GraphStore, embedder: Embedder
) -> None:
    load_vectors(graph_with(store), embedder)
    said = documented()
    found = store.query(said["Neighbours"], {"id": "Passage/p1"}).dicts()
    vectors = embedder.documents([TEXTS["p1"], TEXTS["p2"], TEXTS["p3"]])
    similar = embedder.model.similarity(vectors[:1], vectors)[0]
    by_id = {str(row["id"]): float(str(row["score"])) for row in found}
    assert next(iter(by_id)) == "Passage/p2"
    assert by_id.keys() == {"Passage/p2", "Passage/p3", "Asset/pump", "Sensor/vibration"}
    for place, id_ in ((1, "Passage/p2"), (2, "Passage/p3")):
        assert by_id[id_] == pytest.approx((1 + similar[place]) / 2, abs=1e-5)
    asked = [float(value) for value in embedder.documents(["a seal leaks oil"])[0]]
    [first, *_] = store.query(said["Passages"], {"vector": asked}).dicts()  # type: ignore[dict-item]
    assert (first["id"], first["text"]) == ("p3", TEXTS["p3"])


def test_neo4j_searches_its_index(open_neo4j: Open, embedder: Embedder) -> None:
    store = open_neo4j()
    load_vectors(graph_with(store), embedder)
    [index] = store.query(
        f"SHOW INDEXES YIELD name, type, state, options WHERE name = '{INDEX}' RETURN type, state, options",
        write=True,
    ).dicts()
    assert (index["type"], index["state"]) == ("VECTOR", "ONLINE")
    found = store.query(documented()["Index"], {"id": "Passage/p1"}).dicts()
    assert [row["id"] for row in found][:1] == ["Passage/p2"]
    with pytest.raises(UsageError, match="not a known reading procedure"):
        store.query("CALL db.create.setNodeVectorProperty(null, 'a', [])")


def test_a_vector_goes_with_its_node_and_changes_with_its_text(
    store: GraphStore, embedder: Embedder
) -> None:
    load_vectors(graph_with(store), embedder)
    store.delete(nodes=[NodeKey(label="Passage", id="p1"), NodeKey(label="Sensor", id="vibration")])
    assert there(store).keys() == {"Asset/pump", "Passage/p2", "Passage/p3"}
    store.merge(Subgraph(nodes=(passage("p2", "the rotor is out of balance"),)))
    store.query("MATCH (p:Passage) WHERE p.id = 'p3' DETACH DELETE p", write=True)
    assert load_vectors(store, embedder).written == 1
    assert there(store).keys() == {"Asset/pump", "Passage/p2"}
    store.clear()
    assert (there(store), vectors_there(store), store.vectors_of()) == ({}, {}, "")


@pytest.mark.parametrize("dimensions", [64, 3])
def test_another_model_replaces_all_vectors(
    store: GraphStore, embedder: Embedder, tmp_path: Path, dimensions: int
) -> None:
    load_vectors(graph_with(store), embedder)
    other = words(tmp_path / "other")
    if dimensions != 64:
        other.model.encode_document = lambda texts, **_: np.array(
            [[len(text), 1.0, 2.0] for text in texts]
        )
    loaded = load_vectors(store, other)
    assert (loaded.written, loaded.replaced) == (5, embedder.identity)
    assert (
        {model for *_, model in there(store).values()} == {other.identity} == {store.vectors_of()}
    )
    [[values]] = store.query(f"MATCH (v:{LABEL} {{id: 'Asset/pump'}}) RETURN v.vector").rows
    assert len(list(values)) == loaded.dimensions == dimensions  # type: ignore[call-overload]


def test_vectors_are_in_no_dump_and_outlast_a_merge(store: GraphStore, embedder: Embedder) -> None:
    before = list(dump_lines(graph_with(store)))
    store.set_state("as it was")
    load_vectors(store, embedder)
    assert (list(dump_lines(store)), store.state()) == (before, "as it was")
    graph_with(store)
    assert list(dump_lines(store)) == before
    assert load_vectors(store, embedder).written == 0


def test_what_was_cut_off_goes_on_where_it_was(store: GraphStore, embedder: Embedder) -> None:
    graph_with(store)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_vectors(store, embedder, on_batch=stop)
    assert vectors_there(store) == {"Asset": 1}
    assert load_vectors(store, embedder).written == 4


def test_memory_does_not_grow_with_the_passages(open_ladybug: Open, embedder: Embedder) -> None:
    def peak(store: GraphStore) -> int:
        tracemalloc.start()
        load_vectors(store, embedder)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        embedder.model.read.clear()
        return most

    def encode(texts: Sequence[str], **_: object) -> np.ndarray:
        return np.ones((len(texts), 64), dtype=np.float32)

    embedder.model.encode_document = encode
    store = open_ladybug()
    many = [passage(f"{number:05}", f"text {number}") for number in range(6_000)]
    store.merge(Subgraph(nodes=tuple(many[:1_000])))
    few = peak(store)
    store.merge(Subgraph(nodes=tuple(many)))
    assert peak(store) < 1.5 * few
