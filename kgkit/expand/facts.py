"""Turn the table side of the graph into what the reference teacher may restate."""

import re

from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import spoken
from kgkit.teacher.facts import AssetFacts, Facts, ModeFacts


def reference_facts(graph: GraphStore, assets: Assets) -> Facts:
    """Facts of every asset that is open; only those on the train side speak for other assets.

    Sensors, failure modes and examples that name a held-out asset are left out.
    """
    open_rows = [row for row in assets.rows.values() if assets.is_open(row.id)]
    return Facts(
        assets={row.id: _facts(graph, row, assets.held_out_pattern) for row in open_rows},
        training=frozenset(row.id for row in open_rows if assets.split.side(row.name) == "train"),
    )


def _facts(graph: GraphStore, row: reading.Asset, held_out: re.Pattern[str]) -> AssetFacts:
    def speakable(*texts: str) -> bool:
        return not any(held_out.search(text) for text in texts)

    return AssetFacts(
        name=spoken(row.name),
        sensors={
            sensor.id: sensor.name
            for sensor in reading.sensors_of(graph, row.id)
            if sensor.origin == "table" and speakable(sensor.name)
        },
        failure_modes={
            mode.id: ModeFacts(
                name=mode.name,
                description=mode.description,
                examples=tuple(filter(speakable, mode.examples)),
                causes=tuple(filter(speakable, mode.causes)),
                effects=tuple(filter(speakable, mode.effects)),
            )
            for mode in reading.failure_modes_of(graph, row.id)
            if mode.origin == "table" and speakable(mode.name, mode.description)
        },
        relevance={
            pair: stated.label == "Yes"
            for pair, stated in reading.known_relevance(graph, row.id).items()
            if stated.origin == "table"
        },
    )
