"""Any table at all: no traceback, and every row is loaded, rejected or skipped, exactly once."""

import csv
import io
import tempfile
from pathlib import Path

import openpyxl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgkit.errors import KgkitError
from kgkit.graph.build import build
from kgkit.splits import read_split
from kgkit.tables import TableReading, lint_reading, read_tables

HEADINGS = [
    "Equipment", "Class code", "Failure mode", "Failure mode", "Sensor", "vibration", "temperature", "Pumps", "Example",
    "Effect", "Cause", "S", "O", "D", "RPN", "Item", "Fehlerart", "Bauteil", "Type", "Category", "Relevant", "tier", "",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "", "x", "X", "no", "?", "1", "8", "-3", "=1+1", "NA", "101.0", "leak", "fan", "\u200f\u05d0\u05d1", "a\nb", "\x00", "#N/A"]),
    st.text(max_size=12),
)  # fmt: skip
GRIDS = st.builds(
    lambda titles, header, rows: [*titles, header, *rows],
    st.lists(st.lists(TEXTS, max_size=3), max_size=3),
    st.lists(st.one_of(st.sampled_from(HEADINGS), TEXTS), min_size=1, max_size=8),
    st.lists(st.lists(TEXTS, max_size=9), max_size=8),
)
FAST = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def check(reading: TableReading) -> None:
    split = read_split("default")
    counts = reading.counts
    assert counts.seen == counts.loaded + counts.rejected + sum(counts.skipped.values())
    assert counts.rejected == sum(reject.severity == "error" for reject in reading.rejects)
    assert all(reject.row > 0 and reject.reason for reject in reading.rejects)
    subgraph = build(reading.rows(), split=split)
    known = {node.key for node in subgraph.nodes}
    assert all({edge.key.start, edge.key.end} <= known for edge in subgraph.edges)
    assert build(list(reading.rows())[::-1], split=split) == subgraph
    lint_reading(reading)


def read_or_refuse(path: Path) -> None:
    try:
        reading = read_tables([path])
    except KgkitError as error:
        message = str(error)
    else:
        check(reading)
        return
    assert message.startswith(path.name)


@FAST
@given(
    grid=GRIDS,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
)
def test_any_text_file(grid: list[list[str]], delimiter: str, encoding: str) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(grid)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_bytes(stream.getvalue().encode(encoding, errors="replace"))
        read_or_refuse(path)


@FAST
@given(
    data=st.binary(max_size=400),
    suffix=st.sampled_from([".csv", ".xlsx", ".xls", ".ods", ".parquet"]),
)
def test_any_bytes(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t" + suffix)
        path.write_bytes(data)
        read_or_refuse(path)


@settings(FAST, max_examples=40)
@given(grid=GRIDS, merges=st.lists(st.tuples(*[st.integers(1, 6)] * 4), max_size=3))
def test_any_workbook(grid: list[list[str]], merges: list[tuple[int, int, int, int]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for r, row in enumerate(grid, 1):
        for c, text in enumerate(row, 1):
            legal = "".join(
                letter for letter in text if letter >= " " and not "\ud800" <= letter <= "\uffff"
            )
            sheet.cell(r, c).value = legal
    for top, left, height, width in merges:
        sheet.merged_cells.add(
            openpyxl.worksheet.cell_range.CellRange(
                min_row=top, min_col=left, max_row=top + height, max_col=left + width
            ).coord
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.xlsx")
        book.save(path)
        read_or_refuse(path)
