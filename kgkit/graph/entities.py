"""What the graph holds about entities: who mentions them, what they may be, how they are linked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from kgkit.graph.store import GraphStore
from kgkit.records import Edge, EdgeKey, NodeKey
from kgkit.schemas import graph_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """An entity in a document, by the name and the kind that the document's teacher gave it."""

    document: str
    entity: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """How often documents call an entity by this name and this kind."""

    entity: str
    name: str
    kind: str
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A node of the tables or of Phase I with all its names; `code` is empty where it has none."""

    key: NodeKey
    name: str
    code: str
    aliases: tuple[str, ...]


def mentions_of(store: GraphStore, asset: str) -> list[Mention]:
    """The entities of the documents about an asset and its parts, by (document, entity)."""
    rows = store.query(
        "MATCH (p:Passage)-[m:MENTIONS]->(e:Entity) WHERE p.asset = $asset"
        " RETURN p.id AS document, e.id AS entity, m.name AS name, m.kind AS kind ORDER BY document, entity",
        {"asset": asset},
    ).rows
    return [
        Mention(document=str(document), entity=str(entity), name=str(name), kind=str(kind))
        for document, entity, name, kind in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """One document's naming of an entity, with the ask that it comes from; `canonical` is the entity's own name."""

    entity: str
    canonical: str
    kind: str
    ask: str
    teacher: str
    prompt: str
    prompt_version: str


def namings_of(store: GraphStore, asset: str) -> list[Naming]:
    """Who names which entity in the documents about an asset and its parts, by (entity, document)."""
    rows = store.query(
        "MATCH (p:Passage)-[m:MENTIONS]->(e:Entity) WHERE p.asset = $asset"
        " RETURN e.id AS entity, e.name AS canonical, m.kind AS kind, m.ask AS ask, m.teacher AS teacher,"
        " m.prompt AS prompt, m.prompt_version AS prompt_version, p.id AS document ORDER BY entity, document",
        {"asset": asset},
    ).dicts()
    return [
        Naming(**{name: str(value) for name, value in row.items() if name != "document"})
        for row in rows
    ]


def same_as(store: GraphStore, entities: Iterable[str]) -> dict[str, list[NodeKey]]:
    """The nodes that these entities are, by entity; those that are none are left out."""
    found: dict[str, list[NodeKey]] = {}
    for _, label in sorted(graph_spec().relationships["SAME_AS"].ends):
        rows = store.query(
            f"MATCH (e:Entity)-[:SAME_AS]->(n:{label}) WHERE e.id IN $ids RETURN e.id, n.id ORDER BY e.id, n.id",
            {"ids": sorted(entities)},
        ).rows
        for entity, node in rows:
            found.setdefault(str(entity), []).append(NodeKey(label=label, id=str(node)))
    return found


def called(store: GraphStore) -> list[Called]:
    """All entities that documents mention, by (entity, name, kind)."""
    rows = store.query(
        "MATCH (:Passage)-[m:MENTIONS]->(e:Entity)"
        " RETURN e.id AS entity, m.name AS name, m.kind AS kind, count(*) AS n ORDER BY entity, name, kind"
    ).rows
    return [
        Called(entity=str(entity), name=str(name), kind=str(kind), documents=cast("int", count))
        for entity, name, kind, count in rows
    ]


def kinds(store: GraphStore) -> dict[str, str]:
    """All Entity nodes, by id, with the kind that stands on them: empty where none does yet."""
    rows = store.query("MATCH (e:Entity) RETURN e.id AS id, e.kind AS kind ORDER BY id").rows
    return {str(id_): kind if isinstance(kind, str) else "" for id_, kind in rows}


def named(store: GraphStore) -> list[Named]:
    """All nodes that an entity can be the same as, by (label, id); of evaluation tables none."""
    found = []
    for _, label in sorted(graph_spec().relationships["SAME_AS"].ends):
        has = graph_spec().node_properties(label)
        code = "n.code" if "code" in has else "NULL"
        aliases = "n.aliases" if "aliases" in has else "NULL"
        rows = store.query(
            f"MATCH (n:{label}) WHERE n.role = 'source'"
            f" RETURN n.id AS id, n.name AS name, {code} AS code, {aliases} AS aliases ORDER BY id"
        ).rows
        found += [
            Named(
                key=NodeKey(label=label, id=str(id_)),
                name=name if isinstance(name, str) else "",
                code=code_ if isinstance(code_, str) else "",
                aliases=tuple(map(str, others)) if isinstance(others, list) else (),
            )
            for id_, name, code_, others in rows
        ]
    return found


def links(store: GraphStore) -> Iterator[Edge]:
    """All SAME_AS and NEAR_DUPLICATE_OF edges, with what they say beside who says it."""
    for type_, says in (("SAME_AS", "how"), ("NEAR_DUPLICATE_OF", "jaccard")):
        for start, end in graph_spec().relationships[type_].ends:
            rows = store.query(
                f"MATCH (a:{start})-[r:{type_}]->(b:{end}) RETURN a.id, b.id, r.{says}"
            ).rows
            for one, other, said in rows:
                key = EdgeKey(
                    type=type_,
                    start=NodeKey(label=start, id=str(one)),
                    end=NodeKey(label=end, id=str(other)),
                )
                yield Edge(key=key, properties={says: cast("str | float", said)})


def lost_interactions(store: GraphStore) -> list[EdgeKey]:
    """INTERACTS_WITH edges whose passage is gone."""
    edges = "MATCH (a:Entity)-[r:INTERACTS_WITH]->(b:Entity)"
    passages = "MATCH (p:Passage) WHERE p.kind = 'entity_interaction'"
    (of_edges,), (of_passages,) = (
        store.query(f"{match} RETURN count(*)").rows[0] for match in (edges, passages)
    )
    if of_edges == of_passages:  # each passage has one
        return []
    there = {id_ for (id_,) in store.query(f"{passages} RETURN p.id").rows}
    return [
        interaction(str(one), str(other), str(passage))
        for one, other, passage in store.query(f"{edges} RETURN a.id, b.id, r.passage").rows
        if passage not in there
    ]


def interaction(one: str, other: str, passage: str) -> EdgeKey:
    """The INTERACTS_WITH edge that a passage stands for; from the smaller id to the larger one."""
    start, end = sorted((one, other))
    return EdgeKey(
        type="INTERACTS_WITH",
        start=NodeKey(label="Entity", id=start),
        end=NodeKey(label="Entity", id=end),
        extra=(("passage", passage),),
    )


def written_mentions(store: GraphStore, asset: str) -> list[EdgeKey]:
    """The MENTIONS edges of the documents about an asset and its parts."""
    return [
        EdgeKey(
            type="MENTIONS",
            start=NodeKey(label="Passage", id=one.document),
            end=NodeKey(label="Entity", id=one.entity),
        )
        for one in mentions_of(store, asset)
    ]


def written_interactions(store: GraphStore, asset: str) -> list[EdgeKey]:
    """The INTERACTS_WITH edges of the passages about an asset and its parts."""
    rows = store.query(
        "MATCH (p:Passage)-[:ABOUT]->(e:Entity) WHERE p.asset = $asset AND p.kind = 'entity_interaction'"
        " RETURN p.id AS passage, e.id AS entity ORDER BY passage, entity",
        {"asset": asset},
    ).rows
    about: dict[str, list[str]] = {}
    for passage, entity in rows:
        about.setdefault(str(passage), []).append(str(entity))
    return [
        interaction(both[0], both[1], passage) for passage, both in about.items() if len(both) == 2
    ]
