"""What a teacher said that was withdrawn because nothing says it any more: a cell, a prompt or the split was changed.

It is gone from the graph as soon as this is up to date; the ledger keeps the replies, and here a list until the stage that
had made it has run again, so that `kgkit plan` can say what the change took away.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from kgkit.graph.store import GraphStore
from kgkit.records import EdgeKey, NodeKey
from kgkit.teacher.ledger import Ledger

_META = "withdrawn/"
_STAGE_OF = {
    "MONITORED_BY": "discover",
    "EXPERIENCES": "discover",
    "RELEVANT_TO": "link",
    "MENTIONS": "entities",
    "asset_sensor": "describe",
    "asset_failure_mode": "describe",
    "asset_sensor_failure_mode": "describe",
    "rephrase_toddler": "rephrase",
    "rephrase_scholar": "rephrase",
    "rephrase_wiki": "rephrase",
    "rephrase_qa": "rephrase",
    "summary": "qa",
    "qa": "qa",
    "raft": "raft",
    "entity_summary": "entities",
    "entity_role": "entity-centric",
    "entity_interaction": "interaction-centric",
    "description": "descriptions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A passage (`kind` is its kind) or an edge (its type) that a teacher said, and the ask whose reply says so.

    `ask` is empty where an expert says it in the teacher's place.
    An INTERACTS_WITH edge stands and goes with its passage and is not listed.
    """

    id: str
    kind: str
    asset: str
    about: str
    ask: str

    @property
    def stage(self) -> str:
        """The stage that makes this kind."""
        return _STAGE_OF[self.kind]


def id_of(key: NodeKey | EdgeKey) -> str:
    """What `Said.id` is for a node or an edge."""
    if isinstance(key, NodeKey):
        return key.id
    return "|".join((key.type, key.start.id, key.end.id, *(value for _, value in key.extra)))


def standing(graph: GraphStore) -> dict[str, Said]:
    """All that teachers, or experts in their place, said and that stands in the graph, by id."""
    return {one.id: one for one in _standing(graph)}


def _standing(graph: GraphStore) -> Iterator[Said]:
    for id_, kind, asset, name, ask in _rows(
        graph,
        "MATCH (p:Passage) RETURN p.id, p.kind, p.asset, p.name, coalesce(p.ask, '')",
    ):
        yield Said(id=id_, kind=kind, asset=asset, about=name, ask=ask)
    for label, asset in (("Asset", "a.id"), ("Subunit", "a.asset"), ("Component", "a.asset")):
        for start, end, of, ask in _rows(
            graph,
            f"MATCH (a:{label})-[r:MONITORED_BY]->(b:Sensor) WHERE r.origin <> 'table' RETURN a.id AS head, b.id, {asset} AS asset, coalesce(r.ask, '')",
        ):
            yield _edge("MONITORED_BY", start, end, asset=of, ask=ask)
    for start, end, ask in _rows(
        graph,
        "MATCH (a:Asset)-[r:EXPERIENCES]->(b:FailureMode) WHERE r.origin <> 'table' RETURN a.id, b.id, coalesce(r.ask, '')",
    ):
        yield _edge("EXPERIENCES", start, end, asset=start, ask=ask)
    for start, end, of, ask in _rows(
        graph,
        "MATCH (a:Sensor)-[r:RELEVANT_TO]->(b:FailureMode) WHERE r.origin <> 'table' RETURN a.id, b.id, r.asset, coalesce(r.ask, '')",
    ):
        yield _edge("RELEVANT_TO", start, end, of, asset=of, ask=ask)
    for start, end, of, ask in _rows(
        graph,
        "MATCH (a:Passage)-[r:MENTIONS]->(b:Entity) RETURN a.id, b.id, a.asset, r.ask",
    ):
        yield _edge("MENTIONS", start, end, asset=of, ask=ask)


def _rows(graph: GraphStore, cypher: str) -> Iterator[tuple[str, ...]]:
    return (tuple(map(str, row)) for row in graph.query(cypher).rows)


def _edge(type_: str, start: str, end: str, *extra: str, asset: str, ask: str) -> Said:
    id_ = "|".join((type_, start, end, *extra))
    return Said(id=id_, kind=type_, asset=asset, about=f"{start} -> {end}", ask=ask)


def is_edge(kind: str) -> bool:
    """Whether `Said.kind` is an edge's type; a passage's kind is in lower case."""
    return kind.isupper()


def note(ledger: Ledger, *, before: Mapping[str, Said], after: Mapping[str, Said]) -> list[Said]:
    """Keep what stood before and no longer does; what stands again is no longer withdrawn. Returns what went just now.

    A passage in whose place an expert's stands is not withdrawn, nor an expert's in whose place the teacher's stands again.
    """
    everybody = {(one.kind, one.asset, one.about) for one in after.values()}
    experts = {(one.kind, one.asset, one.about) for one in after.values() if not one.ask}
    gone = [
        one
        for id_, one in before.items()
        if id_ not in after
        and (one.kind, one.asset, one.about) not in (experts if one.ask else everybody)
    ]
    fresh: dict[str, list[Said]] = {}
    for one in gone:
        fresh.setdefault(one.asset, []).append(one)
    kept = {key.removeprefix(_META) for key in ledger.meta_items(_META)}
    for asset in sorted(kept | fresh.keys()):
        known = {one.id: one for one in of(ledger, [asset])}
        known |= {one.id: one for one in fresh.get(asset, [])}
        _keep(ledger, asset, [one for id_, one in known.items() if id_ not in after])
    return gone


def of(ledger: Ledger, assets: Iterable[str]) -> list[Said]:
    """What was withdrawn of these assets and not made anew, by asset, kind and id."""
    found = []
    for asset in sorted(set(assets)):
        rows = cast("list[list[str]]", ledger.meta(_META + asset) or [])
        found += [
            Said(id=id_, kind=kind, asset=asset, about=about, ask=ask)
            for id_, kind, about, ask in rows
        ]
    return found


def forget(ledger: Ledger, asset: str, stage: str) -> None:
    """A stage has run for the asset: what it had made before is history."""
    kept = of(ledger, [asset])
    left = [one for one in kept if one.stage != stage]
    if len(left) < len(kept):
        _keep(ledger, asset, left)


def _keep(ledger: Ledger, asset: str, items: Iterable[Said]) -> None:
    rows = sorted([one.id, one.kind, one.about, one.ask] for one in items)
    rows.sort(key=lambda row: row[1])
    if rows != (ledger.meta(_META + asset) or []):
        ledger.set_meta(_META + asset, rows)


def counts(items: Iterable[Said]) -> dict[str, int]:
    """How many of each kind, by kind."""
    return dict(sorted(Counter(one.kind for one in items).items()))
