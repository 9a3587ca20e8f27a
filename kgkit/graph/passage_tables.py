"""Read passages as Arrow tables, by id, a page at a time: 350,000 texts are no 350,000 Python objects.

They are read in the order in which the store has them, which is by far the fastest, and sorted outside it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from kgkit.graph.arrow import arrow_schema
from kgkit.graph.by_id import by_id
from kgkit.graph.store import GraphStore

if TYPE_CHECKING:
    import pyarrow as pa

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
    where, given = "n.role = 'source'", {}
    if kinds is not None:
        where, given = f"{where} AND n.kind IN $kinds", {"kinds": sorted(kinds)}
    counted = store.query("MATCH (n:Passage) RETURN count(n)").rows
    found = store.scan("Passage", where=where, parameters=given, columns=COLUMNS)
    return by_id(found, total=cast("int", counted[0][0]), schema=arrow_schema(COLUMNS))
