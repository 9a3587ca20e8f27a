"""Tables that are sorted on the disk come whole and by id, whatever they were."""

import contextlib
import hashlib
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from kgkit.errors import KgkitError
from kgkit.graph import by_id
from kgkit.graph.ladybug_store import LadybugStore
from kgkit.records import Node, NodeKey, Subgraph

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("parents", pa.list_(pa.string()))])


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_id, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(by_id, "ROWS_PER_RANGE", 5)
    monkeypatch.setattr(by_id, "ROWS_PER_TABLE", 3)


def rows(count: int) -> list[dict[str, object]]:
    """Rows in a random order, with what is null, empty or odd in a text."""
    ids = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]
    texts = [None, "", 'a "text"\n', "a\x00b", "润滑"]
    parents = [None, [], ["a", "b,c"]]
    return [
        {"id": id_, "text": texts[n % 5], "parents": parents[n % 3]} for n, id_ in enumerate(ids)
    ]


def tables(of: list[dict[str, object]], seed: int) -> Iterator[pa.Table]:
    """The rows shuffled, in tables of 0 to 6 rows."""
    rng, left = random.Random(seed), list(of)
    rng.shuffle(left)
    while left:
        size = rng.randrange(7)
        yield pa.Table.from_pylist(left[:size], schema=SCHEMA)
        left = left[size:]


@pytest.mark.parametrize(
    "total", [0, 1, 57, 10_000]
)  # it may be wrong: the graph can change meanwhile
@pytest.mark.parametrize("seed", [1, 2])
def test_all_rows_come_once_by_id(total: int, seed: int):
    of = rows(57)
    found = list(by_id.by_id(tables(of, seed), total=total, schema=SCHEMA))
    assert pa.concat_tables(found).to_pylist() == sorted(of, key=lambda row: str(row["id"]))
    assert {table.num_rows for table in found} <= {1, 2, 3}


def test_ids_that_are_no_digests_come_in_order_too():
    of: list[dict[str, object]] = [
        {"id": id_, "text": id_, "parents": None}
        for id_ in ["zz", "", "Ünit", "f", "ffff", "10", "9", "p-1"]
    ]
    found = by_id.by_id(tables(of, 1), total=len(of), schema=SCHEMA)
    assert [row["id"] for table in found for row in table.to_pylist()] == sorted(
        str(row["id"]) for row in of
    )


def test_no_tables_are_no_tables():
    assert list(by_id.by_id([], total=0, schema=SCHEMA)) == []


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files in which the files that are laid there have no room."""
    for name in ("parts.arrow", "rows.csv"):
        (tmp_path / name).symlink_to("/dev/full")
    monkeypatch.setattr(
        tempfile, "TemporaryDirectory", lambda **_: contextlib.nullcontext(tmp_path)
    )


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_said_in_a_line():
    with pytest.raises(KgkitError, match=r"No space left.*make room .* or set TMPDIR"):
        list(by_id.by_id(tables(rows(57), 1), total=57, schema=SCHEMA))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_said_of_a_scan_too(tmp_path: Path):
    store = LadybugStore(tmp_path / "graph.ladybug", owner="w")
    node = Node(key=NodeKey(label="Asset", id="pump"), properties={"name": "Pump"})
    store.merge(Subgraph(nodes=(node,)))
    with pytest.raises(KgkitError, match=r"No space left.*make room .* or set TMPDIR"):
        list(store.scan("Asset", where="true", parameters={}, columns={"id": "string"}))
    store.close()
