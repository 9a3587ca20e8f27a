"""Turn the graph into the facts that questions are made of: pairs of a relation that hold or do not. What a teacher said is no fact.

A sensor matrix says of each of its cells whether it holds; what it does not say (`blank: unknown`, no such column) is no fact.
The other relations are lists: what a table lists for others and not for this one does not hold of it, as far as that table goes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from kgkit.graph.store import GraphStore
from kgkit.names import spoken

Relation = Literal["relevance", "failure-modes", "subunits", "failure-classes", "codes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Whether the pair (`left`, `right`) of ids holds on `asset` (an id; "" where the relation knows no asset), and which cells say so."""

    left: str
    left_name: str
    right: str
    right_name: str
    asset: str
    holds: bool
    sources: tuple[str, ...]


def facts(graph: GraphStore, relation: Relation, *, role: str | None = None) -> list[Fact]:
    """All facts of the relation, by asset, left and right; `role`: what tables of this role say alone, as `source` for what may be trained on."""
    found = _READERS[relation](graph, role)
    return sorted(found, key=lambda fact: (fact.asset, fact.left, fact.right))


def _relevance(graph: GraphStore, role: str | None) -> Iterator[Fact]:
    for row in _rows(
        graph,
        "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) WHERE r.origin <> 'teacher'"
        " RETURN f.id AS left, f.name AS left_name, s.id AS right, s.name AS right_name, r.asset AS asset,"
        " r.label AS label, r.role AS role, r.sources AS sources",
    ):
        if role in (None, row["role"]):
            yield _fact(row, holds=row["label"] == "Yes")


def _failure_modes(graph: GraphStore, role: str | None) -> Iterator[Fact]:
    found = _rows(
        graph,
        "MATCH (a:Asset)-[r:EXPERIENCES]->(f:FailureMode)"
        " RETURN a.id AS left, a.name AS left_name, f.id AS right, f.name AS right_name, a.id AS asset,"
        " r.origin AS origin, r.role AS role, r.sources AS sources",
    )
    yield from _listed(found, role)


def _subunits(graph: GraphStore, role: str | None) -> Iterator[Fact]:
    found = _rows(
        graph,
        "MATCH (a:Asset)-[r:HAS_SUBUNIT]->(u:Subunit)"
        " RETURN a.id AS left, a.name AS left_name, u.name AS right, u.name AS right_name, a.id AS asset,"
        " r.origin AS origin, r.role AS role, r.sources AS sources",
    )
    yield from _listed(found, role)


def _failure_classes(graph: GraphStore, role: str | None) -> Iterator[Fact]:
    found = _rows(
        graph,
        "MATCH (f:FailureMode)-[r:IN_CLASS]->(c:FailureClass)"
        " RETURN f.id AS left, f.name AS left_name, c.id AS right, c.name AS right_name, '' AS asset,"
        " r.origin AS origin, r.role AS role, r.sources AS sources",
    )
    yield from _listed(found, role)


def _codes(graph: GraphStore, role: str | None) -> Iterator[Fact]:
    found = _rows(
        graph,
        "MATCH (f:FailureMode) WHERE f.code <> ''"
        " RETURN f.code AS left, f.code AS left_name, f.id AS right, f.name AS right_name, '' AS asset,"
        " f.origin AS origin, f.role AS role, f.sources AS sources",
    )
    yield from _listed(found, role)


_READERS: Mapping[Relation, Callable[[GraphStore, str | None], Iterator[Fact]]] = {
    "relevance": _relevance,
    "failure-modes": _failure_modes,
    "subunits": _subunits,
    "failure-classes": _failure_classes,
    "codes": _codes,
}


def _rows(graph: GraphStore, cypher: str) -> list[dict[str, object]]:
    return graph.query(cypher).dicts()


def _listed(rows: list[dict[str, object]], role: str | None) -> Iterator[Fact]:
    """Listed pairs hold; what the same table lists for others does not. A pair that a teacher added is neither, nor one of a table of another role.

    What a table lists that knows one thing alone is no fact: nothing in it is wrong, and its spelling would give right options away.
    """
    held = {(str(row["left"]), str(row["right"])) for row in rows}
    listed = [row for row in rows if row["origin"] != "teacher" and role in (None, row["role"])]
    rights: dict[str, dict[str, str]] = {}
    lefts_of: dict[str, set[str]] = {}
    for row in listed:
        for table in _tables(row):
            rights.setdefault(table, {})[str(row["right"])] = str(row["right_name"])
            lefts_of.setdefault(table, set()).add(str(row["left"]))
    lefts: dict[str, tuple[dict[str, object], set[str]]] = {}
    for row in listed:
        if all(len(lefts_of[table]) == 1 for table in _tables(row)):
            continue
        yield _fact(row, holds=True)
        lefts.setdefault(str(row["left"]), (row, set()))[1].update(_tables(row))
    for left, (row, tables) in lefts.items():
        others = {right: name for table in sorted(tables) for right, name in rights[table].items()}
        for right, name in others.items():
            if (left, right) not in held:
                absent = {**row, "right": right, "right_name": name, "sources": []}
                yield _fact(absent, holds=False)


def _tables(row: Mapping[str, object]) -> set[str]:
    """The tables that say so, without the cells."""
    return {source.rpartition("!")[0] for source in cast("list[str]", row["sources"] or [])}


def _fact(row: Mapping[str, object], *, holds: bool) -> Fact:
    asset = str(row["asset"] or "")
    left_name = str(row["left_name"])
    return Fact(
        left=str(row["left"]),
        left_name=spoken(left_name) if asset and row["left"] == asset else left_name,
        right=str(row["right"]),
        right_name=str(row["right_name"]),
        asset=asset,
        holds=holds,
        sources=tuple(cast("list[str]", row["sources"] or [])),
    )
