"""What stands in the graph on whose word: so that what is no longer said can be withdrawn."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from kgkit.graph.store import GraphStore
from kgkit.records import Edge, EdgeKey, Node, NodeKey
from kgkit.schemas import graph_spec

Discovered = Literal["MONITORED_BY", "EXPERIENCES"]
DISCOVERED: tuple[Discovered, ...] = ("MONITORED_BY", "EXPERIENCES")
"""What discovery may say of an asset: its sensors, and failure modes that documents named."""


def table_items(store: GraphStore) -> Iterator[Node | Edge]:
    """All that tables and reviews say, in the order of the dump; not the passages that stages made of a review."""
    for item in store.dump():
        first = item.key if isinstance(item, Node) else item.key.start
        if item.properties.get("origin") != "teacher" and first.label != "Passage":
            yield item


def teacher_edges(store: GraphStore, type_: Discovered, start: NodeKey) -> list[EdgeKey]:
    """The edges of this type from an asset or a part that a teacher said."""
    end = "Sensor" if type_ == "MONITORED_BY" else "FailureMode"
    if (start.label, end) not in graph_spec().relationships[type_].ends:
        return []
    rows = store.query(
        f"MATCH (a:{start.label} {{id: $id}})-[r:{type_}]->(b:{end}) WHERE r.origin = 'teacher'"
        " RETURN b.id AS id ORDER BY id",
        {"id": start.id},
    ).rows
    return [
        EdgeKey(type=type_, start=start, end=NodeKey(label=end, id=str(id_))) for (id_,) in rows
    ]


def teacher_relevance(store: GraphStore, asset: str) -> list[EdgeKey]:
    """The RELEVANT_TO edges of an asset that a teacher said."""
    rows = store.query(
        "MATCH (s:Sensor)-[r:RELEVANT_TO {asset: $asset}]->(f:FailureMode) WHERE r.origin = 'teacher'"
        " RETURN s.id AS sensor, f.id AS mode ORDER BY sensor, mode",
        {"asset": asset},
    ).rows
    return [
        EdgeKey(
            type="RELEVANT_TO",
            start=NodeKey(label="Sensor", id=str(sensor)),
            end=NodeKey(label="FailureMode", id=str(mode)),
            extra=(("asset", asset),),
        )
        for sensor, mode in rows
    ]


def documents(
    store: GraphStore, asset: str, part: str | None, kinds: Iterable[str]
) -> list[NodeKey]:
    """The passages of these kinds about an asset as a whole (`part` None) or about one of its parts."""
    condition = "p.part IS NULL" if part is None else "p.part = $part"
    return _passages(
        store,
        f"p.asset = $asset AND {condition} AND p.kind IN $kinds",
        {"asset": asset, "kinds": sorted(kinds), **({} if part is None else {"part": part})},
    )


def derived_passages(store: GraphStore, asset: str, kinds: Iterable[str]) -> list[NodeKey]:
    """The passages of these kinds that were made from documents about an asset or its parts."""
    return _passages(
        store, "p.asset = $asset AND p.kind IN $kinds", {"asset": asset, "kinds": sorted(kinds)}
    )


def passages_about(store: GraphStore, asset: str, part: str | None) -> list[NodeKey]:
    """All passages about an asset and its parts, or about one of its parts alone."""
    condition, parameters = "p.asset = $asset", {"asset": asset}
    if part is not None:
        condition, parameters = f"{condition} AND p.part = $part", {**parameters, "part": part}
    return _passages(store, condition, parameters)


def _passages(
    store: GraphStore, condition: str, parameters: Mapping[str, str | list[str]]
) -> list[NodeKey]:
    rows = store.query(
        f"MATCH (p:Passage) WHERE {condition} RETURN p.id AS id ORDER BY id",
        dict(parameters),
    ).rows
    return [NodeKey(label="Passage", id=str(id_)) for (id_,) in rows]


def orphans(store: GraphStore) -> list[NodeKey]:
    """Sensors that only a teacher named and that monitor nothing any more, and failure modes that nothing experiences."""
    found = []
    for label, type_ in (("Sensor", "MONITORED_BY"), ("FailureMode", "EXPERIENCES")):
        rows = store.query(
            f"MATCH (s:{label}) WHERE s.origin = 'teacher' AND NOT EXISTS {{ MATCH (a)-[:{type_}]->(s) }}"
            " RETURN s.id AS id ORDER BY s.id"
        ).rows
        found += [NodeKey(label=label, id=str(id_)) for (id_,) in rows]
    return found
