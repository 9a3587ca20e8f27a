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
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from kgkit.corpora import formats
from kgkit.corpora.card import card
from kgkit.corpora.curation import Curation
from kgkit.corpora.row import Row, SplitName
from kgkit.corpora.rows import CORPORA, Corpus
from kgkit.corpora.writers import JsonlWriter, ParquetWriter, Writer
from kgkit.errors import KgkitError, UsageError
from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split
from kgkit.teacher.ledger import Ledger

Format = Literal["hf", "jsonl", "llamafactory", "axolotl"]
MANIFEST = "kgkit-export.json"
CARD = "README.md"
_ROWS_AT_ONCE = 5_000
_SEARCHED = (
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is exported: which corpora, which splits, for which reader."""

    corpora: tuple[Corpus, ...]
    format: Format = "hf"
    splits: tuple[SplitName, ...] = ("train", "validation")


@dataclass(slots=True, kw_only=True)
class Export:
    """What was written: corpus -> split -> part.

    `checked`: passages and relations for training that were searched for what tells of the evaluation; `left_out`: rows
    that were not written, by corpus and reason.
    """

    folder: Path
    parts: dict[str, dict[str, Part]] = field(default_factory=dict)
    checked: int = 0
    left_out: dict[str, Counter[str]] = field(default_factory=dict)

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
            "leakage": {"checked": self.checked, "found": 0},
            "left_out": {
                name: dict(sorted(reasons.items()))
                for name, reasons in self.left_out.items()
                if reasons
            },
        }


def order(
    *,
    only: Iterable[str],
    format_: Format,
    splits: Iterable[SplitName],
    cpt: Corpus,
) -> Order:
    """All corpora with `cpt`, or `only` some; for a trainer's format those that it can train on.

    Raises UsageError for a corpus that does not exist.
    """
    known = {**CORPORA, cpt.name: cpt}
    names = list(only) or list(known)
    for name in names:
        if name not in known:
            raise UsageError(f"there is no corpus {name}; choose from {', '.join(known)}")
    corpora = [known[name] for name in names]
    if format_ in ("llamafactory", "axolotl"):
        corpora = [corpus for corpus in corpora if formats.trainable(corpus)]
    return Order(corpora=tuple(corpora), format=format_, splits=tuple(splits))


def export(
    folder: Path,
    *,
    graph: GraphStore,
    ledger: Ledger,
    split: Split,
    curation: Curation,
    order: Order,
) -> Export:
    """Write the corpora of `order` to `folder`, one file for each split that has rows, without what `curation` leaves out.

    Raises UsageError for a folder that is somebody else's, KgkitError when a training text tells of the evaluation or
    when there is nothing to write: then `folder` is as it was.
    """
    folder = folder.resolve()  # a link to a folder goes on leading to it
    _refuse_foreign(folder)
    _refuse_leaks(curation)
    search = _Search(
        held_out=Assets(reading.assets(graph, role=None), split).held_out_pattern,
        curation=curation,
        splits=frozenset(order.splits),
    )
    written = Export(folder=folder, checked=curation.checked())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        for corpus in order.corpora:
            rows = search.passed(corpus, corpus.rows(graph, split), written)
            parts = _write(corpus, rows, new, order.format)
            if parts:
                written.parts[corpus.name] = parts
        if not written.parts:
            raise KgkitError(
                "there is nothing to export: run `kgkit load` and `kgkit expand --asset ...` first"
            )
        _write_beside(new, written, order, graph=graph, ledger=ledger, split=split)
        for file in new.rglob("*"):
            _to_disk(file)
        if folder.exists():
            folder.replace(Path(temporary) / "old")
        new.replace(folder)
        _to_disk(folder.parent)
    return written


def _write_beside(
    new: Path, written: Export, order: Order, *, graph: GraphStore, ledger: Ledger, split: Split
) -> None:
    """Card, manifest, and the file that the format's trainer looks for."""
    corpora = {corpus.name: corpus for corpus in order.corpora}
    files = {
        name: {part: parts[part].path for part in parts} for name, parts in written.parts.items()
    }
    beside = {CARD: card(written.as_json(), corpora, graph=graph, ledger=ledger, split=split)}
    if order.format == "llamafactory":
        beside["dataset_info.json"] = formats.dataset_info(files, corpora)
    elif order.format == "axolotl":
        beside["axolotl.yaml"] = formats.axolotl(files, corpora)
    for name, text in beside.items():
        (new / name).write_text(text, encoding="utf-8")
    marks = [{"path": name, "sha256": _sha256(new / name)} for name in beside]
    manifest = {**written.as_json(), "beside": marks}
    (new / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


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
        return {part["path"]: part["sha256"] for part in [*parts, *manifest["beside"]]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{folder} is not empty and no earlier export of kgkit; name another folder"
        ) from None


def _refuse_leaks(curation: Curation) -> None:
    leaks = curation.kept_leaks()
    if leaks:
        first = leaks[0]
        more = f" ({len(leaks)} findings in all)" if len(leaks) > 1 else ""
        what = f", as in the question {first.stem!r}" if first.stem else ""
        raise KgkitError(
            f"{first.id} ({first.group}) tells of the evaluation: {first.what}, {first.where!r}{what}{more}; nothing was "
            f"exported. See `kgkit trace {first.id}`; `kgkit rebuild` makes the graph again without what may not be in it"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Decides row by row what may be written."""

    held_out: re.Pattern[str]
    curation: Curation
    splits: frozenset[SplitName]

    def passed(self, corpus: Corpus, rows: Iterator[Row], written: Export) -> Iterator[Row]:
        """The rows of `splits` that no reason leaves out. A relation for training that names a held-out asset is left out."""
        left_out = written.left_out.setdefault(corpus.name, Counter())
        for row in rows:
            if row["split"] not in self.splits:
                continue
            verdict = self.curation.verdicts.get(str(row["id"]))
            if verdict is not None:
                left_out[verdict.reason] += 1
                continue
            if row["split"] != "test" and "text" not in row and "messages" not in row:
                written.checked += 1
                said = " ".join(str(row[name]) for name in _SEARCHED if row.get(name))
                if self.held_out.search(said.replace("-", " ")):
                    left_out["held out"] += 1
                    continue
            yield row


def _write(corpus: Corpus, rows: Iterator[Row], folder: Path, format_: Format) -> dict[str, Part]:
    """One file for each split, by split name; the rows go through memory a batch at a time."""
    writers: dict[str, Writer] = {}
    try:
        for batch in _batches(rows):
            for split in sorted({str(row["split"]) for row in batch}):
                if split not in writers:
                    ending = "parquet" if format_ == "hf" else "jsonl"
                    path = f"{corpus.name}/{split}.{ending}"
                    kind = ParquetWriter if format_ == "hf" else JsonlWriter
                    writers[split] = kind(folder, path, corpus)
                writers[split].write([row for row in batch if row["split"] == split])
    finally:
        for writer in writers.values():
            writer.close()
    return {split: _named(folder, writer) for split, writer in sorted(writers.items())}


def _named(folder: Path, writer: Writer) -> Part:
    """The finished file under a name that holds its digest: `datasets` caches by the names of files, not their content."""
    sha256, written = _sha256(folder / writer.path), folder / writer.path
    path = written.with_stem(f"{written.stem}-{sha256[:16]}")
    written.rename(path)
    return Part(path=path.relative_to(folder).as_posix(), rows=writer.rows, sha256=sha256)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
