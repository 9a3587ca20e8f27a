"""What the stages read is the same from both stores, and evaluation rows stay out of it."""

import pytest

from kgkit.graph import by_id, reading
from kgkit.graph.store import GraphStore
from kgkit.records import Role, Subgraph, Value
from tests.graph.graphs import edge, key, node, pump


@pytest.fixture
def pump_and_hidden(store: GraphStore) -> GraphStore:
    """The pump, and beside it facts that are for evaluation alone."""
    hidden: dict[str, Value] = {"origin": "table", "role": "evaluation"}
    asset, sensor, mode = key("Asset", "pump"), key("Sensor", "secret"), key("FailureMode", "brd")
    store.merge(pump())
    store.merge(
        Subgraph(
            nodes=(
                node("Asset", "fan", name="Fan", **hidden),
                node("Sensor", "secret", name="Secret", **hidden),
                node("FailureMode", "hid", name="Hidden", **hidden),
                node("Subunit", "pump.hid", name="Hidden part", **hidden),
                node("Passage", "p0", text="hidden", kind="note", **hidden),
            ),
            edges=(
                edge(asset, "MONITORED_BY", sensor, **hidden),
                edge(asset, "EXPERIENCES", key("FailureMode", "hid"), **hidden),
                edge(sensor, "RELEVANT_TO", mode, {"asset": "pump"}, label="Yes", **hidden),
                edge(asset, "HAS_SUBUNIT", key("Subunit", "pump.hid"), **hidden),
            ),
        )
    )
    return store


def test_the_stages_see_the_source_rows_alone(pump_and_hidden: GraphStore):
    store = pump_and_hidden
    assert reading.assets(store) == [
        reading.Asset(
            id="pump",
            name="Pump",
            code="PU",
            aliases=("Pumps",),
            family="pumps",
            category="Rotating",
            role="source",
        )
    ]
    assert reading.sensors_of(store, "pump") == [
        reading.Sensor(id="vibration", name="Vibration", origin="table")
    ]
    assert reading.failure_modes_of(store, "pump") == [
        reading.FailureMode(
            id="brd",
            name="Breakdown",
            origin="table",
            description="Serious damage",
            examples=("cracked shaft",),
            causes=(),
            effects=(),
        )
    ]
    assert reading.known_relevance(store, "pump") == {
        ("vibration", "brd"): reading.Relevance(label="Yes", origin="table", reason="")
    }
    assert reading.parts_of(store, "pump") == [
        reading.Part(label="Component", id="pump.ring", name="O-ring", within="Seal system"),
        reading.Part(label="Subunit", id="pump.seal", name="Seal system", within=""),
    ]
    assert [passage.id for passage in reading.passages(store)] == ["p1"]


@pytest.mark.parametrize(("role", "ids"), [("evaluation", ["fan"]), (None, ["fan", "pump"])])
def test_evaluation_rows_are_seen_when_asked_for(
    pump_and_hidden: GraphStore, role: Role | None, ids: list[str]
):
    store = pump_and_hidden
    assert [asset.id for asset in reading.assets(store, role=role)] == ids
    assert "secret" in [sensor.id for sensor in reading.sensors_of(store, "pump", role=role)]


def test_an_unknown_asset_has_nothing(store: GraphStore):
    assert (reading.sensors_of(store, "x"), reading.failure_modes_of(store, "x")) == ([], [])
    assert (reading.known_relevance(store, "x"), reading.parts_of(store, "x")) == ({}, [])


def test_counts_name_every_label_and_type(store: GraphStore):
    store.merge(pump())
    counts = reading.counts(store)
    assert {label: n for label, n in counts.nodes.items() if n} == {
        "Asset": 1, "Category": 1, "Component": 1, "FailureMode": 1, "Passage": 1, "Sensor": 1, "Subunit": 1,
    }  # fmt: skip
    assert {type_: n for type_, n in counts.edges.items() if n} == {
        "ABOUT": 1, "EXPERIENCES": 1, "HAS_CLASS": 1, "HAS_COMPONENT": 1, "HAS_SUBUNIT": 1,
        "MONITORED_BY": 1, "RELEVANT_TO": 1,
    }  # fmt: skip
    assert (counts.nodes["Entity"], counts.edges["MENTIONS"]) == (0, 0)


def test_passages_come_whole_by_id_in_pages(store: GraphStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(by_id, "ROWS_PER_RANGE", 4)
    monkeypatch.setattr(by_id, "ROWS_PER_TABLE", 2)
    nodes = tuple(
        node(
            "Passage", f"{i}f00", kind="odd" if i % 2 else "even", text=f"t{i}", asset="pump" if i < 6 else "fan",
            parents=["a", "b"], sources=["x.csv!A1"], ask="q", prompt="n", prompt_version="1", teacher="t",
            role="source",
        )
        for i in (*range(5, 9), *range(5))
    )  # fmt: skip
    store.merge(Subgraph(nodes=nodes))
    assert [p.text for p in reading.passages(store)] == [f"t{i}" for i in range(9)]
    assert list(reading.passages(store))[6] == reading.StoredPassage(
        id="6f00", kind="even", question="", text="t6", asset="fan", part="", sensor="", failure_mode="", parents=("a", "b"),
        sources=("x.csv!A1",), ask="q", prompt="n", prompt_version="1", teacher="t",
    )  # fmt: skip
