"""Turn knowledge passages into the reasons of answers: why a sensor shows a failure mode on an asset, or why not."""

import re
from collections.abc import Mapping

from kgkit.extend.verdict import Said, said
from kgkit.graph import reading
from kgkit.graph.store import GraphStore

Cell = tuple[str, str, str]
"""Ids of asset, failure mode and sensor."""
Told = Mapping[Cell, tuple[Said | None, str]]
"""What the passage of a cell says: its verdict, and its first sentences."""
UNEXPLAINED = "no passage explains the answer, or it says the contrary"
"""Why a row that is to be explained is left out."""
_KIND = "asset_sensor_failure_mode"
_SENTENCES = 2
"""A reason is so long at most."""


def told_of(graph: GraphStore) -> Told:
    """What passages say of cells."""
    names = {
        str(row["id"]): str(row["name"])
        for label in ("Sensor", "FailureMode")
        for row in graph.query(f"MATCH (n:{label}) RETURN n.id AS id, n.name AS name").dicts()
    }
    found: dict[Cell, tuple[Said | None, str]] = {}
    for passage in reading.passages(graph, [_KIND]):
        about = {"sensor": names[passage.sensor], "failure mode": names[passage.failure_mode]}
        sentences = re.split(r"(?<=[.!?])\s+", passage.text.strip())[:_SENTENCES]
        text = " ".join(sentences)
        found[passage.asset, passage.failure_mode, passage.sensor] = (said(text, about), text)
    return found


def reason(told: Told, cell: Cell, *, holds: bool) -> str:
    """Why the cell holds, or does not; "" where no passage says so, or it says the contrary."""
    verdict, text = told.get(cell, (None, ""))
    return text if verdict == ("Yes" if holds else "No") else ""
