"""Read many nodes out of ladybug through a CSV file: an answer to a statement is held in memory whole, a copy to a file is not."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.errors import KgkitError
from kgkit.graph.arrow import arrow_schema
from kgkit.graph.by_id import no_room
from kgkit.graph.ladybug_beside import Ended, GrowingFile
from kgkit.graph.ladybug_file import execute

if TYPE_CHECKING:
    import ladybug
    import pyarrow as pa

_AFTER = "\x1f"
_BYTES_AT_ONCE = 1 << 20
_FULL = "No space left on device"


def rows_through_file(
    copying: Callable[[Path], AbstractContextManager[Ended]], columns: Mapping[str, str]
) -> Iterator["pa.Table"]:
    """The rows that `copying` writes to the file it is given, some at a time.

    They take as much room in the folder for temporary files as they have bytes. Raises KgkitError where there is none, and what
    `copying` raises.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="kgkit-scan-") as folder:
            file = Path(folder) / "rows.csv"
            file.touch()
            with copying(file) as ended:
                yield from _tables(file, columns, ended)
    except OSError as error:
        raise no_room(error) from error
    except KgkitError as error:
        if _FULL not in str(error):
            raise
        raise no_room(error) from error


def copy_statement(file: Path, label: str, *, where: str, columns: Mapping[str, str]) -> str:
    """Write `columns` of the nodes `n` of a label to a CSV file; a list as its items, a mark after each."""
    quoted = str(file).replace("\\", "\\\\").replace("'", "\\'")
    cells = ", ".join(
        f"n.`{name}`"
        if type_ == "string"
        else f"list_to_string('{_AFTER}', list_append(n.`{name}`, ''))"
        for name, type_ in columns.items()
    )
    match = f"MATCH (n:`{label}`) WHERE {where} RETURN {cells}"
    return f"COPY ({match}) TO '{quoted}' (header=false)"


def copy(connection: "ladybug.Connection", statement: str, parameters: Mapping[str, Any]) -> None:
    """Run a copy_statement. One thread is as fast as several, which stop each other, and takes half of their time."""
    connection.set_max_threads_for_exec(1)
    execute(connection, statement, parameters).close()


def _tables(file: Path, columns: Mapping[str, str], ended: Ended) -> Iterator["pa.Table"]:
    """The rows of the CSV, some at a time; what a node does not have is "" or an empty list. A row that does not fit is read by larger parts."""
    import pyarrow as pa

    given, size = 0, _BYTES_AT_ONCE
    while True:
        try:
            with GrowingFile(file, ended) as source:
                for table in _read(source, columns, size=size, after=given):
                    given += table.num_rows
                    yield table
        except pa.ArrowInvalid:
            if not (bytes_there := file.stat().st_size):
                return
            if size > bytes_there:
                raise
            size *= 8
        else:
            return


def _read(
    source: GrowingFile, columns: Mapping[str, str], *, size: int, after: int
) -> Iterator["pa.Table"]:
    """The rows after the first `after`, from parts of `size` bytes."""
    import pyarrow as pa
    from pyarrow import csv

    reader = csv.open_csv(
        source,
        read_options=csv.ReadOptions(
            column_names=list(columns), block_size=size, use_threads=False
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
    )
    schema = arrow_schema(columns)
    for whole in reader:
        batch = whole.slice(min(after, whole.num_rows))
        after -= whole.num_rows - batch.num_rows
        arrays = [
            batch.column(at) if pa.types.is_string(field.type) else _lists(batch.column(at))
            for at, field in enumerate(schema)
        ]
        yield pa.table(arrays, schema=schema)


def _lists(joined: "pa.Array") -> "pa.Array":
    """Each text cut after its marks; "" is the empty list."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cut = pc.split_pattern(joined, _AFTER)  # of which the last is what stands after the last mark
    ends = cut.offsets.to_numpy()
    stays = np.ones(len(cut.values), dtype=bool)
    stays[ends[1:] - 1] = False
    return pa.ListArray.from_arrays(
        pa.array(ends - np.arange(len(ends)), pa.int32()), cut.values.filter(pa.array(stays))
    )
