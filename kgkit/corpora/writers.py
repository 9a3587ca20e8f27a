"""Write a corpus to one file, a table at a time: Parquet for `datasets`, or one JSON object a line.

How the rows came in tables does not show in the bytes.
"""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kgkit.corpora.row import LINEAGE, Corpus
from kgkit.graph.arrow import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_GROUP = 2_000
_ROWS_AT_ONCE = 1_000
_COME_AGAIN = {*LINEAGE, "kind"} - {"ask", "parents"}
"""Columns in which many rows say the same."""


class Writer(Protocol):
    """A file that is being written; `path` is relative to the export's folder."""

    path: str
    rows: int

    def write(self, table: "pa.Table") -> None:
        """Append rows that have the corpus's columns; others are left out."""

    def close(self) -> None:
        """Finish the file."""


class ParquetWriter:
    """Parquet, zstd, in row groups of the same size; some are packed while the rows of the next are made."""

    def __init__(self, folder: Path, path: str, corpus: Corpus) -> None:
        import pyarrow.parquet as pq

        self.path, self.rows = path, 0
        self._schema = arrow_schema(corpus.columns)
        self._waiting = self._schema.empty_table()
        (folder / path).parent.mkdir(exist_ok=True)
        # of texts that stand once each a dictionary, and which comes first in the alphabet, would be made for nothing
        again = [_leaf(field) for field in self._schema if field.name in _COME_AGAIN]
        self._writer = pq.ParquetWriter(
            folder / path,
            self._schema,
            compression="zstd",
            use_dictionary=again,
            write_statistics=["id", *again],
        )
        self._packer = ThreadPoolExecutor(max_workers=1)
        self._packing: Future[None] = self._packer.submit(lambda: None)

    def write(self, table: "pa.Table") -> None:
        """See Writer.write."""
        import pyarrow as pa

        self.rows += table.num_rows
        self._waiting = pa.concat_tables(
            [self._waiting, table.select(self._schema.names).cast(self._schema)]
        )
        self._pack(self._waiting.num_rows // _ROWS_PER_GROUP * _ROWS_PER_GROUP)

    def close(self) -> None:
        """See Writer.close."""
        try:
            self._pack(self._waiting.num_rows)
            self._packing.result()
        finally:
            self._packer.shutdown()
            self._writer.close()

    def _pack(self, rows: int) -> None:
        """Hand the first rows that wait to the thread that packs, as soon as it has done what it was handed before."""
        if rows:
            part = self._waiting.slice(0, rows).combine_chunks()
            self._waiting = self._waiting.slice(rows)
            self._packing.result()
            self._packing = self._packer.submit(
                self._writer.write_table, part, row_group_size=_ROWS_PER_GROUP
            )


def _leaf(field: "pa.Field") -> str:
    """What Parquet calls a column of texts, or of lists of them."""
    import pyarrow as pa

    return f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name


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
