"""Turn the bytes of XLSX, XLSM, XLS, ODS and Parquet files into sheets of text cells.

A workbook is searched before it is opened: one that unpacks to far more than it weighs, declares entities or
names paths outside itself is refused, so that hostile files cost neither memory nor time.
"""

import io
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kgkit.errors import TableError
from kgkit.tables.ods import Merge, search_content
from kgkit.tables.sheet import MAX_CELLS, MAX_COLUMNS, Position, Sheet, cell_text

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

_MAX_UNPACKED = 1 << 30
_SUSPECT_UNPACKED = 8 << 20
_SUSPECT_RATIO = 100
_MAX_MERGED = 1_000_000
_CHUNK = 1 << 20
_ENTITY = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_WIDE = re.compile(rb'r="([A-Z]{2,7})[0-9]+"')
_TALL = re.compile(rb'r="[A-Z]*([0-9]{4,10})"')
_DIMENSIONS = re.compile(rb"\x00\x02\x0e\x00(.{12})", re.DOTALL)
_LOCKED = "is protected by a password; save a copy without one and load that"
_SAVE_AGAIN = "open it in your office program, save it again and load that"


def read_workbook(data: bytes, *, name: str) -> Iterator[Sheet]:
    """The worksheets of an office workbook in their order; merged cells all hold the text. Raises TableError."""
    import python_calamine as calamine

    merges: list[list[Merge]] = []
    if data.startswith(b"PK"):
        merges = _search(data, name=name)
    else:
        _search_old(data, name=name)
    try:
        workbook = calamine.load_workbook(io.BytesIO(data))
        for number, about in enumerate(workbook.sheets_metadata):
            if about.typ == calamine.SheetTypeEnum.WorkSheet:
                hidden = about.visible != calamine.SheetVisibleEnum.Visible
                sheet = workbook.get_sheet_by_name(about.name)
                merged = sheet.merged_cell_ranges or (
                    merges[number] if number < len(merges) else []
                )
                yield _sheet(sheet, merged, hidden=hidden, name=name)
    except calamine.PasswordError as error:
        raise TableError(f"{name}: {_LOCKED}") from error
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise TableError(f"{name}: is broken ({_words(error)}); {_SAVE_AGAIN}") from error


def _sheet(sheet: "CalamineSheet", merged: list[Merge], *, hidden: bool, name: str) -> Sheet:
    if sheet.total_width > MAX_COLUMNS or sheet.total_height * sheet.total_width > MAX_CELLS:
        raise TableError(
            f"{name}, sheet {sheet.name}: {sheet.total_height:,} rows x {sheet.total_width:,} columns is more than "
            f"{MAX_CELLS:,} cells; delete the empty rows and columns around the table"
        )
    rows = [[cell_text(value) for value in row] for row in sheet.iter_rows()]
    width = len(rows[0]) if rows else 0
    covered = sum(
        max(0, min(bottom + 1, len(rows)) - top) * max(0, min(right + 1, width) - left)
        for (top, left), (bottom, right) in merged
    )
    if covered > _MAX_MERGED:
        raise TableError(
            f"{name}, sheet {sheet.name}: merges cover {covered:,} cells, more than {_MAX_MERGED:,}; undo them"
        )
    return Sheet(name=sheet.name, rows=rows, hidden=hidden, anchors=_fill(rows, merged))


def _fill(rows: list[list[str]], merged: list[Merge]) -> Mapping[Position, Position]:
    """Write the text of every merged range into all of its cells; where each came from."""
    anchors: dict[Position, Position] = {}
    for (top, left), (bottom, right) in merged:
        if top >= len(rows) or left >= len(rows[top]) or not rows[top][left]:
            continue
        text = rows[top][left]
        for r in range(top, min(bottom, len(rows) - 1) + 1):
            for c in range(left, min(right, len(rows[r]) - 1) + 1):
                if (r, c) != (top, left):
                    rows[r][c] = text
                    anchors[r, c] = (top, left)
    return anchors


def read_parquet(data: bytes, *, name: str) -> list[list[str]]:
    """The column names, then the rows. Raises TableError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        width, height = len(file.schema_arrow.names), file.metadata.num_rows
        if width > MAX_COLUMNS or width * height > MAX_CELLS:
            raise TableError(f"{name}: more than {MAX_CELLS:,} cells; keep only the columns needed")
        rows = [[cell_text(column) for column in file.schema_arrow.names]]
        for batch in file.iter_batches(batch_size=10_000):
            columns = [
                [cell_text(value) for value in column.to_pylist()] for column in batch.columns
            ]
            rows.extend(map(list, zip(*columns, strict=True)))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableError(
            f"{name}: is broken ({_words(error)}); write the Parquet file again"
        ) from error
    return rows


def _search(data: bytes, *, name: str) -> list[list[Merge]]:
    """Refuse an archive that is a bomb, declares entities or names paths outside itself.

    The merged cells of an ODS file's tables, which calamine does not tell; [] for the others.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _search_names(entries, name=name)
            _search_sizes(entries, name=name)
            for entry in entries:
                if entry.filename.lower().endswith((".xml", ".rels")):
                    _search_entry(archive, entry, name=name)
            is_ods = any(entry.filename == "content.xml" for entry in entries)
            return search_content(archive.read("content.xml"), name=name) if is_ods else []
    except TableError:
        raise
    except Exception as error:  # zipfile and zlib raise a dozen kinds on a broken archive
        raise TableError(f"{name}: is a broken archive ({_words(error)}); {_SAVE_AGAIN}") from error


def _search_old(data: bytes, *, name: str) -> None:
    """Refuse an encrypted package, and an XLS whose DIMENSIONS span far more cells than its bytes could fill."""
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise TableError(f"{name}: {_LOCKED}")
    for dimensions in _DIMENSIONS.finditer(data):
        _, rows, _, columns = struct.unpack("<IIHH", dimensions[1])
        if rows <= 65_536 and columns <= 256 and rows * columns > max(500_000, len(data)):
            raise TableError(
                f"{name}: has cells out to row {rows:,}, column {columns:,} and hardly any between; "
                "delete the stray cells outside the table"
            )


def _search_names(entries: list[zipfile.ZipInfo], *, name: str) -> None:
    for entry in entries:
        if entry.filename.startswith("/") or ".." in entry.filename.replace("\\", "/").split("/"):
            raise TableError(
                f"{name}: names a path outside itself ({entry.filename[:80]!r}); do not trust this file"
            )
    names = {entry.filename for entry in entries}
    if not names & {"xl/workbook.xml", "xl/workbook.bin", "content.xml", "[Content_Types].xml"}:
        raise TableError(f"{name}: is a zip archive but no workbook; unpack it and load the tables")


def _search_sizes(entries: list[zipfile.ZipInfo], *, name: str) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if unpacked > _MAX_UNPACKED or (
        unpacked > _SUSPECT_UNPACKED and unpacked / packed > _SUSPECT_RATIO
    ):
        raise TableError(
            f"{name}: unpacks from {packed:,} to {unpacked:,} bytes, which no honest table does; {_SAVE_AGAIN}"
        )


def _search_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *, name: str) -> None:
    """Read the entry once: entities, and how far out its cells stand."""
    last_row, last_column, tail = 999, 26, b""
    with archive.open(entry) as stream:
        while chunk := stream.read(_CHUNK):
            text = tail + chunk
            if _ENTITY.search(text):
                raise TableError(
                    f"{name}: {entry.filename} declares entities, which tables never need; {_SAVE_AGAIN}"
                )
            if entry.filename.startswith("xl/worksheets/"):
                last_row = max(last_row, *map(int, {b"0", *_TALL.findall(text)}))
                last_column = max(last_column, *map(_column, {b"A", *_WIDE.findall(text)}))
            tail = text[-200:]
    if last_column > MAX_COLUMNS or last_row * last_column > MAX_CELLS:
        raise TableError(
            f"{name}: {entry.filename} has cells out to row {last_row:,}, column {last_column:,} "
            f"(more than {MAX_CELLS:,} cells); delete the stray cells outside the table"
        )


def _words(error: Exception) -> str:
    return " ".join(str(error).split())


def _column(letters: bytes) -> int:
    number = 0
    for code in letters:
        number = number * 26 + code - 64
    return number
