"""Turn a sheet and its layout into table rows, and every row that cannot be one into a reject with its reason.

Checking and making rows are two steps: the check counts every row once, the rows are made when asked for.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kgkit.records import Cell, Role, SourceRef, TableRow, column_letters
from kgkit.tables import review
from kgkit.tables.assets import SheetAsset
from kgkit.tables.detect import Match
from kgkit.tables.layouts import Layouts
from kgkit.tables.read import TextFile
from kgkit.tables.sheet import Position, Sheet

TIERS = frozenset("ABC")
"""What the starter tables write in `tier`. Anything else in a column of that name is the user's own matter."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """What was not loaded and why. `error`: the whole row; `warning`: one cell, the rest of the row loaded.

    `row` and `column` are 1-based, `column` 0 when the row as a whole is meant; `text` is the row's cells
    joined by ` | `.
    """

    file: str
    sheet: str
    row: int
    column: int
    severity: Literal["error", "warning"]
    reason: str
    text: str

    def __str__(self) -> str:
        """`plant.xlsx, sheet Pumps, cell C17: reason`."""
        sheet = f", sheet {self.sheet}" if self.sheet else ""
        cell = f"cell {column_letters(self.column)}{self.row}" if self.column else f"row {self.row}"
        return f"{self.file}{sheet}, {cell}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows below the header: seen = loaded + rejected + the sum of skipped (by reason)."""

    seen: int
    loaded: int
    rejected: int
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetReading:
    """One sheet as read. `match` is None for a sheet that was left out; `why` then says so."""

    file: str
    sha256: str
    sheet: Sheet
    match: Match | None
    asset: SheetAsset | None
    why: str
    role: Role
    counts: Counts
    rejects: tuple[Reject, ...]
    good: tuple[int, ...]
    bad_cells: frozenset[Position]
    marks: Mapping[str, Literal["Yes", "No"]]

    @property
    def layout(self) -> str:
        """The layout's name, empty for a sheet that was left out."""
        return self.match.layout if self.match else ""

    @property
    def unread(self) -> tuple[str, ...]:
        """The headings of the columns that mean nothing to the layout, remarks and provenance included.

        None for a review: its other columns are there to be read by the expert.
        """
        if self.match is None or self.layout == review.LAYOUT:
            return ()
        return tuple(shown for _, shown in sorted(self.match.others.items()))

    def rows(self) -> Iterator[TableRow]:
        """The rows that loaded, in the order of the sheet, made anew at each call."""
        if self.match is None:
            return
        if self.match.spec.shape == "matrix":
            yield from self._matrix_rows(self.match)
        else:
            yield from self._long_rows(self.match)

    def _long_rows(self, match: Match) -> Iterator[TableRow]:
        title = self._title_cell()
        fields = [(name, c) for name, c in match.fields.items() if name not in ("tier", "taxonomy")]
        tick = match.fields.get("tick", -1)
        stated = tick < 0 and "tick" in match.spec.fields
        for r in self.good:
            row = self.sheet.rows[r]
            width = len(row)
            cells = {name: self._cell(r, c, row[c]) for name, c in fields if c < width and row[c]}
            if title:
                cells["asset"] = title
            if tick >= 0:
                cells.pop("tick", None)
                if mark := self._mark(r, tick, match):
                    cells["tick"] = mark
            elif stated and "failure_mode" in cells:
                # A list of sensors by failure mode without a column of marks lists the relevant ones.
                cells["tick"] = replace(cells["failure_mode"], text="Yes")
            yield TableRow(layout=match.layout, role=self.role, cells=cells)

    def _matrix_rows(self, match: Match) -> Iterator[TableRow]:
        title = self._title_cell()
        kind = str(match.spec.columns)
        head = match.first - 1
        headings = {c: self._cell(head, c, text) for c, text in match.marked.items()}
        if kind == "asset":
            for heading in headings.values():
                yield TableRow(layout=match.layout, role=self.role, cells={"asset": heading})
        fields = [(name, c) for name, c in match.fields.items() if name not in ("tier", "taxonomy")]
        for r in self.good:
            row = self.sheet.rows[r]
            named = {
                name: self._cell(r, c, row[c]) for name, c in fields if c < len(row) and row[c]
            }
            if title:
                named["asset"] = title
            if kind == "asset":
                yield TableRow(layout=match.layout, role=self.role, cells=named)
            for cells in self._crossings(r, headings, kind, match):
                yield TableRow(layout=match.layout, role=self.role, cells={**named, **cells})

    def _crossings(
        self, r: int, headings: Mapping[int, Cell], kind: str, match: Match
    ) -> Iterator[dict[str, Cell]]:
        """One row of a matrix: the heading and the mark of each crossing; a blank equipment class gives none."""
        for c, heading in headings.items():
            mark = None if (r, c) in self.bad_cells else self._mark(r, c, match)
            if mark:
                yield {kind: heading, "tick": mark}
            elif kind == "sensor":
                yield {kind: heading}

    def _mark(self, r: int, c: int, match: Match) -> Cell | None:
        row = self.sheet.rows[r]
        text = row[c] if c < len(row) else ""
        if not text:
            return self._cell(r, c, "No") if match.spec.blank == "no" else None
        return self._cell(r, c, self.marks[text.casefold()])

    def _title_cell(self) -> Cell | None:
        if self.asset is None:
            return None
        return self._cell(*self.asset.position, self.asset.name)

    def _cell(self, r: int, c: int, text: str) -> Cell:
        if self.sheet.anchors:
            r, c = self.sheet.anchors.get((r, c), (r, c))
        return Cell(
            text=text,
            source=SourceRef(
                file=self.file, sheet=self.sheet.name, row=r + 1, column=c + 1, sha256=self.sha256
            ),
        )


def left_out(
    sheet: Sheet, *, file: str, sha256: str, role: Role, reason: str, why: str
) -> SheetReading:
    """The reading of a sheet of which nothing is loaded: all of its rows are skipped for `reason`."""
    rows = len(sheet.rows)
    return SheetReading(
        file=file,
        sha256=sha256,
        sheet=sheet,
        match=None,
        asset=None,
        why=why,
        role=role,
        counts=Counts(seen=rows, loaded=0, rejected=0, skipped={reason: rows} if rows else {}),
        rejects=(),
        good=(),
        bad_cells=frozenset(),
        marks={},
    )


def read_sheet(
    sheet: Sheet,
    match: Match,
    layouts: Layouts,
    *,
    file: TextFile,
    role: Role,
    tiers: frozenset[str] | None,
    asset: SheetAsset | None,
) -> SheetReading:
    """Check every row of a sheet against its layout: loaded, rejected or skipped, each counted once."""
    check = _Check(sheet, match, layouts, file=file.name, tiers=tiers, asset=asset)
    good, skipped, rejected = [], Counter[str](), 0
    for r in range(match.first, len(sheet.rows)):
        skip = check.skip(r)
        if skip:
            skipped[skip] += 1
        elif check.accept(r):
            good.append(r)
        else:
            rejected += 1
    how = f"; asset {asset.name} {asset.how}" if asset else ""
    return SheetReading(
        file=file.name,
        sha256=file.sha256,
        sheet=sheet,
        match=match,
        asset=asset,
        why=f"layout {match.layout}, because {match.why()}{how}",
        role=role,
        counts=Counts(
            seen=max(0, len(sheet.rows) - match.first),
            loaded=len(good),
            rejected=rejected,
            skipped=dict(sorted(skipped.items())),
        ),
        rejects=tuple(check.rejects),
        good=tuple(good),
        bad_cells=frozenset(check.bad_cells),
        marks=layouts.marks,
    )


class _Check:
    """The questions that decide what becomes of a row; collects the rejects."""

    def __init__(
        self,
        sheet: Sheet,
        match: Match,
        layouts: Layouts,
        *,
        file: str,
        tiers: frozenset[str] | None,
        asset: SheetAsset | None,
    ) -> None:
        self.sheet, self.match, self.layouts, self.file, self.tiers = (
            sheet,
            match,
            layouts,
            file,
            tiers,
        )
        self.rejects: list[Reject] = []
        self.bad_cells: set[Position] = set()
        self.header = [text for text in sheet.rows[match.first - 1] if text]
        self.width = max(len(row) for row in sheet.rows[match.header : match.first])
        needs = [
            [(name, match.fields[name]) for name in group if name in match.fields]
            for group in match.spec.needs
        ]
        if match.spec.asset_from and asset is None:
            needs.append(
                [(n, match.fields[n]) for n in ("asset", "asset_code") if n in match.fields]
            )
        self.needs = [(group, [c for _, c in group]) for group in needs]
        self.ratings = [c for n, c in match.fields.items() if layouts.kinds[n] == "rating"]
        self.read = sorted({*match.fields.values(), *match.marked})
        self.filters = list(self._filters())
        self.decision = match.fields.get("decision") if "review_id" in match.fields else None

    def _filters(self) -> Iterator[tuple[str, int, frozenset[str]]]:
        """Fields with their column and the values whose rows are left out."""
        if self.tiers is None:
            return
        fields = self.match.fields
        if "tier" in fields:
            yield "tier", fields["tier"], TIERS - self.tiers
        if "C" not in self.tiers:
            for name, values in self.match.spec.not_by_default.items():
                if name in fields:
                    yield name, fields[name], frozenset(values)

    def skip(self, r: int) -> str:
        """Why the row is no row of the table, empty if it is one."""
        row = self.sheet.rows[r]
        if not any(row):
            return "empty row"
        if self.decision is not None and not "".join(row[self.decision : self.decision + 1]):
            return "no decision"
        for name, c, values in self.filters:
            if c < len(row) and row[c] in values:
                return f"{name} {row[c][:40]}"
        if self.sheet.anchors and self._is_title(r):
            return "section title"
        if (
            row[0] == self.sheet.rows[self.match.first - 1][0]
            and [t for t in row if t] == self.header
        ):
            return "repeated heading"
        return ""

    def _is_title(self, r: int) -> bool:
        """One merged cell over several columns and nothing else that the layout reads."""
        row = self.sheet.rows[r]
        filled = [(r, c) for c in self.read if c < len(row) and row[c]]
        anchors = {self.sheet.anchors.get(position, position) for position in filled}
        return len(filled) > 1 and len(anchors) == 1

    def accept(self, r: int) -> bool:
        """Whether the row loads; if not, or if one of its cells does not, a reject says why."""
        row = self.sheet.rows[r]
        if _CONTROL.search("\n".join(row)):
            c = next(c for c, text in enumerate(row) if _CONTROL.search(text))
            return self._reject(r, c, "holds a control character; delete it or save the file again")
        if self.sheet.delimited and len(row) > self.width and any(row[self.width :]):
            return self._reject(
                r,
                self.width,
                f"{len(row)} cells under {self.width} headings; quote the cell with the delimiter",
            )
        for group, columns in self.needs:
            if not any(c < len(row) and row[c] for c in columns):
                names = " or ".join(name for name, _ in group)
                return self._reject(
                    r,
                    columns[0] if columns else -1,
                    f"no {names}; fill the cell (a blank is not read as 'same as above')",
                )
        tick = self.match.fields.get("tick")
        if tick is not None and tick < len(row) and not self._is_mark(row[tick]):
            return self._reject(r, tick, self._no_mark(row[tick]))
        if self.decision is not None:
            fields = self.match.fields
            found = review.fault({n: row[c] for n, c in fields.items() if c < len(row)})
            if found:
                return self._reject(r, fields.get(found[0], -1), found[1])
        self._cells(r, row)
        return True

    def _cells(self, r: int, row: list[str]) -> None:
        for c in self.match.marked:
            if c < len(row) and row[c] and not self._is_mark(row[c]):
                self.bad_cells.add((r, c))
                self._reject(r, c, self._no_mark(row[c]), severity="warning")
        for c in self.ratings:
            if c < len(row) and row[c] and not (row[c].isascii() and row[c].isdigit()):
                self._reject(
                    r,
                    c,
                    f"{row[c][:40]!r} is no whole number; the rating is left out",
                    severity="warning",
                )

    def _is_mark(self, text: str) -> bool:
        return not text or text.casefold() in self.layouts.marks

    def _no_mark(self, text: str) -> str:
        return f"{text[:40]!r} is neither a mark (x, 1, yes; -, 0, no) nor blank; write one of them"

    def _reject(
        self, r: int, c: int, reason: str, *, severity: Literal["error", "warning"] = "error"
    ) -> bool:
        self.rejects.append(
            Reject(
                file=self.file,
                sheet=self.sheet.name,
                row=r + 1,
                column=c + 1,
                severity=severity,
                reason=reason,
                text=" | ".join(self.sheet.rows[r])[:2000],
            )
        )
        return False
