"""Turn corpora into files that `datasets.load_dataset(DIR, CONFIG)` opens as they are. Deterministic bytes.

The whole folder is written beside its place and then takes it: a reader sees the old export or the new one. No row for
training names a held-out asset: table rows that do are left out and counted, a passage that does ends the export.
What a person edited in an earlier export is never overwritten: its manifest knows what each file was.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

from kgkit.corpora.card import card
from kgkit.corpora.row import Row, SplitName
from kgkit.corpora.rows import CORPORA, Corpus
from kgkit.errors import KgkitError, UsageError
from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split
from kgkit.teacher.ledger import Ledger

Format = Literal["hf", "jsonl"]
MANIFEST = "kgkit-export.json"
CARD = "README.md"
_ROWS_AT_ONCE = 5_000
_SEARCHED = (
    "text",
    "head",
    "tail",
    "asset",
    "sensor",
    "failure_mode",
    "sensor_name",
    "failure_mode_name",
    "reason",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One written file, a split of a corpus. `path` is relative to the export's folder."""

    path: str
    rows: int
    sha256: str


@dataclass(slots=True, kw_only=True)
class Export:
    """What was written: corpus -> split -> part.

    `checked`: rows for training that were searched for held-out names; `left_out`: table rows that had one, by corpus.
    """

    folder: Path
    parts: dict[str, dict[str, Part]] = field(default_factory=dict)
    checked: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The export as the command line prints it and as its manifest says."""
        return {
            "configs": {
                name: {
                    split: {"path": part.path, "rows": part.rows, "sha256": part.sha256}
                    for split, part in parts.items()
                }
                for name, parts in self.parts.items()
            },
            "leakage": {"checked": self.checked, "found": 0, "left_out": self.left_out},
        }


def export(
    folder: Path,
    *,
    graph: GraphStore,
    ledger: Ledger,
    split: Split,
    format_: Format,
    only: Iterable[str] = (),
    splits: Iterable[SplitName] = ("train", "validation"),
) -> Export:
    """Write the corpora (all, or `only` some) to `folder`, one file for each split that has rows.

    Raises UsageError for a corpus that does not exist or a folder that is somebody else's, KgkitError when a
    training text names a held-out asset or when there is nothing to write: then `folder` is as it was.
    """
    names = list(only) or list(CORPORA)
    for name in names:
        if name not in CORPORA:
            raise UsageError(f"there is no corpus {name}; choose from {', '.join(CORPORA)}")
    folder = folder.resolve()  # a link to a folder goes on leading to it
    _refuse_foreign(folder)
    assets = Assets(reading.assets(graph, role=None), split)
    written = Export(folder=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        for name in names:
            rows = _searched(
                name,
                CORPORA[name].rows(graph, split),
                assets.held_out_pattern,
                written,
                set(splits),
            )
            parts = _write(CORPORA[name], rows, new, format_)
            if parts:
                written.parts[name] = parts
        if not written.parts:
            raise KgkitError(
                "there is nothing to export: run `kgkit load` and `kgkit expand --asset ...` first"
            )
        text = card(written.as_json(), graph=graph, ledger=ledger, split=split)
        (new / CARD).write_text(text, encoding="utf-8")
        manifest = {**written.as_json(), "card": {"path": CARD, "sha256": _sha256(new / CARD)}}
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for file in new.rglob("*"):
            _to_disk(file)
        if folder.exists():
            folder.replace(Path(temporary) / "old")
        new.replace(folder)
        _to_disk(folder.parent)
    return written


def _to_disk(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_foreign(folder: Path) -> None:
    """Raise UsageError if the folder cannot be replaced, or holds anything but an earlier export as it was written."""
    if folder.is_file():
        raise UsageError(f"{folder} is a file; name a folder")
    if Path.cwd().is_relative_to(folder):
        raise UsageError(
            f"{folder} is the folder you are in, and an export takes the place of its folder; name one inside it"
        )
    if not folder.exists() or not any(folder.iterdir()):
        return
    written = _written(folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST:
            continue
        if name not in written:
            raise UsageError(
                f"{folder} holds {name}, which is of no earlier export; move it, or name another folder"
            )
        if _sha256(path) != written[name]:
            raise UsageError(
                f"{path} was edited since it was exported; move it, or name another folder"
            )


def _written(folder: Path) -> dict[str, str]:
    """Path -> sha256 of what the export in `folder` wrote. Raises UsageError if it is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        parts = [part for parts in manifest["configs"].values() for part in parts.values()]
        return {part["path"]: part["sha256"] for part in [*parts, manifest["card"]]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{folder} is not empty and no earlier export of kgkit; name another folder"
        ) from None


def _searched(
    corpus: str,
    rows: Iterator[Row],
    held_out: re.Pattern[str],
    written: Export,
    splits: set[SplitName],
) -> Iterator[Row]:
    """The rows of `splits` that may be exported; a passage for training that names a held-out asset ends the export."""
    for row in rows:
        if row["split"] not in splits:
            continue
        if row["split"] != "test":
            written.checked += 1
            said = " ".join(str(row[name]) for name in _SEARCHED if row.get(name)).replace("-", " ")
            found = held_out.search(said)
            if found and "text" in row:
                raise KgkitError(
                    f"{row['id']} names {found.group(0)}, which is held out: nothing was exported. "
                    f"See `kgkit trace {row['id']}`; `kgkit rebuild` makes the graph again without it"
                )
            if found:
                written.left_out[corpus] = written.left_out.get(corpus, 0) + 1
                continue
        yield row


def _write(corpus: Corpus, rows: Iterator[Row], folder: Path, format_: Format) -> dict[str, Part]:
    """One file for each split, by split name; the rows go through memory a batch at a time."""
    writers: dict[str, _Writer] = {}
    try:
        for batch in _batches(rows):
            for split in sorted({str(row["split"]) for row in batch}):
                if split not in writers:
                    ending = "parquet" if format_ == "hf" else "jsonl"
                    path = f"{corpus.name}/{split}-00000-of-00001.{ending}"
                    kind = _ParquetWriter if format_ == "hf" else _JsonlWriter
                    writers[split] = kind(folder, path, corpus)
                writers[split].write([row for row in batch if row["split"] == split])
    finally:
        for writer in writers.values():
            writer.close()
    return {
        split: Part(path=writer.path, rows=writer.rows, sha256=_sha256(folder / writer.path))
        for split, writer in sorted(writers.items())
    }


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch


class _Writer(Protocol):
    path: str
    rows: int

    def write(self, rows: list[Row]) -> None: ...

    def close(self) -> None: ...


class _ParquetWriter:
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
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self.rows += len(rows)

    def close(self) -> None:
        self._writer.close()


class _JsonlWriter:
    def __init__(self, folder: Path, path: str, corpus: Corpus) -> None:
        self.path, self.rows = path, 0
        self._columns = list(corpus.columns)
        (folder / path).parent.mkdir(exist_ok=True)
        self._file = (folder / path).open("w", encoding="utf-8", newline="\n")

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            ordered = {name: row.get(name) for name in self._columns}
            self._file.write(json.dumps(ordered, ensure_ascii=False) + "\n")
        self.rows += len(rows)

    def close(self) -> None:
        self._file.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
