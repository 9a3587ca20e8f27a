"""Search the content of an ODS file before it is opened: how far its cells reach, and which are merged.

ODS writes equal cells and rows once with a count, so a file of a kilobyte can claim a billion cells.
"""

import re

from kgkit.errors import TableError
from kgkit.tables.sheet import MAX_CELLS, MAX_COLUMNS, Position

_TAG = re.compile(rb"<(?:[\w-]+:)?(table|table-row|table-cell|covered-table-cell)(\s[^>]*?)?(/?)>")
_COUNT = re.compile(
    rb"(number-(?:columns|rows)-(?:repeated|spanned))\s*=\s*[\"']([0-9]{1,12})[\"']"
)
_MAX_ROWS = 1_048_576
_MAX_REPEATED = 1_000_000

Merge = tuple[Position, Position]


def search_content(xml: bytes, *, name: str) -> list[list[Merge]]:
    """The merged ranges of each table, 0-based and inclusive. Raises TableError for a file that claims too much."""
    merges: list[list[Merge]] = []
    row = column = last_row = last_column = filled = 0
    repeat = 1
    for found in _TAG.finditer(xml):
        tag, attributes, closed = found[1], found[2] or b"", bool(found[3])
        counts = {key: int(number) for key, number in _COUNT.findall(attributes)}
        if tag == b"table":
            merges.append([])
            row = column = last_row = last_column = 0
            repeat = 0
        elif tag == b"table-row":
            row, column = row + repeat, 0
            repeat = counts.get(b"number-rows-repeated", 1)
        else:
            times = counts.get(b"number-columns-repeated", 1)
            column += times
            if not closed or b"value" in attributes:
                last_row, last_column = max(last_row, row + repeat), max(last_column, column)
                filled += times * repeat
                _refuse(last_row, last_column, filled, len(xml), name=name)
            height = counts.get(b"number-rows-spanned", 1)
            width = counts.get(b"number-columns-spanned", 1)
            if merges and height * width > 1:
                left = column - times
                merges[-1].append(((row, left), (row + height - 1, left + width - 1)))
    return merges


def _refuse(rows: int, columns: int, filled: int, size: int, *, name: str) -> None:
    too_far = rows > _MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS
    if too_far or filled > max(_MAX_REPEATED, size):
        raise TableError(
            f"{name}: claims {rows:,} rows x {columns:,} columns, {filled:,} filled cells, in {size:,} bytes; "
            "delete the stray and repeated cells outside the table"
        )
