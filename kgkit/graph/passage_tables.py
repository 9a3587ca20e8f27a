"""Read passages as Arrow tables, by id, a page at a time: 350,000 texts are no 350,000 Python objects.

First ids alone, many at once, then the passages of each page by their ids, which both stores look up. ladybug has no index of ranges:
asked for a range it reads every column of all passages, for each page again.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from kgkit.graph.arrow import arrow_schema
from kgkit.graph.store import GraphStore

if TYPE_CHECKING:
    import pyarrow as pa

IDS_AT_ONCE = 50_000
PASSAGES_PER_PAGE = 2_000
_PREFIXES = 16**4
COLUMNS = {
    "id": "string",
    "kind": "string",
    "question": "string",
    "text": "string",
    "asset": "string",
    "part": "string",
    "sensor": "string",
    "failure_mode": "string",
    "parents": "string[]",
    "sources": "string[]",
    "ask": "string",
    "prompt": "string",
    "prompt_version": "string",
    "teacher": "string",
}
"""What a passage is, and in which order a table of them has it."""
RETURNED = ", ".join(f"p.`{name}` AS `{name}`" for name in COLUMNS)


def passage_tables(store: GraphStore, kinds: Iterable[str] | None = None) -> Iterator["pa.Table"]:
    """All passages of role `source`, or those of these kinds, by id: tables of COLUMNS, none of them empty.

    What a passage does not have is "" or an empty list.
    """
    for ids in _ids(store, kinds):
        for start in range(0, len(ids), PASSAGES_PER_PAGE):
            wanted = ids.slice(start, PASSAGES_PER_PAGE)
            page = store.table(
                f"UNWIND $ids AS id MATCH (p:Passage {{id: id}}) RETURN {RETURNED}",
                {"ids": wanted.to_pylist()},
                columns=COLUMNS,
            )
            if page.num_rows:
                yield filled(_in_order_of(wanted, page))


def _ids(store: GraphStore, kinds: Iterable[str] | None) -> Iterator["pa.ChunkedArray"]:
    """The ids in order, about IDS_AT_ONCE at a time: they are hexadecimal digests, so that ranges of their first digits are alike."""
    condition, given = "p.role = 'source'", {}
    if kinds is not None:
        condition, given = f"{condition} AND p.kind IN $kinds", {"kinds": sorted(kinds)}
    counted = store.query(f"MATCH (p:Passage) WHERE {condition} RETURN count(p) AS n", given)
    for first, last in _ranges(cast("int", counted.rows[0][0])):
        yield store.table(
            f"MATCH (p:Passage) WHERE {condition} AND p.id >= $first AND p.id < $last RETURN p.id AS id ORDER BY id",
            {**given, "first": first, "last": last},
            columns={"id": "string"},
        ).column("id")


def _in_order_of(ids: "pa.ChunkedArray", page: "pa.Table") -> "pa.Table":
    """The page in the order in which its passages were asked for: nearly always it comes so, and to sort it there costs a copy."""
    import pyarrow.compute as pc

    found = page.column("id")
    if found.equals(ids):
        return page
    return page.take(pc.index_in(ids, found.combine_chunks()).drop_null())


def filled(table: "pa.Table") -> "pa.Table":
    """The table with "" and empty lists where it says nothing."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if table.column(at).null_count:
            nothing = pa.scalar("" if pa.types.is_string(field.type) else [], field.type)
            table = table.set_column(at, field, table.column(at).fill_null(nothing))
    return table.cast(arrow_schema(COLUMNS))


def _ranges(total: int) -> list[tuple[str, str]]:
    """Ranges of hexadecimal ids that hold about IDS_AT_ONCE of `total` each; all ids are in one of them."""
    count = min(max(1, -(-total // IDS_AT_ONCE)), _PREFIXES)
    starts = ["", *(f"{_PREFIXES * number // count:04x}" for number in range(1, count))]
    return list(zip(starts, [*starts[1:], "\U0010ffff"], strict=True))
