"""Find the header of a sheet and the layout that it follows, and say why. Pure.

The header is looked for in the first rows of the sheet, one or two rows high. Each layout is held against each
place; the one that accounts for most columns wins, and a draw is an error, never a guess.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kgkit.errors import TableError
from kgkit.tables.layouts import Layouts, LayoutSpec, heading_form
from kgkit.tables.sheet import Sheet

HEADER_WITHIN = 30
_FIELDS_WITHIN = 200
_SAMPLE = 200
_SHARE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The names of one column, 0-based: as shown, its lowest cell, and the forms under which it may match."""

    column: int
    shown: str
    lowest: str
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A sheet read through a layout. Rows and columns are 0-based; data starts at row `first`.

    `fields` sends field names to columns, `marked` a matrix's mark columns to their headings, `others` the
    columns that mean nothing to the layout. `lacks` is empty when the layout fits.
    """

    layout: str
    spec: LayoutSpec
    header: int
    first: int
    fields: Mapping[str, int]
    marked: Mapping[int, str]
    others: Mapping[int, str]
    lacks: tuple[str, ...]
    affinity: float = 0.0

    @property
    def covered(self) -> int:
        """How many columns the layout accounts for."""
        return len(self.fields) + len(self.marked)

    def why(self) -> str:
        """`row 4 names failure_mode and 10 columns of marks (sensors)`."""
        named = ", ".join(sorted(self.fields))
        marks = f" and {len(self.marked)} columns of marks ({self.spec.columns}s)"
        return f"row {self.header + 1} names {named}{marks if self.marked else ''}"


def detect(sheet: Sheet, layouts: Layouts, *, wanted: str | None, where: str) -> Match | str:
    """The layout of `sheet`, or `wanted` held against it; a text that says what lacks when none fits.

    Raises TableError when two layouts fit equally well.
    """
    names = [wanted] if wanted else [n for n, spec in layouts.by_name.items() if spec.detect]
    best_of: dict[str, Match] = {}
    for place in _places(sheet):
        headings = _header(sheet, place, width=_FIELDS_WITHIN)
        for name in names:
            match = _hold(sheet, place, headings, (name, layouts.require(name)), layouts)
            if name not in best_of or _fit(match) > _fit(best_of[name]):
                best_of[name] = match
    found = [match for match in best_of.values() if not match.lacks]
    if not found:
        return _no_match(sheet, list(best_of.values()))
    if any(match.spec.shape == "long" for match in found):
        # One column that happens to hold a 1 makes no matrix of a list.
        found = [match for match in found if len(match.marked) != 1 or match.affinity]
    best = max(found, key=_weight)
    draws = [match for match in found if _weight(match) == _weight(best)]
    if len(draws) > 1:
        fits = " and ".join(f"{match.layout} ({match.spec.says})" for match in draws)
        raise TableError(f"{where}: fits {fits} equally well; choose with --layout {best.layout}")
    return best


def _weight(match: Match) -> tuple[int, float, int]:
    """What tells layouts apart: columns accounted for, likeness of the marked ones, a lower header."""
    return match.covered, match.affinity, match.header - match.first


def _fit(match: Match) -> tuple[int, ...]:
    """What tells the places of one layout apart."""
    return -len(match.lacks), *_rank(match)


def _rank(match: Match) -> tuple[int, int, int, int]:
    distinct = len(set(match.marked.values()))
    return len(match.fields) + distinct, match.covered, -(match.first - match.header), -match.header


def _places(sheet: Sheet) -> Iterator[tuple[int, int]]:
    """(header row, first data row) for every one- and two-row header within reach."""
    for row in range(min(HEADER_WITHIN, len(sheet.rows))):
        if not any(sheet.rows[row]):
            continue
        yield row, row + 1
        if row + 1 < len(sheet.rows) and any(sheet.rows[row + 1]):
            yield row, row + 2


def _header(sheet: Sheet, place: tuple[int, int], *, width: int | None = None) -> list[Heading]:
    """The headings of a place, of the first `width` columns."""
    rows = [row[:width] for row in sheet.rows[place[0] : place[1]]]
    return list(_headings(rows[0] if len(rows) == 2 else [], rows[-1]))


def _headings(upper: Sequence[str], lower: Sequence[str]) -> Iterator[Heading]:
    """Headings of one or two rows. The upper text of a group reaches right over blanks."""
    two = bool(upper)
    width = max(len(upper), len(lower))
    tops = [_one_line(text) for text in [*upper, *[""] * (width - len(upper))]]
    bottoms = [_one_line(text) for text in [*lower, *[""] * (width - len(lower))]]
    twice = {text for text, count in Counter(bottoms).items() if text and count > 1}
    group = ""
    for column, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        group = top or group
        if not top and not bottom:
            continue
        joined = f"{group} {bottom}" if two and bottom and group != bottom else ""
        shown = (joined if bottom in twice else "") or bottom or top
        texts = [bottom, joined, top] if two else [bottom]
        near = texts if column < _FIELDS_WITHIN else []
        forms = tuple(dict.fromkeys(heading_form(text) for text in near if text))
        yield Heading(column=column, shown=shown, lowest=bottom, forms=forms)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _hold(
    sheet: Sheet,
    place: tuple[int, int],
    headings: list[Heading],
    named: tuple[str, LayoutSpec],
    layouts: Layouts,
) -> Match:
    """One layout held against one place; all columns are looked at only where the layout's fields are."""
    (header, first), (name, spec) = place, named
    sample = sheet.rows[first : first + _SAMPLE]
    fields = _fields(headings, sample, spec, layouts)
    marked: dict[int, str] = {}
    lacks = [" or ".join(group) for group in spec.needs if not set(group) & set(fields)]
    if spec.tells and not set(spec.tells) & set(fields):
        lacks.append(" or ".join(spec.tells))
    used = set(fields.values())
    whole = headings if lacks else _header(sheet, place)
    rest = [heading for heading in whole if heading.column not in used]
    if spec.shape == "matrix" and not lacks:
        marked = _marked(rest, sample, layouts)
        if not marked:
            lacks.append("columns of marks (x, 1, yes ...)")
    return Match(
        layout=name,
        spec=spec,
        header=header,
        first=first,
        fields=fields,
        marked=marked,
        others={h.column: h.shown for h in rest if h.column not in marked},
        lacks=tuple(lacks),
        affinity=_affinity(list(marked.values())[:_SAMPLE], spec),
    )


def _fields(
    headings: list[Heading], sample: list[list[str]], spec: LayoutSpec, layouts: Layouts
) -> dict[str, int]:
    """Field -> column: the first column whose heading names the field and whose cells suit it."""
    found: dict[str, int] = {}
    for depth in range(3):
        for heading in headings:
            if len(heading.forms) <= depth or heading.column in found.values():
                continue
            names = layouts.fields_of(heading.forms[depth])
            open_names = [name for name in names if name in spec.fields and name not in found]
            open_names.sort(key=lambda name: layouts.kinds[name] != "rating")
            for name in open_names:
                if layouts.kinds[name] != "rating" or _numeric(sample, heading.column):
                    found[name] = heading.column
                    break
    return found


def _numeric(sample: list[list[str]], column: int) -> bool:
    """Whether a column has text and most of it is numbers."""
    texts = [row[column] for row in sample if column < len(row) and row[column]]
    numbers = sum(1 for text in texts if text[:1].isdigit() and len(text) <= 8)
    return bool(texts) and numbers >= _SHARE * len(texts)


def _marked(rest: list[Heading], sample: list[list[str]], layouts: Layouts) -> dict[int, str]:
    """The columns whose cells are mostly marks or blank, but for strays such as `?`.

    {} when there is no mark at all, or one in the header, which then is no header.
    """
    found: dict[int, str] = {}
    any_mark = False
    if any(heading.lowest.casefold() in layouts.marks for heading in rest):
        return {}
    for heading in rest:
        if layouts.ignored.intersection(heading.forms[:1]):
            continue
        column = heading.column
        texts = [row[column] for row in sample if column < len(row) and row[column]]
        odd = [text for text in texts if text.casefold() not in layouts.marks]
        marks = len(texts) - len(odd)
        stray = marks and all(len(text) <= 3 and not text.isdigit() for text in odd)
        if marks >= _SHARE * len(texts) or stray:
            found[column] = heading.shown
            any_mark = any_mark or marks > 0
    return found if any_mark else {}


def _affinity(names: Collection[str], spec: LayoutSpec) -> float:
    """Share of the mark columns whose headings look like the layout's kind of thing."""
    words = {heading_form(word) for word in spec.column_words}
    hits = 0
    for name in names:
        forms = {heading_form(word) for word in re.split(r"[\W_]+", name) if word}
        code = spec.column_pattern and re.fullmatch(spec.column_pattern, name)
        hits += bool(code) or bool(forms & words)
    return hits / len(names) if names else 0.0


def _no_match(sheet: Sheet, nearest: list[Match]) -> str:
    width = max((len(row) for row in sheet.rows), default=0)
    size = f"{len(sheet.rows):,} rows x {width:,} columns"
    near = max(nearest, key=lambda match: (match.covered - len(match.lacks), *_rank(match)))
    if not near.fields:
        return (
            f"no layout fits: none of the first {min(HEADER_WITHIN, len(sheet.rows))} of {size} holds a known heading; name the columns "
            "as schemas/headings.yaml lists them"
        )
    row = [text for text in sheet.rows[near.header] if text]
    shown = ", ".join(repr(_one_line(text)[:40]) for text in row[:12])
    return (
        f"no layout fits: row {near.header + 1} of {size} reads {shown}{' ...' if len(row) > 12 else ''}; nearest is "
        f"{near.layout} ({near.spec.says}), which lacks {' and '.join(near.lacks)}. Rename the headings "
        "(schemas/headings.yaml lists what is known) or choose with --layout"
    )
