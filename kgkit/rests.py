"""A table cell forward: what it states, and all that rests on it: asks, what teachers said in answer, and all made from that.

What rests on a cell is what is about the facts that it states, and what would go if it said something else (kgkit/what_if.py).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kgkit.corpora.cells import Link, address, cells
from kgkit.derive import Derivation
from kgkit.extend.options import DESCRIPTIONS
from kgkit.graph.check import chunks
from kgkit.graph.store import GraphStore
from kgkit.schemas import graph_spec
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.ledger_rows import AskOutcome
from kgkit.what_if import Gone, gone_without
from kgkit.withdrawn import is_edge

OF_TABLES = ("discover", "link", "describe", DESCRIPTIONS)
"""The stages whose asks are about what tables state; those of the others are about a passage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What asks and passages may be about: all that is given. `stage`: the asks of one stage alone, no passages."""

    asset: str | None = None
    part: str | None = None
    sensor: str | None = None
    failure_mode: str | None = None
    stage: str | None = None

    def holds(self, outcome: AskOutcome) -> bool:
        """Whether an ask that rests on tables is about it; of a sensor of an asset itself, not of a part of the asset."""
        said = outcome.subject
        part = said.parent is None if self.asset and self.sensor else True
        return part and all(
            wanted is None or wanted == value
            for wanted, value in (
                (self.asset, said.asset),
                (self.part, said.parent),
                (self.sensor, said.sensor),
                (self.failure_mode, said.failure_mode),
                (self.stage, outcome.stage),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """A node or an edge that the cell states, and what it is that asks speak of; `about` None where none does."""

    link: Link
    about: About | None


def forward(cell: str, derivation: Derivation) -> list[Link]:
    """From FILE:ROW:COL (or FILE#SHEET:ROW:COL; COL a number or letters) to all that rests on the cell now.

    A node of which other cells speak as well (`alone` false) leads to what would go without the cell, no further; but the
    description of a failure mode does. The graph must be up to date. Raises UsageError for another form or an unknown file.
    """
    graph, workspace = derivation.graph, derivation.workspace
    source = address(cell, workspace)
    chain = cells([str(source)], workspace)
    text = str(chain[0]["text"])
    stated = [*_edges(str(source), graph), *_nodes(str(source), graph, text=text)]
    chain += [one.link for one in stated]
    gone = gone_without(source, derivation) if stated or text else Gone()
    if not stated and not gone.said:
        chain.append({"what": "nothing", "id": "nothing in the graph rests on this cell"})
    abouts = list(dict.fromkeys(one.about for one in stated if one.about))
    chain += _teacher_edges(abouts, gone, graph)
    about = {id_ for about in abouts for id_ in _said_of(about, graph)}
    resting = with_derived(about | {one.id for one in gone.said if not is_edge(one.kind)}, graph)
    chain += _asks(abouts, set(resting), gone, derivation.ledger)
    chain += _passages(resting, graph)
    return chain + [
        {"what": "edge MENTIONS", "id": one.about}
        for one in gone.said
        if one.kind == "MENTIONS" and one.about.partition(" -> ")[0] not in resting
    ]


def counts(chain: Iterable[Link]) -> dict[str, int]:
    """How many links of each sort there are; passages by kind, asks by stage."""
    sorts = (
        " ".join(str(link[name]) for name in ("what", "kind", "stage") if link.get(name))
        for link in chain
    )
    return dict(Counter(sorts))


def _edges(source: str, graph: GraphStore) -> Iterator[_Stated]:
    """The edges that rest on the cell, by type and ends."""
    for type_, relationship in sorted(graph_spec().relationships.items()):
        keyed = ", r.asset AS asset" if "asset" in relationship.key else ""
        for start, end in relationship.ends:
            if start in ("Passage", "Entity"):
                continue
            for row in graph.query(
                f"MATCH (a:{start})-[r:{type_}]->(b:{end}) WHERE $cell IN r.sources RETURN a.id AS head, b.id AS tail,"
                f" size(r.sources) AS cells{keyed} ORDER BY head, tail{', asset' if keyed else ''}",
                {"cell": source},
            ).dicts():
                head, tail = str(row["head"]), str(row["tail"])
                about = _about_edge(type_, start, head, tail, str(row.get("asset", "")))
                link: Link = {"what": f"edge {type_}", "id": f"{head} -> {tail}"}
                if about and about.asset:
                    link["asset"] = about.asset
                yield _Stated(link={**link, "alone": row["cells"] == 1}, about=about)


def _about_edge(type_: str, start: str, head: str, tail: str, asset: str) -> About | None:
    match type_:
        case "EXPERIENCES":
            return About(asset=head, failure_mode=tail)
        case "MONITORED_BY":
            whole = start == "Asset"
            return About(asset=head, sensor=tail) if whole else About(part=head, sensor=tail)
        case "RELEVANT_TO":
            return About(asset=asset, sensor=head, failure_mode=tail)
        case "HAS_SUBUNIT" | "HAS_COMPONENT":
            return About(part=tail)
        case "HAS_CLASS":  # the category stands in the prompt that discovers sensors
            return About(asset=tail, stage="discover")
    return None


def _nodes(source: str, graph: GraphStore, *, text: str) -> Iterator[_Stated]:
    """The nodes that the cell names or describes."""
    spec = graph_spec()
    for label in sorted(spec.nodes):
        described = "n.description" if "description" in spec.node_properties(label) else "NULL"
        for id_, sources, description in graph.query(
            f"MATCH (n:{label}) WHERE $cell IN n.sources RETURN n.id, size(n.sources), {described} ORDER BY n.id",
            {"cell": source},
        ).rows:
            alone = sources == 1
            leads = alone or (label == "FailureMode" and description == text)
            yield _Stated(
                link={"what": f"node {label}", "id": id_, "alone": alone},
                about=_about_node(label, str(id_)) if leads else None,
            )


def _about_node(label: str, id_: str) -> About | None:
    match label:
        case "Asset":
            return About(asset=id_)
        case "Sensor":
            return About(sensor=id_)
        case "FailureMode":
            return About(failure_mode=id_)
        case "Subunit" | "Component":
            return About(part=id_)
    return None


def _teacher_edges(abouts: Iterable[About], gone: Gone, graph: GraphStore) -> list[Link]:
    """What a teacher says about a sensor and a failure mode rests on the edges that made it a question; and what would go."""
    found: dict[tuple[str, ...], Link] = {}
    for one in gone.said:
        if is_edge(one.kind) and one.kind != "MENTIONS":
            link: Link = {"what": f"edge {one.kind}", "id": one.about, "asset": one.asset}
            found[one.asset, one.kind, one.about] = {**link, "origin": "teacher", "ask": one.ask}
    for about in abouts:
        if about.part or about.stage:
            continue
        wanted = {"r.asset": about.asset, "s.id": about.sensor, "f.id": about.failure_mode}
        condition, given = _condition(wanted)
        for asset, sensor, mode, ask in graph.query(
            f"MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) WHERE r.origin = 'teacher' AND {condition}"
            " RETURN r.asset, s.id, f.id, r.ask",
            given,
        ).rows:
            ends = f"{sensor} -> {mode}"
            link = {"what": "edge RELEVANT_TO", "id": ends, "asset": asset}
            found[str(asset), "RELEVANT_TO", ends] = {**link, "origin": "teacher", "ask": ask}
    return [link for _, link in sorted(found.items())]


def _asks(abouts: list[About], passages: set[str], gone: Gone, ledger: Ledger) -> Iterator[Link]:
    """The asks about any of it, those about any of the passages, and what would go; with their ends."""
    assets = {about.asset for about in abouts}
    outcomes = (
        ledger.outcomes()
        if None in assets
        else [one for asset in sorted(filter(None, assets)) for one in ledger.outcomes(asset=asset)]
    )
    found = {one.id: one for one in gone.asks}
    for one in outcomes:
        of_tables = one.stage in OF_TABLES and any(about.holds(one) for about in abouts)
        if of_tables or one.subject.parent in passages:
            found[one.id] = one
    for id_, one in sorted(found.items()):
        outcome = f"{one.status} {one.reason}".strip()
        known = {"stage": one.stage, "prompt": one.prompt, "outcome": outcome}
        yield {"what": "ask", "id": id_, **known}


def _said_of(about: About, graph: GraphStore) -> list[str]:
    """The passages that speak of it, whatever their kind."""
    if about.stage:
        return []
    condition, given = _condition(
        {
            "p.asset": about.asset,
            "p.part": about.part,
            "p.sensor": about.sensor,
            "p.failure_mode": about.failure_mode,
        }
    )
    if about.asset and about.sensor and not about.failure_mode:
        condition += " AND p.part IS NULL"
    rows = graph.query(f"MATCH (p:Passage) WHERE {condition} RETURN p.id", given).rows
    return [str(id_) for (id_,) in rows]


def _condition(wanted: Mapping[str, str | None]) -> tuple[str, dict[str, str]]:
    """`p.asset = $p_asset AND ...` for all that is given, with its parameters."""
    given = {name.replace(".", "_"): value for name, value in wanted.items() if value}
    names = [name for name, value in wanted.items() if value]
    return " AND ".join(f"{name} = ${name.replace('.', '_')}" for name in names), given


def with_derived(passages: Iterable[str], graph: GraphStore) -> list[str]:
    """The passages and all that was made from them, from those, and so on; by id."""
    found = set(passages)
    fresh = sorted(found)
    while fresh:
        derived = {
            str(id_)
            for some in chunks(fresh)
            for (id_,) in graph.query(
                "UNWIND $ids AS id MATCH (p:Passage)-[:DERIVED_FROM]->(:Passage {id: id}) RETURN DISTINCT p.id",
                {"ids": some},
            ).rows
        }
        fresh = sorted(derived - found)
        found |= derived
    return sorted(found)


def _passages(ids: list[str], graph: GraphStore) -> list[Link]:
    """Passages as links, then the mentions and interactions that stand with them."""
    found: list[Link] = []
    edges: list[Link] = []
    for some in chunks(ids):
        given = {"ids": some}
        found += [
            {"what": "passage", "id": id_, "kind": kind, "about": name, "ask": ask}
            for id_, kind, name, ask in graph.query(
                "UNWIND $ids AS id MATCH (p:Passage {id: id}) RETURN p.id, p.kind, p.name, p.ask ORDER BY p.id",
                given,
            ).rows
        ]
        edges += [
            {"what": "edge MENTIONS", "id": f"{document} -> {entity}"}
            for document, entity in graph.query(
                "UNWIND $ids AS id MATCH (p:Passage {id: id})-[:MENTIONS]->(e:Entity) RETURN p.id, e.id ORDER BY p.id, e.id",
                given,
            ).rows
        ]
        edges += [
            {"what": "edge INTERACTS_WITH", "id": f"{one} -> {other}", "passage": passage}
            for one, other, passage in graph.query(
                "MATCH (a:Entity)-[r:INTERACTS_WITH]->(b:Entity) WHERE r.passage IN $ids"
                " RETURN a.id, b.id, r.passage ORDER BY r.passage",
                given,
            ).rows
        ]
    return found + edges
