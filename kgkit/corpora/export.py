"""Turn corpora into files that `datasets.load_dataset(DIR, CONFIG)` opens as they are. Deterministic bytes.

No row for training names a held-out asset: table rows that do are left out and counted, a passage that does ends the export.
How the folder takes its place: kgkit/corpora/folder.py.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kgkit.corpora import formats
from kgkit.corpora.card import card
from kgkit.corpora.curation import Curation
from kgkit.corpora.folder import CARD, Part, configs, named, replacing, write_manifest
from kgkit.corpora.row import Corpus, SplitName
from kgkit.corpora.rows import CORPORA, tables
from kgkit.corpora.writers import JsonlWriter, ParquetWriter, Writer
from kgkit.errors import KgkitError, UsageError
from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.arrow import steady_memory
from kgkit.graph.store import GraphStore
from kgkit.splits import Split
from kgkit.teacher.ledger import Ledger

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["hf", "jsonl", "llamafactory", "axolotl"]
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


class NothingToExportError(KgkitError):
    """No corpus of the order has a row."""


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
            "configs": configs(self.parts),
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
    made: Iterable[Corpus],
) -> Order:
    """All corpora with those that are `made` for this export, or `only` some; for a trainer's format those it can train on.

    Raises UsageError for a corpus that does not exist.
    """
    known = {**CORPORA, **{corpus.name: corpus for corpus in made}}
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

    Raises UsageError for a folder that is somebody else's, KgkitError when a training text tells of the evaluation,
    NothingToExportError when there is nothing to write: then `folder` is as it was.
    """
    folder = folder.resolve()  # a link to a folder goes on leading to it
    with steady_memory(), replacing(folder, kind="corpora") as new:
        _refuse_leaks(curation)
        written = Export(folder=folder, checked=curation.checked())
        search = _Search(
            held_out=Assets(reading.assets(graph, role=None), split).held_out_pattern,
            curation=curation,
            order=order,
            written=written,
        )
        written.parts = _write(search.tables(graph, split), new, order)
        if not written.parts:
            raise NothingToExportError(
                "there is nothing to export: run `kgkit load` and `kgkit expand --asset ...` first"
            )
        _write_beside(new, written, order, graph=graph, ledger=ledger, split=split)
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
    write_manifest(new, written.as_json(), kind="corpora", beside=list(beside))


def _refuse_leaks(curation: Curation) -> None:
    """Raise KgkitError if a passage that would be written tells of the evaluation."""
    leaks = curation.kept_leaks()
    if leaks:
        first = leaks[0]
        more = (
            f" ({len(leaks)} findings in all; `kgkit curate` lists them)" if len(leaks) > 1 else ""
        )
        what = (
            f"has words that are {first.what}, {first.stem!r}: {first.where!r}"
            if first.stem
            else f"names what is held out: {first.where!r}"
        )
        raise KgkitError(
            f"passage {first.id} of {first.group} {what}{more}; nothing was exported. `kgkit trace {first.id}` shows where it "
            "comes from; `kgkit rebuild` undoes what was changed by hand"
        )


@dataclass(frozen=True, kw_only=True)
class _Search:
    """Decides which rows may be written, and counts those that may not."""

    held_out: re.Pattern[str]
    curation: Curation
    order: Order
    written: Export

    def tables(self, graph: GraphStore, split: Split) -> Iterator[tuple[Corpus, "pa.Table"]]:
        """The corpora of the order, a table at a time."""
        left_out = self.written.left_out
        left_out |= {corpus.name: Counter() for corpus in self.order.corpora}
        return tables(self.order.corpora, graph, split, passed=self._passed, left_out=left_out)

    def _passed(self, corpus: Corpus, table: "pa.Table") -> "pa.Table":
        """The rows of the ordered splits that no reason leaves out."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pc.is_in(table.column("split"), pa.array(self.order.splits))
        # a filter copies every text, also where all stay
        rows = table if pc.all(wanted).as_py() else table.filter(wanted)
        rows = self._curated(corpus, rows)
        if "text" in rows.column_names or "messages" in rows.column_names:
            return rows  # the curation has searched them
        return self._without_held_out(corpus, rows)

    def _curated(self, corpus: Corpus, rows: "pa.Table") -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        ids, reasons = self._judged
        if not ids or not len(rows):
            return rows
        of = pc.min_max(rows.column("id")).as_py()
        these = slice(bisect_left(ids, of["min"]), bisect_right(ids, of["max"]))
        place = pc.index_in(rows.column("id"), pa.array(ids[these], pa.string()))
        if place.null_count == len(place):
            return rows
        reasons = pc.value_counts(pa.array(reasons[these]).take(place.combine_chunks().drop_null()))
        for counted in reasons.to_pylist():
            self.written.left_out[corpus.name][counted["values"]] += counted["counts"]
        return rows.filter(pc.is_null(place))

    def _without_held_out(self, corpus: Corpus, rows: "pa.Table") -> "pa.Table":
        """A relation for training that names a held-out asset is left out."""
        import pyarrow as pa

        searched = [name for name in ("split", *_SEARCHED) if name in rows.column_names]
        stays = []
        for row in rows.select(searched).to_pylist():
            training = row.pop("split") != "test"
            said = " ".join(str(value) for value in row.values() if value)
            stays.append(not training or not self.held_out.search(said.replace("-", " ")))
            self.written.checked += training
        if not all(stays):
            self.written.left_out[corpus.name]["held out"] += stays.count(False)
        return rows.filter(pa.array(stays, pa.bool_()))

    @cached_property
    def _judged(self) -> tuple[list[str], list[str]]:
        """Ids of the passages that are left out, in order, and why."""
        verdicts = sorted(self.curation.verdicts.values(), key=lambda verdict: verdict.id)
        return [verdict.id for verdict in verdicts], [verdict.reason for verdict in verdicts]


def _write(
    found: Iterable[tuple[Corpus, "pa.Table"]], folder: Path, order: Order
) -> dict[str, dict[str, Part]]:
    """One file for each corpus and split that has rows, by their names; the rows go through memory a table at a time."""
    import pyarrow.compute as pc

    writers: dict[tuple[str, str], Writer] = {}
    try:
        for corpus, table in found:
            splits = sorted(table.column("split").unique().to_pylist())
            for split in splits:
                if (corpus.name, split) not in writers:
                    ending = "parquet" if order.format == "hf" else "jsonl"
                    kind = ParquetWriter if order.format == "hf" else JsonlWriter
                    path = f"{corpus.name}/{split}.{ending}"
                    writers[corpus.name, split] = kind(folder, path, corpus)
                whole = len(splits) == 1
                mine = table if whole else table.filter(pc.equal(table.column("split"), split))
                writers[corpus.name, split].write(mine)
    finally:
        for writer in writers.values():
            writer.close()
    return {
        corpus.name: {
            split: named(folder, one.path, rows=one.rows)
            for split, one in sorted(
                (split, one) for (name, split), one in writers.items() if name == corpus.name
            )
        }
        for corpus in order.corpora
        if any(name == corpus.name for name, _ in writers)
    }
