"""Read tables as `load` would and say what a careful colleague would say of them. Nothing is written."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kgkit.errors import TableError
from kgkit.names import asset_id, failure_mode_id, near_matches, sensor_id, slug
from kgkit.records import Cell, Role, TableRow, column_letters
from kgkit.tables.layouts import heading_form, read_layouts
from kgkit.tables.reading import DEFAULT_TIERS, FileReading, TableReading, expand_paths, read_tables
from kgkit.tables.review import LAYOUT
from kgkit.tables.rows import SheetReading

_NAMED = {
    "asset": asset_id,
    "sensor": sensor_id,
    "failure_mode": failure_mode_id,
    "subunit": slug,
    "component": slug,
    "type": slug,
}
_MOST_NAMES = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark. `row` and `column` are 1-based, 0 where no single one is meant.

    `error`: the row does not load. `warning`: probably a mistake. `info`: worth a look.
    """

    file: str
    sheet: str
    row: int
    column: int
    severity: Literal["error", "warning", "info"]
    message: str

    def __str__(self) -> str:
        """`pump.csv, cell D5: message`."""
        sheet = f", sheet {self.sheet}" if self.sheet else ""
        where = f", row {self.row}" if self.row else ""
        if self.column:
            letters = column_letters(self.column)
            where = f", cell {letters}{self.row}" if self.row else f", column {letters}"
        return f"{self.file}{sheet}{where}: {self.message}"


def lint(
    paths: Iterable[Path],
    *,
    layout: str | None = None,
    role: Role | None = None,
    sheet: str | None = None,
    tiers: frozenset[str] | None = DEFAULT_TIERS,
) -> list[Finding]:
    """The findings of `read_and_lint`."""
    return read_and_lint(paths, layout=layout, role=role, sheet=sheet, tiers=tiers)[1]


def read_and_lint(
    paths: Iterable[Path],
    *,
    layout: str | None = None,
    role: Role | None = None,
    sheet: str | None = None,
    tiers: frozenset[str] | None = DEFAULT_TIERS,
) -> tuple[TableReading, list[Finding]]:
    """The tables that can be read, and everything worth saying about them, by file, sheet, row and column.

    A file that cannot be read at all is one finding. Raises UsageError for a path that is not there.
    """
    files: list[FileReading] = []
    unreadable: list[Finding] = []
    for path, name in expand_paths(paths).items():
        try:
            one = read_tables(
                [path], layout=layout, role=role, sheet=sheet, tiers=tiers, names={path: name}
            )
        except TableError as error:
            message = str(error).removeprefix(f"{name}: ")
            unreadable.append(
                Finding(file=name, sheet="", row=0, column=0, severity="error", message=message)
            )
        else:
            files += one.files
    reading = TableReading(files=tuple(files))
    return reading, [*unreadable, *lint_reading(reading)]


def lint_reading(reading: TableReading) -> list[Finding]:
    """The same for tables that are read already."""
    findings = [finding for sheet in reading.sheets for finding in _sheet(sheet)]
    findings += _names(reading)
    findings += _contradictions(reading)
    findings += _without_failure_modes(reading)
    order = {file.name: number for number, file in enumerate(reading.files)}
    return sorted(findings, key=lambda f: (order[f.file], f.sheet, f.row, f.column, f.message))


def _sheet(sheet: SheetReading) -> Iterator[Finding]:
    """What one sheet shows by itself: rejects, empty and repeated rows, unknown and repeated columns."""
    match = sheet.match
    if match is None:
        yield _at(sheet, 0, 0, "info", f"nothing is loaded from this sheet: {sheet.why}")
        return
    for reject in sheet.rejects:
        yield _at(sheet, reject.row, reject.column, reject.severity, reject.reason)
    others = {} if match.layout == LAYOUT else match.others
    for c, shown in sorted(others.items()):
        if heading_form(shown) not in read_layouts().ignored:
            yield _at(
                sheet,
                match.first,
                c + 1,
                "warning",
                f"column {shown[:60]!r} is unknown to layout {match.layout}{_meant(shown)}",
            )
    for name, count in Counter(match.marked.values()).items():
        if count > 1:
            yield _at(sheet, match.first, 0, "warning", f"{count} columns are called {name[:60]!r}")
    yield from _rows(sheet)
    if nothing := nothing_loaded(sheet):
        yield _at(sheet, match.first, 0, "warning", nothing)


def nothing_loaded(sheet: SheetReading) -> str:
    """Why a sheet that follows a layout gives no row though none was rejected; empty if it gives one.

    Empty for a sheet of a review as well: nothing to review, or nothing decided, is as it should be.
    """
    counts = sheet.counts
    if sheet.layout in ("", LAYOUT) or counts.loaded or counts.rejected:
        return ""
    if not counts.seen:
        return "no row below the headings: nothing is loaded"
    why = ", ".join(f"{reason} {count}" for reason, count in counts.skipped.items())
    return f"no row below the headings is one to load: {why}"


def _rows(sheet: SheetReading) -> Iterator[Finding]:
    match = sheet.match
    if match is None:
        return
    rows = sheet.sheet.rows
    last = max((r for r, row in enumerate(rows) if any(row)), default=0)
    first_seen: dict[tuple[str, ...], int] = {}
    for r in range(match.first, last):
        if not any(rows[r]):
            yield _at(sheet, r + 1, 0, "info", "the row is empty")
    for r in sheet.good:
        key = tuple(text.casefold() for text in rows[r])
        if key in first_seen:
            yield _at(sheet, r + 1, 0, "warning", f"the same row as row {first_seen[key] + 1}")
        first_seen.setdefault(key, r)
        if match.marked and not any(rows[r][c] for c in match.marked if c < len(rows[r])):
            yield _at(sheet, r + 1, 0, "warning", "no mark in the row: a title or a note?")


def _meant(shown: str) -> str:
    """`; did you mean 'failure mode'?` for a heading that is nearly a known one."""
    from rapidfuzz import fuzz, process

    layouts = read_layouts()
    if layouts.fields_of(heading_form(shown)):
        return " here: another column has that meaning, or its cells do not suit it"
    best = process.extractOne(
        heading_form(shown), list(layouts.by_heading), scorer=fuzz.ratio, score_cutoff=85
    )
    return f"; did you mean {best[0]!r}?" if best else ""


def _names(reading: TableReading) -> Iterator[Finding]:
    """Names that look alike and are not the same: `temparature` and `temperature`."""
    for field, id_of in _NAMED.items():
        cells: dict[str, Cell] = {}
        counts = Counter[str]()
        for row in reading.rows():
            if cell := row.cells.get(field):
                counts[cell.text] += 1
                cells.setdefault(cell.text, cell)
        forms: dict[str, str] = {}
        for text in sorted(cells):
            forms.setdefault(id_of(text), text)
        names = {text: count for text, count in counts.items() if forms[id_of(text)] == text}
        if len(names) > _MOST_NAMES:
            names = dict(sorted(names.items())[:_MOST_NAMES])
        for a, b, similarity in near_matches(names):
            rare, common = (a, b) if counts[a] <= counts[b] else (b, a)
            what = field.replace("_", " ")
            message = f"{what} {rare[:60]!r} looks like {common[:60]!r} ({similarity:.0f} % alike); the same?"
            yield _of(cells[rare], "warning", message)


def _contradictions(reading: TableReading) -> Iterator[Finding]:
    """The same sensor, failure mode and asset marked in one cell and denied in another."""
    seen: dict[tuple[str, str, str], dict[str, Cell]] = defaultdict(dict)
    for row in reading.rows():
        tick = row.cells.get("tick")
        if tick and {"asset", "sensor", "failure_mode"} <= set(row.cells):
            key = (
                asset_id(row.cells["asset"].text),
                sensor_id(row.cells["sensor"].text),
                failure_mode_id(row.cells["failure_mode"].text),
            )
            seen[key].setdefault(tick.text, tick)
    for labels in seen.values():
        if len(labels) > 1:
            message = f"says No where {labels['Yes'].source} says Yes; Yes is loaded"
            yield _of(labels["No"], "warning", message)


def _without_failure_modes(reading: TableReading) -> Iterator[Finding]:
    """Equipment classes of a taxonomy that no table gives a failure mode, when any table gives some."""
    classes: dict[str, Cell] = {}
    with_modes: set[str] = set()
    for row in reading.rows():
        asset = row.cells.get("asset")
        if asset and row.layout == "taxonomy":
            classes.setdefault(asset_id(asset.text), asset)
        if asset and _has_mode(row):
            with_modes.add(asset_id(asset.text))
    if not with_modes:
        return
    for key, cell in classes.items():
        if key not in with_modes:
            yield _of(cell, "info", f"no table gives class {cell.text[:60]!r} a failure mode")


def _has_mode(row: TableRow) -> bool:
    tick = row.cells.get("tick")
    listed = "failure_mode" in row.cells or "failure_mode_code" in row.cells
    return listed and (tick is None or tick.text == "Yes" or "sensor" in row.cells)


def _of(cell: Cell, severity: Literal["warning", "info"], message: str) -> Finding:
    source = cell.source
    return Finding(
        file=source.file,
        sheet=source.sheet,
        row=source.row,
        column=source.column,
        severity=severity,
        message=message,
    )


def _at(
    sheet: SheetReading,
    row: int,
    column: int,
    severity: Literal["error", "warning", "info"],
    message: str,
) -> Finding:
    return Finding(
        file=sheet.file,
        sheet=sheet.sheet.name,
        row=row,
        column=column,
        severity=severity,
        message=message,
    )
