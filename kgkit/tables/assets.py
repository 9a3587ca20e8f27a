"""Find the asset that a whole sheet speaks of: in a title row, the sheet's name or the file's name. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from kgkit.tables.detect import Match
from kgkit.tables.layouts import Layouts, heading_form
from kgkit.tables.sheet import Position, Sheet

_DASH = "[:\u2013\u2014-]"
_ANALYSIS = (
    r"(?:[dps]?-?fmec?a|amdec|amfec?|failure[\s-]+modes?[\s,]+(?:and\s+|&\s*)?effects?"
    r"(?:[\s,]+(?:and\s+|&\s*)?criticality)?(?:\s+analysis)?|fehler-?möglichkeits.*?analyse)"
)
_FOR = rf"(?:\s+(?:for|of|on|für|pour|para|de)(?:\s+the)?\s+|\s*{_DASH}\s*|\s+)"
_OF_ANALYSIS = (
    re.compile(rf"^{_ANALYSIS}{_FOR}(.+)$", re.IGNORECASE),
    re.compile(rf"^(.+?)\s*{_DASH}?\s+{_ANALYSIS}$", re.IGNORECASE),
)
_OF_TABLE = re.compile(
    rf"^(?:table|tabelle|tableau|tabla)\s+[\w.]+\s*{_DASH}\s*(.+)$", re.IGNORECASE
)
_NO_ASSET = re.compile(
    r"\b(?:analysis|matrix|table|sheet|worksheet|template|form|report|monitoring|maintenance|parameters?|sensors?|failure|modes?|"
    r"condition|design|process|potential|revision|rev|version|date|page|draft|analyse|tabelle|matrice|copy|final|export|data)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetAsset:
    """The asset's name, the 0-based cell that says so (the header's first where no cell does), and how."""

    name: str
    position: Position
    how: str


def sheet_asset(
    sheet: Sheet, match: Match, layouts: Layouts, *, file: str, alone: bool
) -> SheetAsset | None:
    """The one asset of a sheet without an asset column; None when its items are the assets.

    `alone`: no other sheet of the file needs an asset's name, so the file's name may give it.
    """
    for where in match.spec.asset_from:
        if where == "component" and "component" in match.fields:
            return None
        found: SheetAsset | None = None
        if where == "title":
            found = _from_title(sheet, match, layouts)
        elif where == "name":
            found = _from_name(sheet, match, file)
        elif where == "file":
            found = _from_file(sheet, match, file, alone=alone)
        if found:
            return found
    return None


def _from_title(sheet: Sheet, match: Match, layouts: Layouts) -> SheetAsset | None:
    titles = list(_titles(sheet, match))
    for number, (position, text) in enumerate(titles):
        label, colon, value = text.partition(":")
        if "asset" not in layouts.by_heading.get(heading_form(label), ()):
            continue
        following = titles[number + 1] if number + 1 < len(titles) else None
        if colon and value.strip():
            return SheetAsset(name=value.strip(), position=position, how=_said(position))
        if following and following[0][0] == position[0]:
            return SheetAsset(name=following[1], position=following[0], how=_said(following[0]))
    for position, text in titles:
        name = _of_analysis(text)
        if match.spec.shape == "matrix":
            name = name or _of_table(text) or (_bare(text) if len(titles) == 1 else None)
        if name:
            return SheetAsset(name=name, position=position, how=_said(position))
    return None


def _titles(sheet: Sheet, match: Match) -> Iterator[tuple[Position, str]]:
    for r in range(match.header):
        for c, text in enumerate(sheet.rows[r]):
            if text and (r, c) not in sheet.anchors:
                yield (r, c), " ".join(text.split())


def _said(position: Position) -> str:
    return f"from the title in row {position[0] + 1}"


def _from_name(sheet: Sheet, match: Match, file: str) -> SheetAsset | None:
    for text, how in ((sheet.name, "from the sheet's name"), (_stem(file), "from the file's name")):
        name = _of_analysis(_words(text))
        if name:
            return SheetAsset(name=name, position=(match.header, 0), how=how)
    return None


def _from_file(sheet: Sheet, match: Match, file: str, *, alone: bool) -> SheetAsset | None:
    text, how = (_stem(file), "from the file's name")
    if sheet.name and not alone:
        text, how = sheet.name, "from the sheet's name"
    name = _words(text)
    return SheetAsset(name=name, position=(match.header, 0), how=how) if name else None


def _stem(file: str) -> str:
    return PurePosixPath(file).stem


def _words(text: str) -> str:
    return " ".join(re.split(r"[\s_\-]+", text)).strip()


def _of_analysis(text: str) -> str | None:
    for pattern in _OF_ANALYSIS:
        found = pattern.match(text)
        if found:
            return _bare(found[1])
    return None


def _of_table(text: str) -> str | None:
    found = _OF_TABLE.match(text)
    return _bare(found[1]) if found else None


def _bare(text: str) -> str | None:
    """The text when it can be the name of an asset: a few words, none of which speaks of tables."""
    name = text.strip(" .:-\u2013\u2014")
    return (
        name
        if re.search(r"[^\W\d_]", name) and len(name.split()) <= 5 and not _NO_ASSET.search(name)
        else None
    )
