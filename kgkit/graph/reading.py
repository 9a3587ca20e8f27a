"""What the stages ask of the graph, as named functions. Read-only Cypher that both stores run, sorted answers.

Only rows with role `source` are seen unless `role` says otherwise (None: all), so that evaluation rows never
reach a prompt.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from kgkit.graph.passage_tables import RETURNED, passage_tables
from kgkit.graph.store import GraphStore
from kgkit.records import Role, Value
from kgkit.schemas import graph_spec

_AT_ONCE = 1_000
PartLabel = Literal["Subunit", "Component"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset class of the taxonomy; `category` is the category's name. Empty where unknown.

    `role` is evaluation where only evaluation tables name the asset.
    """

    id: str
    name: str
    code: str
    aliases: tuple[str, ...]
    family: str
    category: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A sensor that monitors an asset; `origin` says who links the two."""

    id: str
    name: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureMode:
    """A failure mode of an asset; examples, causes and effects are those given for this asset.

    `origin` says who links the two.
    """

    id: str
    name: str
    origin: str
    description: str
    examples: tuple[str, ...]
    causes: tuple[str, ...]
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """Whether a sensor shows a failure mode: `label` Yes or No, who says so, and why."""

    label: str
    origin: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A subunit or component of an asset; `label` is the node's label, `within` the subunit of a component."""

    label: PartLabel
    id: str
    name: str
    within: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPassage:
    """A Passage node with all that its exported row needs. Empty where unknown."""

    id: str
    kind: str
    question: str
    text: str
    asset: str
    part: str
    sensor: str
    failure_mode: str
    parents: tuple[str, ...]
    sources: tuple[str, ...]
    ask: str
    prompt: str
    prompt_version: str
    teacher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Nodes by label and edges by type; what does not occur stands with 0."""

    nodes: Mapping[str, int]
    edges: Mapping[str, int]


def assets(store: GraphStore, *, role: Role | None = "source") -> list[Asset]:
    """All assets, by id."""
    rows = _ask(
        store,
        f"MATCH (a:Asset) {_where('a', role)}"
        " OPTIONAL MATCH (c:Category)-[h:HAS_CLASS]->(a) WHERE h.role = 'source'"
        " RETURN a.id AS id, a.name AS name, a.code AS code, a.aliases AS aliases,"
        " a.family AS family, a.role AS role, min(c.name) AS category",
        {},
        role,
    )
    found = [
        Asset(
            id=_text(row["id"]),
            name=_text(row["name"]),
            code=_text(row["code"]),
            aliases=_texts(row["aliases"]),
            family=_text(row["family"]),
            category=_text(row["category"]),
            role=_text(row["role"]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda asset: asset.id)


def sensors_of(
    store: GraphStore,
    id_: str,
    *,
    label: PartLabel | Literal["Asset"] = "Asset",
    role: Role | None = "source",
) -> list[Sensor]:
    """The sensors that monitor the asset (or the part of one) itself, by id."""
    rows = _ask(
        store,
        f"MATCH (a:{label} {{id: $asset}})-[r:MONITORED_BY]->(s:Sensor) {_where('r', role)}"
        " RETURN s.id AS id, s.name AS name, s.role AS role, r.origin AS origin",
        {"asset": id_},
        role,
    )
    found = [
        Sensor(id=_text(row["id"]), name=_name(row), origin=_text(row["origin"])) for row in rows
    ]
    return sorted(found, key=lambda sensor: sensor.id)


def failure_modes_of(
    store: GraphStore, asset_id: str, *, role: Role | None = "source"
) -> list[FailureMode]:
    """The failure modes that the asset experiences, by id."""
    rows = _ask(
        store,
        f"MATCH (a:Asset {{id: $asset}})-[r:EXPERIENCES]->(f:FailureMode) {_where('r', role)}"
        " RETURN f.id AS id, f.name AS name, f.role AS role, f.description AS description, r.origin AS origin,"
        " r.examples AS examples, r.causes AS causes, r.effects AS effects",
        {"asset": asset_id},
        role,
    )
    found = [
        FailureMode(
            id=_text(row["id"]),
            name=_name(row),
            origin=_text(row["origin"]),
            description=_text(row["description"]),
            examples=_texts(row["examples"]),
            causes=_texts(row["causes"]),
            effects=_texts(row["effects"]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda mode: mode.id)


def known_relevance(
    store: GraphStore, asset_id: str, *, role: Role | None = "source"
) -> dict[tuple[str, str], Relevance]:
    """What is known for the asset, by (sensor id, failure mode id), in that order."""
    rows = _ask(
        store,
        f"MATCH (s:Sensor)-[r:RELEVANT_TO {{asset: $asset}}]->(f:FailureMode) {_where('r', role)}"
        " RETURN s.id AS sensor, f.id AS mode, r.label AS label, r.origin AS origin,"
        " r.reason AS reason",
        {"asset": asset_id},
        role,
    )
    found = {
        (_text(row["sensor"]), _text(row["mode"])): Relevance(
            label=_text(row["label"]), origin=_text(row["origin"]), reason=_text(row["reason"])
        )
        for row in rows
    }
    return dict(sorted(found.items()))


def parts_of(store: GraphStore, asset_id: str, *, role: Role | None = "source") -> list[Part]:
    """Subunits and components of the asset, its subunits' components included, by (label, id).

    A component of the asset itself that is called like one of its subunits is the same thing in the words of another table
    (an FMEA has items, no subunits): the subunit stands for both, so that its documents are not written twice.
    """
    patterns: dict[PartLabel, tuple[str, ...]] = {
        "Component": (
            "(a)-[r:HAS_COMPONENT]->(p:Component)",
            "(a)-[:HAS_SUBUNIT]->(u:Subunit)-[r:HAS_COMPONENT]->(p:Component)",
        ),
        "Subunit": ("(a)-[r:HAS_SUBUNIT]->(p:Subunit)",),
    }
    found: dict[str, Part] = {}
    for label, paths in patterns.items():
        for path in paths:
            rows = _ask(
                store,
                f"MATCH (a:Asset {{id: $asset}}) MATCH {path} {_where('r', role)}"
                f" RETURN DISTINCT p.id AS id, p.name AS name{', u.name AS within' if '(u:' in path else ''}",
                {"asset": asset_id},
                role,
            )
            for row in rows:
                within = _text(row.get("within"))
                part = Part(
                    label=label, id=_text(row["id"]), name=_text(row["name"]), within=within
                )
                found[part.id] = part
    return sorted(found.values(), key=lambda part: (part.label, part.id))


def counts(store: GraphStore) -> Counts:
    """How many nodes of each label and edges of each type there are, whatever their role."""
    spec = graph_spec()
    return Counts(
        nodes={
            label: _count(store, f"MATCH (n:`{label}`) RETURN count(n) AS n")
            for label in sorted(spec.nodes)
        },
        edges={
            type_: sum(
                _count(store, f"MATCH (:`{start}`)-[r:`{type_}`]->(:`{end}`) RETURN count(r) AS n")
                for start, end in relationship.ends
            )
            for type_, relationship in sorted(spec.relationships.items())
        },
    )


def passages(store: GraphStore, kinds: Iterable[str] | None = None) -> Iterator[StoredPassage]:
    """All passages, or those of these kinds, by id; a page of `passage_tables` in memory at a time."""
    for table in passage_tables(store, kinds):
        for batch in table.to_batches(max_chunksize=_AT_ONCE):
            yield from map(_passage, batch.to_pylist())


def passages_of(store: GraphStore, asset_id: str, kinds: Iterable[str]) -> list[StoredPassage]:
    """The passages of these kinds about the asset and its parts, by id."""
    rows = store.query(
        "MATCH (p:Passage) WHERE p.asset = $asset AND p.kind IN $kinds AND p.role = 'source'"
        f" RETURN {RETURNED} ORDER BY p.id",
        {"asset": asset_id, "kinds": sorted(kinds)},
    ).dicts()
    return [_passage(row) for row in rows]


def _passage(row: Mapping[str, object]) -> StoredPassage:
    return StoredPassage(
        id=_text(row["id"]),
        kind=_text(row["kind"]),
        question=_text(row["question"]),
        text=_text(row["text"]),
        asset=_text(row["asset"]),
        part=_text(row["part"]),
        sensor=_text(row["sensor"]),
        failure_mode=_text(row["failure_mode"]),
        parents=_texts(row["parents"]),
        sources=_texts(row["sources"]),
        ask=_text(row["ask"]),
        prompt=_text(row["prompt"]),
        prompt_version=_text(row["prompt_version"]),
        teacher=_text(row["teacher"]),
    )


def _ask(
    store: GraphStore, cypher: str, parameters: dict[str, Value], role: Role | None
) -> list[dict[str, object]]:
    given = parameters if role is None else {**parameters, "role": role}
    return store.query(cypher, given).dicts()


def _where(variable: str, role: Role | None) -> str:
    return "" if role is None else f"WHERE {variable}.role = $role"


def _count(store: GraphStore, cypher: str) -> int:
    return cast("int", store.query(cypher).dicts()[0]["n"])


def _name(row: Mapping[str, object]) -> str:
    """A node's name; the words of its id where only evaluation tables give it one."""
    return _text(row["name"]) if row["role"] == "source" else _text(row["id"]).replace("-", " ")


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else ""


def _texts(cell: object) -> tuple[str, ...]:
    return tuple(item for item in cell if isinstance(item, str)) if isinstance(cell, list) else ()
