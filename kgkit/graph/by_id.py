"""Sort tables that do not fit in memory by their column `id`: parts of them are laid on the disk, a range of ids is read back at a time.

The ids are hexadecimal digests, so that ranges of their first digits hold about alike. Any others come in order too, but more at once.
"""

import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import IO, TYPE_CHECKING

from kgkit.errors import KgkitError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 10_000
ROWS_PER_RANGE = 4_000
ROWS_PER_TABLE = 2_000
_PREFIXES = 16**4


def by_id(tables: Iterable["pa.Table"], *, total: int, schema: "pa.Schema") -> Iterator["pa.Table"]:
    """The rows of all tables, each of `schema`, by id: tables of at most ROWS_PER_TABLE, none of them empty.

    `total` is how many rows there are, or nearly. They take as much room in the folder for temporary files as they have bytes.
    Raises KgkitError where there is none.
    """
    try:
        with tempfile.TemporaryFile(prefix="kgkit-sort-") as file:
            yield from _through(file, tables, starts=_starts(total), schema=schema)
    except OSError as error:  # of closing too: what did not fit is written again
        raise KgkitError(
            f"passages cannot be sorted on the disk ({error}); make room in the folder for temporary files, or set TMPDIR to another"
        ) from error


def _through(
    file: IO[bytes], tables: Iterable["pa.Table"], *, starts: list[str], schema: "pa.Schema"
) -> Iterator["pa.Table"]:
    """Write all rows to the file, those of a range in a few parts; then the parts of each range, sorted together."""
    import pyarrow as pa

    ranges: list[list[int]] = [[] for _ in range(len(starts) + 1)]
    with pa.ipc.new_file(pa.PythonFile(file, "w"), schema) as writer:
        for pieces in _cut(tables, starts):
            _lay(pieces, writer, ranges)
    pa.default_memory_pool().release_unused()
    file.seek(0)
    reader = pa.ipc.open_file(pa.PythonFile(file, "r"))
    for parts in ranges:
        yield from _sorted(map(reader.get_batch, parts), schema)


def _cut(tables: Iterable["pa.Table"], starts: list[str]) -> Iterator[list[list["pa.Table"]]]:
    """The rows of each range out of some tables at a time, with ROWS_AT_ONCE in all; whoever takes them empties the lists."""
    import pyarrow as pa

    pieces: list[list[pa.Table]] = [[] for _ in range(len(starts) + 1)]
    rows = 0
    for table in tables:
        ordered = table.sort_by("id")
        ids = ordered.column("id").combine_chunks()
        cuts = (bisect_left(ids, start, key=pa.StringScalar.as_py) for start in starts)
        for of_range, (begin, end) in zip(pieces, pairwise([0, *cuts, len(ids)]), strict=True):
            if begin < end:
                of_range.append(ordered.slice(begin, end - begin))
        rows += table.num_rows
        if rows >= ROWS_AT_ONCE:
            yield pieces
            rows = 0
    yield pieces


def _lay(
    pieces: list[list["pa.Table"]],
    writer: "pa.ipc.RecordBatchFileWriter",
    ranges: list[list[int]],
) -> None:
    """Move the rows of each range to the end of the file as one part, and its number to the range."""
    import pyarrow as pa

    number = sum(map(len, ranges))
    for of_range, parts in zip(pieces, ranges, strict=True):
        if of_range:
            for part in pa.concat_tables(of_range).combine_chunks().to_batches():
                writer.write_batch(part)
                parts.append(number)
                number += 1
            of_range.clear()


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
