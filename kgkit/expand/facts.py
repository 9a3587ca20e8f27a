"""Turn the table side of the graph into what the reference teacher may restate."""

from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import spoken
from kgkit.teacher.reference import AssetFacts, Facts


def reference_facts(graph: GraphStore, assets: Assets) -> Facts:
    """Facts of every asset that is not held out; only those on the train side speak for other assets."""
    open_rows = [row for row in assets.rows.values() if assets.split.side(row.name) != "held_out"]
    return Facts(
        assets={row.id: _facts(graph, row) for row in open_rows},
        training=frozenset(row.id for row in open_rows if assets.split.side(row.name) == "train"),
    )


def _facts(graph: GraphStore, row: reading.Asset) -> AssetFacts:
    sensors = reading.sensors_of(graph, row.id)
    known = reading.known_relevance(graph, row.id)
    return AssetFacts(
        name=spoken(row.name),
        sensors={sensor.id: sensor.name for sensor in sensors if sensor.origin == "table"},
        failure_modes={
            mode.id: (spoken(mode.name), mode.description, mode.examples)
            for mode in reading.failure_modes_of(graph, row.id)
        },
        relevance={
            pair: stated.label == "Yes"
            for pair, stated in known.items()
            if stated.origin == "table"
        },
    )
