"""Write rows of a corpus to one file, a batch at a time: Parquet for `datasets`, or one JSON object a line."""

import json
from pathlib import Path
from typing import Protocol

from kgkit.corpora.row import Row
from kgkit.corpora.rows import Corpus


class Writer(Protocol):
    """A file that is being written; `path` is relative to the export's folder."""

    path: str
    rows: int

    def write(self, rows: list[Row]) -> None:
        """Append rows that have the corpus's columns; others are left out."""

    def close(self) -> None:
        """Finish the file."""


class ParquetWriter:
    """Parquet, zstd."""

    def __init__(self, folder: Path, path: str, corpus: Corpus) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            "string": pa.string(),
            "string[]": pa.list_(pa.string()),
            "integer": pa.int64(),
            "float": pa.float64(),
            "boolean": pa.bool_(),
            "messages": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        }
        self.path, self.rows = path, 0
        self._schema = pa.schema([(name, types[type_]) for name, type_ in corpus.columns.items()])
        (folder / path).parent.mkdir(exist_ok=True)
        self._writer = pq.ParquetWriter(folder / path, self._schema, compression="zstd")

    def write(self, rows: list[Row]) -> None:
        """See Writer.write."""
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self.rows += len(rows)

    def close(self) -> None:
        """See Writer.close."""
        self._writer.close()


class JsonlWriter:
    """JSON lines, UTF-8."""

    def __init__(self, folder: Path, path: str, corpus: Corpus) -> None:
        self.path, self.rows = path, 0
        self._columns = list(corpus.columns)
        (folder / path).parent.mkdir(exist_ok=True)
        self._file = (folder / path).open("w", encoding="utf-8", newline="\n")

    def write(self, rows: list[Row]) -> None:
        """See Writer.write."""
        for row in rows:
            ordered = {name: row.get(name) for name in self._columns}
            self._file.write(json.dumps(ordered, ensure_ascii=False) + "\n")
        self.rows += len(rows)

    def close(self) -> None:
        """See Writer.close."""
        self._file.close()
