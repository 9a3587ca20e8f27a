"""Write a corpus to one file, a table at a time: Parquet for `datasets`, or one JSON object a line.

How the rows came in tables does not show in the bytes.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kgkit.corpora.row import Corpus
from kgkit.graph.arrow import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_GROUP = 10_000
_ROWS_AT_ONCE = 1_000


class Writer(Protocol):
    """A file that is being written; `path` is relative to the export's folder."""

    path: str
    rows: int

    def write(self, table: "pa.Table") -> None:
        """Append rows that have the corpus's columns; others are left out."""

    def close(self) -> None:
        """Finish the file."""


class ParquetWriter:
    """Parquet, zstd, in row groups of the same size."""

    def __init__(self, folder: Path, path: str, corpus: Corpus) -> None:
        import pyarrow.parquet as pq

        self.path, self.rows = path, 0
        self._schema = arrow_schema(corpus.columns)
        self._waiting: list[pa.Table] = []
        (folder / path).parent.mkdir(exist_ok=True)
        self._writer = pq.ParquetWriter(folder / path, self._schema, compression="zstd")

    def write(self, table: "pa.Table") -> None:
        """See Writer.write."""
        self.rows += table.num_rows
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        self._flush(at_least=_ROWS_PER_GROUP)

    def close(self) -> None:
        """See Writer.close."""
        self._flush(at_least=1)
        self._writer.close()

    def _flush(self, *, at_least: int) -> None:
        import pyarrow as pa

        waiting = sum(table.num_rows for table in self._waiting)
        if waiting < at_least:
            return
        whole = pa.concat_tables(self._waiting)
        full = waiting if at_least == 1 else waiting // _ROWS_PER_GROUP * _ROWS_PER_GROUP
        for start in range(0, full, _ROWS_PER_GROUP):
            group = whole.slice(start, min(_ROWS_PER_GROUP, full - start)).combine_chunks()
            self._writer.write_table(group, row_group_size=_ROWS_PER_GROUP)
        rest = whole.slice(full)
        # copied, so that the few rows that wait do not keep their whole page
        self._waiting = (
            [pa.concat_tables([rest.take(pa.array(range(rest.num_rows), pa.int64()))])]
            if rest.num_rows
            else []
        )


class JsonlWriter:
    """JSON lines, UTF-8."""

    def __init__(self, folder: Path, path: str, corpus: Corpus) -> None:
        self.path, self.rows = path, 0
        self._columns = list(corpus.columns)
        (folder / path).parent.mkdir(exist_ok=True)
        self._file = (folder / path).open("w", encoding="utf-8", newline="\n")

    def write(self, table: "pa.Table") -> None:
        """See Writer.write."""
        for batch in table.select(self._columns).to_batches(max_chunksize=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.rows += table.num_rows

    def close(self) -> None:
        """See Writer.close."""
        self._file.close()
