"""Why answers are right: as passages say, and where there is none, as an expert let a teacher's word stand."""

from kgkit.finetune.reasons import reason, told_of
from kgkit.graph.store import GraphStore
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph, Value

SENSOR = NodeKey(label="Sensor", id="vibration")


def relevance(mode: str, **said: Value) -> Subgraph:
    """A failure mode, and what stands of it and vibration on the pump."""
    end = NodeKey(label="FailureMode", id=mode)
    edge = EdgeKey(type="RELEVANT_TO", start=SENSOR, end=end, extra=(("asset", "pump"),))
    both = (Node(key=key, properties={"name": key.id, "role": "source"}) for key in (SENSOR, end))
    return Subgraph(nodes=tuple(both), edges=(Edge(key=edge, properties={"role": "source", **said}),))  # fmt: skip


def test_a_confirmed_reason_explains_where_no_passage_does(store: GraphStore) -> None:
    wear = "Worn bearings shake the shaft. It can be heard. And felt."
    for part in (
        relevance("wear", origin="expert", label="Yes", reason=wear),
        relevance("fouling", origin="teacher", label="No", reason="Dirt moves nothing."),
        relevance("leakage", origin="expert", label="Yes", reason="Vibration does not show leakage."),
        relevance("surge", origin="table", label="Yes"),
    ):  # fmt: skip
        store.merge(part)
    told = told_of(store)
    cell = ("pump", "wear", "vibration")
    assert reason(told, cell, holds=True) == "Worn bearings shake the shaft. It can be heard."
    assert reason(told, cell, holds=False) == ""
    for mode in ("fouling", "leakage", "surge"):  # no fact, the contrary, nothing
        for holds in (True, False):
            said = reason(told, ("pump", mode, "vibration"), holds=holds)
            assert said == ("Vibration does not show leakage." if (mode, holds) == ("leakage", False) else "")  # fmt: skip
