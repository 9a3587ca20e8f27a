"""The terms of one asset: every name that its tables give to it, its classes, its parts, what it is watched by and how it fails.

What a teacher alone said is no term; so the terms are a function of the tables.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kgkit.expand.scope import Scope
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import normal_form, spoken
from kgkit.records import NodeKey, Role, Subject

TermKind = Literal[
    "asset", "category", "equipment type", "subunit", "component", "sensor", "failure mode"
]
IN_WORDS: Mapping[TermKind, str] = {
    "asset": "a class of industrial equipment",
    "category": "a category of industrial equipment",
    "equipment type": "a type of industrial equipment",
    "subunit": "a subunit of industrial equipment",
    "component": "a maintainable item of industrial equipment",
    "sensor": "a sensor or monitored parameter of industrial equipment",
    "failure mode": "a failure mode of industrial equipment",
}
"""What a prompt calls a term of each kind. All assets share the words, so that a term that many have is asked about once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A name and what it names. `node` is what a passage about it is ABOUT: the asset where it has no such node of its own.

    `within`: the class that an asset or a type is filed under. `meaning`: what the tables say of a failure mode.
    """

    kind: TermKind
    name: str
    subject: Subject
    node: NodeKey
    within: str = ""
    meaning: str = ""


def terms_of(graph: GraphStore, scope: Scope) -> list[Term]:
    """The terms of the scope's asset, by kind and id; of two of one kind with one normal form the first."""
    found: dict[tuple[str, str], Term] = {}
    for term in _terms(graph, scope):
        found.setdefault((term.kind, normal_form(term.name)), term)
    return list(found.values())


def _terms(graph: GraphStore, scope: Scope) -> Iterator[Term]:
    role: Role | None = None if scope.held_out else "source"
    asset = Term(kind="asset", name=scope.name, subject=Subject(asset=scope.asset), node=scope.key)
    categories = _filed(graph, scope, role, "(n:Category)-[r:HAS_CLASS]->(a:Asset)")
    yield replace(asset, within=", ".join(spoken(name) for name in categories))
    for name in categories:
        yield replace(asset, kind="category", name=name)
    for name in _filed(graph, scope, role, "(a:Asset)-[r:HAS_TYPE]->(n:EquipmentType)"):
        yield replace(asset, kind="equipment type", name=name, within=f"of {scope.name}")
    for part in reading.parts_of(graph, scope.asset, role=role):
        kind: TermKind = "subunit" if part.label == "Subunit" else "component"
        node = NodeKey(label=part.label, id=part.id)
        subject = replace(asset.subject, parent=part.id)
        yield Term(kind=kind, name=part.name, subject=subject, node=node)
    for name in _items(graph, scope, role):
        yield replace(asset, kind="component", name=name)
    yield from _watched(graph, scope, role)


def _watched(graph: GraphStore, scope: Scope, role: Role | None) -> Iterator[Term]:
    """What the asset is watched by, and how it fails."""
    about = Subject(asset=scope.asset)
    for sensor in reading.sensors_of(graph, scope.asset, role=role):
        if sensor.origin != "teacher":
            node = NodeKey(label="Sensor", id=sensor.id)
            subject = replace(about, sensor=sensor.id)
            yield Term(kind="sensor", name=sensor.name, subject=subject, node=node)
    for mode in reading.failure_modes_of(graph, scope.asset, role=role):
        if mode.origin != "teacher":
            yield Term(
                kind="failure mode",
                name=mode.name,
                subject=replace(about, failure_mode=mode.id),
                node=NodeKey(label="FailureMode", id=mode.id),
                meaning=" ".join(scope.speakable([mode.description])),
            )


def _filed(graph: GraphStore, scope: Scope, role: Role | None, path: str) -> list[str]:
    """The names at the other end of `path` from the asset, by id."""
    rows = graph.query(
        f"MATCH {path} WHERE a.id = $asset AND r.role IN $roles RETURN DISTINCT n.id AS id, n.name AS name ORDER BY id",
        {"asset": scope.asset, "roles": _roles(role)},
    ).rows
    return [str(name) for _, name in rows]


def _items(graph: GraphStore, scope: Scope, role: Role | None) -> list[str]:
    """The items that an FMEA names for failure modes of the asset."""
    rows = graph.query(
        "MATCH (a:Asset)-[r:EXPERIENCES]->(:FailureMode) WHERE a.id = $asset AND r.role IN $roles"
        " AND r.components IS NOT NULL UNWIND r.components AS item RETURN DISTINCT item ORDER BY item",
        {"asset": scope.asset, "roles": _roles(role)},
    ).rows
    return [str(item) for (item,) in rows]


def _roles(role: Role | None) -> list[str]:
    return ["source", "evaluation"] if role is None else [role]
