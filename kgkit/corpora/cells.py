"""Addresses of table cells: as people type them, as `sources` hold them, and what stands in the cell."""

import re
from collections.abc import Iterable
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.records import SourceRef
from kgkit.tables.read import read_file
from kgkit.workspace import LoadedTable, Workspace

Link = dict[str, object]
"""One step of a chain: `what` it is, its `id`, and what is known about it."""

_ADDRESS = re.compile(r"(?P<place>.+)!(?P<column>[A-Z]+)(?P<row>\d+)")
_TYPED = re.compile(r"(?P<place>.+):(?P<row>\d+):(?P<column>\d+|[A-Za-z]+)")


def cells(sources: Iterable[str], workspace: Workspace) -> list[Link]:
    """Each cell with its file's origin and its text as the workspace's copy has it."""
    wanted = list(sources)
    tables = {table.name: table for table in workspace.tables()}
    texts = _texts(wanted, tables, workspace)
    chain: list[Link] = []
    for source in wanted:
        match = _ADDRESS.fullmatch(source)
        table = tables.get(_place(match["place"], tables)[0]) if match else None
        link: Link = {"what": "cell", "id": source, "text": texts.get(source, "")}
        if table is not None:
            link |= {"file": table.origin, "sha256": table.sha256}
        chain.append(link)
    return chain


def address(cell: str, workspace: Workspace) -> str:
    """FILE[#SHEET]:ROW:COL, or the printed FILE[#SHEET]!B4, as the address that `sources` hold.

    Raises UsageError for another form, an unknown file, or a workbook without its sheet.
    """
    match = _ADDRESS.fullmatch(cell) or _TYPED.fullmatch(cell)
    if match is None:
        raise UsageError(
            f"--forward {cell}: write FILE:ROW:COL or FILE#SHEET!B4, for instance iso17359/pump.csv!D5"
        )
    tables = {table.name: table for table in workspace.tables()}
    name, sheet = _place(match["place"], tables)
    if name not in tables:
        raise UsageError(f"no loaded table is called {name}; there are {', '.join(tables)}")
    sheets = [one.name for one in read_file(workspace.table_path(tables[name]), name=name).sheets]
    sheet = sheet or (sheets[0] if len(sheets) == 1 else "")
    if sheet not in sheets:
        raise UsageError(
            f"--forward {cell}: name the sheet, as in {name}#{sheets[0]}!B4; there are {', '.join(sheets)}"
        )
    column = int(match["column"]) if match["column"].isdigit() else _number(match["column"])
    return str(SourceRef(file=name, sheet=sheet, row=int(match["row"]), column=column))


def _texts(
    sources: Iterable[str], tables: dict[str, LoadedTable], workspace: Workspace
) -> dict[str, str]:
    """Cell address -> its text as it stands in the workspace's copy."""
    found: dict[str, str] = {}
    by_file: dict[str, list[tuple[str, re.Match[str]]]] = {}
    for source in sources:
        if match := _ADDRESS.fullmatch(source):
            name, sheet = _place(match["place"], tables)
            if name in tables:
                by_file.setdefault(name, []).append((sheet, match))
    for name, wanted in by_file.items():
        read = read_file(workspace.table_path(tables[name]), name=name)
        sheets = {sheet.name: sheet.rows for sheet in read.sheets}
        for sheet, match in wanted:
            rows, row, column = (
                sheets.get(sheet, []),
                int(match["row"]),
                _number(match["column"]),
            )
            if row <= len(rows) and column <= len(rows[row - 1]):
                found[match[0]] = rows[row - 1][column - 1]
    return found


def _place(place: str, names: Iterable[str]) -> tuple[str, str]:
    """`FILE#SHEET` or `FILE` as (file, sheet); a name of `names` may itself hold a `#`, and its folders may be missing."""
    known = {Path(name).name: name for name in names} | {name: name for name in names}
    for short in sorted(known, key=len, reverse=True):
        if place == short or place.startswith(f"{short}#"):
            return known[short], place[len(short) + 1 :]
    file, _, sheet = place.partition("#")
    return file, sheet


def _number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
