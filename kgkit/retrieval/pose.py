"""Turn a task, a graph and a split into queries, items and what is relevant to what, on one side of the split.

A query about an asset stands on the side of the asset's family. A query about none stands on a side by a hash of the task's seed and
its id, so that it stays there whatever else is loaded: 6 in 10 train, 1 dev, 3 held out (with a split that holds nothing out, all train).
What a teacher said is in no task. Rows for evaluation alone are in no training; neither is what names a held-out asset.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from kgkit.errors import ContentError
from kgkit.expand.scope import Assets, names_pattern
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import normal_form, plain, spoken
from kgkit.records import digest
from kgkit.retrieval.tasks import Task
from kgkit.retrieval.texts import query_text
from kgkit.splits import Side, Split

Seen = Literal["all", "some", "none"]
SEEN: tuple[Seen, ...] = ("all", "some", "none")
SIDES: tuple[Side, ...] = ("train", "dev", "held_out")
_HELD_OUT, _DEV = 0.3, 0.4
"""Below the first of these a query without an asset is held out, below the second it is for development."""
_QUERY_COLUMNS = ("id", "asset_id")
_ITEM_COLUMNS = ("id", "name", "origin")
_QREL_COLUMNS = ("query", "item", "origin", "role", "sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query. `shown`: field -> value, those that have one; `key`: the field's value that makes pairs with items, in normal form.

    `families`: of the assets that it is about, none where the seed decides its side.
    """

    id: str
    text: str
    shown: Mapping[str, str]
    key: str
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item. `trained`: some query of training has it as a relevant item; one that is not is seen in a test only."""

    id: str
    text: str
    trained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """One side of a task. In training the items are those that its queries are relevant to, elsewhere all.

    `relevant`: query id -> ids of its items, never none. `seen`: query id -> how many of its pairs (key, relevant item) stand in training.
    `sources`: the cells that say so. `left_out`: pairs that are not here, by reason.
    """

    task: Task
    side: Side
    queries: tuple[Query, ...]
    items: tuple[Item, ...]
    relevant: Mapping[str, frozenset[str]]
    seen: Mapping[str, Seen]
    sources: tuple[str, ...]
    left_out: Mapping[str, int]

    @property
    def families(self) -> frozenset[str]:
        """The asset families that its queries are about."""
        return frozenset(family for query in self.queries for family in query.families)

    def digest(self) -> str:
        """What tells these queries, items and qrels from any others."""
        return digest(
            [
                self.task.name,
                [[one.id, one.text] for one in self.queries],
                [[one.id, one.text] for one in self.items],
                sorted([query, sorted(items)] for query, items in self.relevant.items()),
            ]
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    """One row of the qrels, of merged ids."""

    query: str
    item: str
    role: str
    sources: tuple[str, ...]


@dataclass(slots=True)
class _Drawn:
    """Everything of a task, before it is divided. `assets`: query id -> ids of the assets that it is about."""

    queries: dict[str, dict[str, str]] = field(default_factory=dict)
    assets: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    items: dict[str, str] = field(default_factory=dict)
    pairs: list[_Pair] = field(default_factory=list)


def pose(
    task: Task, graph: GraphStore, split: Split, *, side: Side, holdout: str | None = None
) -> Posed:
    """The queries of the task on `side`, by id; with what else they need. See `pose_all`."""
    return pose_all(task, graph, split, holdout=holdout)[side]


def pose_all(
    task: Task, graph: GraphStore, split: Split, *, holdout: str | None = None
) -> dict[Side, Posed]:
    """All sides of the task; one without queries where the graph has no data for it.

    `holdout`: this family alone is held out, all others are for training. Raises ContentError where the Cypher does not
    return what a task needs.
    """
    drawn = _drawn(task, graph)
    assets = Assets(reading.assets(graph, role=None), split)
    sides = _Sides(task, split, assets, holdout)
    trainable = {
        pair.query for pair in drawn.pairs if sides.may_train(pair.role, drawn.assets[pair.query])
    }
    side_of = {
        query: sides.of(query, drawn.assets[query]) if query in trainable else "held_out"
        for query in drawn.queries
    }
    pairs: dict[Side, list[_Pair]] = {side: [] for side in SIDES}
    left_out: dict[Side, Counter[str]] = {side: Counter() for side in SIDES}
    for pair in drawn.pairs:
        side = side_of[pair.query]
        texts = (query_text(task, drawn.queries[pair.query]), drawn.items[pair.item])
        why = sides.refused(pair.role, drawn.assets[pair.query], texts)
        if why and side != "held_out":
            left_out[side][why] += 1
        else:
            pairs[side].append(pair)
    train = pairs["train"]
    known = {(_key(task, drawn.queries[pair.query]), pair.item) for pair in train}
    trained = {pair.item for pair in train}
    return {
        side: _posed(task, drawn, side, pairs[side], sides, known, trained, left_out[side])
        for side in SIDES
    }


def without_data(task: Task, sides: Mapping[Side, Posed]) -> str | None:
    """Why a task cannot be measured here; None where it can."""
    if not any(posed.queries for posed in sides.values()):
        return f"no data: nothing in the workspace comes from {task.source}"
    if not sides["held_out"].queries:
        return "no query is held out by this split"
    return None


class _Sides:
    """Which side of a split a query stands on, and what may not stand in training."""

    def __init__(self, task: Task, split: Split, assets: Assets, holdout: str | None) -> None:
        self._task, self._split, self._holdout = task, split, holdout
        self._rows = assets.rows
        self._names_held_out = assets.held_out_pattern
        if holdout is not None:
            names = {name for row in assets.rows.values() for name in (row.name, *row.aliases)}
            self._names_held_out = names_pattern(
                {name for name in names if split.family(name) == holdout}
            )

    def family(self, asset: str) -> str:
        row = self._rows.get(asset)
        return self._split.family(row.name if row else asset)

    def of(self, query: str, assets: Iterable[str]) -> Side:
        """The side of its assets, in training if one of several is; that of the seed where it has none."""
        found = {self.side(self.family(asset)) for asset in assets if asset}
        for side in SIDES:
            if side in found:
                return side
        if not self._holdout and not self._split.held_out:
            return "train"
        place = _place(self._task.seed, self._task.name, query)
        return "held_out" if place < _HELD_OUT else "dev" if place < _DEV else "train"

    def side(self, family: str) -> Side:
        """The side of a family."""
        if self._holdout is not None:
            return "held_out" if family == self._holdout else "train"
        if family in self._split.held_out:
            return "held_out"
        return "dev" if family in self._split.dev else "train"

    def may_train(self, role: str, assets: Iterable[str]) -> bool:
        """Whether a row may: not one for evaluation, except of a family that the split holds out and `holdout` does not."""
        if role == "source" or self._holdout is None:
            return role == "source"
        families = [self.family(asset) for asset in assets if asset]
        return bool(families) and all(family in self._split.held_out for family in families)

    def refused(self, role: str, assets: Iterable[str], texts: Iterable[str]) -> str | None:
        """Why a pair may not be trained on, or chosen by."""
        if not self.may_train(role, assets):
            return "for evaluation alone"
        named = any(self._names_held_out.search(text) for text in texts)
        return "names a held-out asset" if named else None


def _posed(  # noqa: PLR0913 - one side of what was drawn
    task: Task,
    drawn: _Drawn,
    side: Side,
    pairs: Sequence[_Pair],
    sides: _Sides,
    known: set[tuple[str, str]],
    trained: set[str],
    left_out: Mapping[str, int],
) -> Posed:
    relevant: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        relevant[pair.query].add(pair.item)
    queries = tuple(
        Query(
            id=id_,
            text=query_text(task, drawn.queries[id_]),
            shown=drawn.queries[id_],
            key=_key(task, drawn.queries[id_]),
            families=_families(drawn.assets[id_], side, sides),
        )
        for id_ in sorted(relevant)
    )
    offered = trained if side == "train" else drawn.items.keys()
    return Posed(
        task=task,
        side=side,
        queries=queries,
        items=tuple(
            Item(id=id_, text=drawn.items[id_], trained=id_ in trained) for id_ in sorted(offered)
        ),
        relevant={id_: frozenset(relevant[id_]) for id_ in sorted(relevant)},
        seen={query.id: _seen(query, relevant[query.id], known) for query in queries},
        sources=tuple(sorted({source for pair in pairs for source in pair.sources})),
        left_out=dict(sorted(left_out.items())),
    )


def _seen(query: Query, relevant: Iterable[str], known: set[tuple[str, str]]) -> Seen:
    found = [(query.key, item) in known for item in relevant]
    return "all" if all(found) else "some" if any(found) else "none"


def _key(task: Task, shown: Mapping[str, str]) -> str:
    return normal_form(shown.get(task.key, ""))


def _families(assets: Iterable[str], side: Side, sides: _Sides) -> tuple[str, ...]:
    """The families of a query's assets that stand on the side themselves."""
    found = {sides.family(asset) for asset in assets if asset}
    return tuple(sorted(family for family in found if sides.side(family) == side))


def _place(seed: int, task: str, query: str) -> float:
    """A number in [0, 1) that hangs on these alone."""
    number = hashlib.sha256(f"{seed}/{task}/{query}".encode()).digest()[:8]
    return int.from_bytes(number, "big") / 2**64


def items_of(task: Task, graph: GraphStore) -> dict[str, str]:
    """All items of the task, on every side: id -> text, by id."""
    return _items(task, graph)[1]


def _items(task: Task, graph: GraphStore) -> tuple[dict[str, str], dict[str, str]]:
    """For each id the id of the item that it is, and the items' texts. Two of one text are one, by the first of their ids."""
    named: dict[str, str] = {}
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    rows = _rows(task, graph, task.items, _ITEM_COLUMNS)
    for row in sorted(rows, key=lambda row: str(row["id"])):
        if row["origin"] != "teacher":
            text = str(row["name"])
            ids[str(row["id"])] = id_ = named.setdefault(plain(text), str(row["id"]))
            texts.setdefault(id_, text)
    return ids, texts


def _drawn(task: Task, graph: GraphStore) -> _Drawn:
    """What the task's Cypher finds. Two queries (or items) of one text are one, by the first of their ids."""
    drawn = _Drawn()
    items, drawn.items = _items(task, graph)
    queries: dict[str, str] = {}
    rows = _rows(task, graph, task.queries, _QUERY_COLUMNS)
    texts: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (str(row["id"]), str(row["asset_id"]))):
        shown = _shown(task, row)
        queries[str(row["id"])] = id_ = texts.setdefault(
            plain(query_text(task, shown)), str(row["id"])
        )
        drawn.queries.setdefault(id_, shown)
        drawn.assets[id_].add(str(row["asset_id"] or ""))
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in _rows(task, graph, task.qrels, _QREL_COLUMNS):
        query, item = queries.get(str(row["query"])), items.get(str(row["item"]))
        if row["origin"] != "teacher" and query is not None and item is not None:
            cells = cast("list[str]", row["sources"] or [])
            found[query, item, str(row["role"])].update(cells)
    drawn.pairs = [
        _Pair(query, item, role, tuple(sorted(cells)))
        for (query, item, role), cells in sorted(found.items())
    ]
    return drawn


def _rows(
    task: Task, graph: GraphStore, statements: Iterable[str], columns: Sequence[str]
) -> list[dict[str, object]]:
    """What the statements return. Raises ContentError where one lacks a column."""
    found: list[dict[str, object]] = []
    for statement in statements:
        rows = graph.query(statement)
        for column in columns:
            if column not in rows.columns:
                raise ContentError(
                    f"evaluation/retrieval/{task.name}.yaml: {' '.join(statement.split())[:60]}... returns no {column}; "
                    f"it has to return {', '.join(columns)}"
                )
        found += rows.dicts()
    return found


def _shown(task: Task, row: Mapping[str, object]) -> dict[str, str]:
    """The fields that have a value; an asset's name as a sentence says it."""
    return {
        column: spoken(str(row[column])) if column == "asset" else str(row[column])
        for column in task.fields
        if row.get(column)
    }
