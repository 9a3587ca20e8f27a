"""Read passages as Arrow tables, by id, a page at a time: 350,000 texts are no 350,000 Python objects.

A page is a range of ids. The store reads all of its passages for each page and keeps those in the range, so a page is not small;
it is held twice for a moment, by the store and by Arrow.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from kgkit.graph.arrow import arrow_schema
from kgkit.graph.store import GraphStore

if TYPE_CHECKING:
    import pyarrow as pa

PASSAGES_PER_PAGE = 20_000
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

    What a passage does not have is "" or an empty list. Ids are hexadecimal digests, so that pages of about PASSAGES_PER_PAGE
    are ranges of their first digits.
    """
    condition, given = "p.role = 'source'", {}
    if kinds is not None:
        condition, given = f"{condition} AND p.kind IN $kinds", {"kinds": sorted(kinds)}
    counted = store.query(f"MATCH (p:Passage) WHERE {condition} RETURN count(p) AS n", given)
    for first, last in _ranges(cast("int", counted.rows[0][0])):
        page = store.table(
            f"MATCH (p:Passage) WHERE {condition} AND p.id >= $first AND p.id < $last RETURN {RETURNED} ORDER BY p.id",
            {**given, "first": first, "last": last},
            columns=COLUMNS,
        )
        if page.num_rows:
            yield filled(page)


def filled(table: "pa.Table") -> "pa.Table":
    """The table with "" and empty lists where it says nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, field in enumerate(table.schema):
        if table.column(at).null_count:
            nothing = pa.scalar("" if pa.types.is_string(field.type) else [], field.type)
            table = table.set_column(at, field, pc.coalesce(table.column(at), nothing))
    return table.cast(arrow_schema(COLUMNS))


def _ranges(total: int) -> list[tuple[str, str]]:
    """Ranges of hexadecimal ids that hold about PASSAGES_PER_PAGE of `total` each; all ids are in one of them."""
    pages = min(max(1, -(-total // PASSAGES_PER_PAGE)), _PREFIXES)
    starts = ["", *(f"{_PREFIXES * page // pages:04x}" for page in range(1, pages))]
    return list(zip(starts, [*starts[1:], "\U0010ffff"], strict=True))
