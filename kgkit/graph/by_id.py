"""Sort tables that do not fit in memory by their column `id`: parts of them are laid on the disk, a range of ids is read back at a time.

The ids are hexadecimal digests, so that ranges of their first digits hold about alike. Any others come in order too, but more at once.
"""

import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.errors import KgkitError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 10_000
ROWS_PER_RANGE = 4_000
ROWS_PER_TABLE = 4_000
_PREFIXES = 16**4


def by_id(tables: Iterable["pa.Table"], *, total: int, schema: "pa.Schema") -> Iterator["pa.Table"]:
    """The rows of all tables, each of `schema`, by id: tables of at most ROWS_PER_TABLE, none of them empty.

    `total` is how many rows there are at most. They take as much room in the folder for temporary files as they have bytes.
    Raises KgkitError where there is none.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="kgkit-sort-") as folder:
            file = Path(folder) / "parts.arrow"
            yield from _through(file, tables, starts=_starts(total), schema=schema)
    except OSError as error:  # of closing too: what did not fit is written again
        raise no_room(error) from error


def no_room(error: object) -> KgkitError:
    """What to say where temporary files cannot be written."""
    return KgkitError(
        f"there is no room to read nodes through the disk ({error}); make room in the folder for temporary files, or set TMPDIR to another"
    )


def _through(
    file: Path, tables: Iterable["pa.Table"], *, starts: list[str], schema: "pa.Schema"
) -> Iterator["pa.Table"]:
    """Write all rows to the file, those of a range in a few parts; then the parts of each range, sorted together."""
    import pyarrow as pa

    ranges: list[list[int]] = [[] for _ in range(len(starts) + 1)]
    parts = 0
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for ordered in _some_sorted(tables):
            ids = ordered.column("id").combine_chunks()
            cuts = (bisect_left(ids, start, key=pa.StringScalar.as_py) for start in starts)
            for of_range, (begin, end) in zip(ranges, pairwise([0, *cuts, len(ids)]), strict=True):
                if begin < end:
                    [part] = ordered.slice(begin, end - begin).to_batches()
                    writer.write_batch(part)
                    of_range.append(parts)
                    parts += 1
    pa.default_memory_pool().release_unused()
    with pa.OSFile(str(file), "rb") as source, pa.ipc.open_file(source) as reader:
        for of_range in ranges:
            yield from _sorted(map(reader.get_batch, of_range), schema)


def _some_sorted(tables: Iterable["pa.Table"]) -> Iterator["pa.Table"]:
    """Some tables at a time as one of about ROWS_AT_ONCE rows in one piece, by id."""
    some: list[pa.Table] = []
    for table in tables:
        some.append(table)
        if sum(one.num_rows for one in some) >= ROWS_AT_ONCE:
            yield _one_of(some)
    if some:
        yield _one_of(some)


def _one_of(some: list["pa.Table"]) -> "pa.Table":
    """All rows by id; the list is emptied."""
    import pyarrow as pa

    whole = pa.concat_tables(some)
    some.clear()
    return whole.sort_by("id").combine_chunks()


def _sorted(batches: Iterable["pa.RecordBatch"], schema: "pa.Schema") -> Iterator["pa.Table"]:
    """The rows of all batches by id."""
    import pyarrow as pa

    whole = pa.Table.from_batches(batches, schema).sort_by("id")
    for start in range(0, whole.num_rows, ROWS_PER_TABLE):
        yield whole.slice(start, ROWS_PER_TABLE)


def _starts(total: int) -> list[str]:
    """Where the ranges after the first one start, so that each holds about ROWS_PER_RANGE of `total` digests."""
    count = min(-(-total // ROWS_PER_RANGE), _PREFIXES)
    return [f"{_PREFIXES * number // count:04x}" for number in range(1, count)]
