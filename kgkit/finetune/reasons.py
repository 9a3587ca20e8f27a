"""Turn knowledge passages, and what a teacher said and an expert confirmed, into the reasons of answers: why a sensor shows a failure mode on an asset, or why not."""

import re
from collections.abc import Mapping
from typing import cast

from kgkit.extend.verdict import Said, said
from kgkit.graph import reading
from kgkit.graph.store import GraphStore

Cell = tuple[str, str, str]
"""Ids of asset, failure mode and sensor."""
Told = Mapping[Cell, tuple[Said | None, str]]
"""What is said of a cell: the verdict, and the first sentences."""
UNEXPLAINED = "no passage explains the answer, or it says the contrary"
"""Why a row that is to be explained is left out."""
_KIND = "asset_sensor_failure_mode"
_REASONS = (
    "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) WHERE r.origin <> 'teacher' AND r.reason <> ''"
    " RETURN r.asset, f.id, s.id, r.label, r.reason"
)
"""Of what an expert confirmed or corrected. What a teacher alone said is no fact, so that nothing is asked about it."""
_SENTENCES = 2
"""A reason is so long at most."""


def told_of(graph: GraphStore) -> Told:
    """What passages say of cells; of a cell without one, the reason that stands with its relevance."""
    names = {
        str(row["id"]): str(row["name"])
        for label in ("Sensor", "FailureMode")
        for row in graph.query(f"MATCH (n:{label}) RETURN n.id AS id, n.name AS name").dicts()
    }
    found: dict[Cell, tuple[Said | None, str]] = {}
    for passage in reading.passages(graph, [_KIND]):
        about = {"sensor": names[passage.sensor], "failure mode": names[passage.failure_mode]}
        text = _beginning(passage.text)
        found[passage.asset, passage.failure_mode, passage.sensor] = (said(text, about), text)
    for asset, mode, sensor, label, reason_ in graph.query(_REASONS).rows:
        text = _beginning(str(reason_))
        about = {"sensor": names[str(sensor)], "failure mode": names[str(mode)]}
        verdict = said(text, about) or cast("Said", label)  # it was given together with the label
        found.setdefault((str(asset), str(mode), str(sensor)), (verdict, text))
    return found


def _beginning(text: str) -> str:
    """So many sentences as a reason has at most."""
    return " ".join(re.split(r"(?<=[.!?])\s+", text.strip())[:_SENTENCES])


def reason(told: Told, cell: Cell, *, holds: bool) -> str:
    """Why the cell holds, or does not; "" where no passage says so, or it says the contrary."""
    verdict, text = told.get(cell, (None, ""))
    return text if verdict == ("Yes" if holds else "No") else ""
