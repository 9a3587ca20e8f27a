"""What an asset's documents name and its part of the graph does not hold: sensors, failure modes, other equipment.

One turn of the circle from documents to Phase I and back. What is fed back counts the asset's own documents alone, so no other
asset's run changes it; the rest of the turn is recorded, not computed again (kgkit/replay.py).
"""

from collections import Counter
from dataclasses import dataclass

from kgkit.expand.scope import Assets, FedBack, Scope
from kgkit.graph import reading
from kgkit.graph.entities import Naming, namings_of, same_as
from kgkit.graph.store import GraphStore

_LABELS = {"sensor": "Sensor", "failure mode": "FailureMode", "asset": "Asset"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`new` sensors and failure modes of the asset; `equipment`: ids of other open assets that its documents name."""

    new: tuple[FedBack, ...]
    equipment: tuple[str, ...]


def find(graph: GraphStore, scope: Scope, assets: Assets, *, most: int) -> Found:
    """At most `most` new sensors, `most` new failure modes and `most` other assets; named by most documents first, then by id."""
    own = {
        "Sensor": {row.id for row in reading.sensors_of(graph, scope.asset)},
        "FailureMode": {row.id for row in reading.failure_modes_of(graph, scope.asset)},
        "Asset": {scope.asset} | {id_ for id_ in assets.rows if not assets.is_open(id_)},
    }
    namings: dict[str, list[Naming]] = {}
    for naming in namings_of(graph, scope.asset):
        namings.setdefault(naming.entity, []).append(naming)
    known = same_as(graph, namings)
    new: dict[str, list[FedBack]] = {"Sensor": [], "FailureMode": []}
    equipment: list[str] = []
    for entity in sorted(namings, key=lambda id_: (-len(namings[id_]), id_)):
        said = Counter(naming.kind for naming in namings[entity])
        kind = min(said, key=lambda one: (-said[one], one))
        label = _LABELS.get(kind)
        targets = known.get(entity, [])
        if label is None or any(key.id in own.get(key.label, ()) for key in targets):
            continue
        ids = [key.id for key in targets if key.label == label]
        if label == "Asset":
            equipment += [id_ for id_ in ids if id_ not in equipment]
        elif ids or not targets:  # what is something else by the tables is not fed back
            new[label].append(_fed_back(label, ids[0] if ids else entity, namings[entity][0]))
    return Found(
        new=(*new["Sensor"][:most], *new["FailureMode"][:most]), equipment=tuple(equipment[:most])
    )


def _fed_back(label: str, id_: str, naming: Naming) -> FedBack:
    return FedBack(
        label="Sensor" if label == "Sensor" else "FailureMode",
        id=id_,
        name=naming.canonical,
        ask=naming.ask,
        teacher=naming.teacher,
        prompt=naming.prompt,
        prompt_version=naming.prompt_version,
    )
