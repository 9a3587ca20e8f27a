"""Turn a file into sheets of text cells. Every cell is text; nothing is interpreted and nothing executed.

CSV and TSV in any delimiter and encoding, XLSX, XLSM, XLS, ODS, Parquet. The content decides what a file is; a
suffix that says something else is refused.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kgkit.errors import TableError
from kgkit.tables import texts, workbooks
from kgkit.tables.sheet import Sheet

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
SUFFIXES = (*TEXT_SUFFIXES, ".xlsx", ".xlsm", ".xls", ".ods", ".parquet")
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """What a file holds: its sheets, its sha256 and what was assumed to read it (encoding, delimiter)."""

    name: str
    sha256: str
    assumed: str
    sheets: tuple[Sheet, ...]


def read_file(path: Path, *, name: str) -> TextFile:
    """The sheets of one file. Raises TableError when the file as a whole cannot be read or trusted."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(
            f"{name}: kgkit reads {', '.join(SUFFIXES)}; save the table as one of these"
        )
    data = _bytes(path, name=name)
    kind = _kind(data)
    expected = _expected(suffix)
    if kind not in expected:
        raise TableError(
            f"{name}: the content is {_WORDS[kind]}, but the name says {suffix}; rename it or save it again"
        )
    sha256 = hashlib.sha256(data).hexdigest()
    if kind == "text":
        rows, assumed = texts.read_text(data, name=name)
        sheets: Iterable[Sheet] = (Sheet(name="", rows=rows, delimited=True),)
    elif kind == "parquet":
        sheets, assumed = (Sheet(name="", rows=workbooks.read_parquet(data, name=name)),), ""
    else:
        sheets, assumed = workbooks.read_workbook(data, name=name), ""
    return TextFile(name=name, sha256=sha256, assumed=assumed, sheets=tuple(sheets))


_WORDS = {
    "text": "text",
    "zip": "a zip archive or office workbook",
    "ole": "an old Excel workbook, or one that is encrypted with a password",
    "parquet": "Parquet",
    "binary": "binary data that is no table",
}


def _bytes(path: Path, *, name: str) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise TableError(
                f"{name}: is not a regular file; name a table file or a folder of them"
            )
        if size > MAX_BYTES:
            raise TableError(f"{name}: {size:,} bytes, more than {MAX_BYTES:,}; split the file")
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise TableError(f"{name}: cannot be opened ({reason}); check the path") from error
    if not data:
        raise TableError(f"{name}: is empty (0 bytes); save the table again")
    return data


def _kind(data: bytes) -> str:
    if data.startswith(b"PK\x03\x04") or data.startswith(b"PK\x05\x06"):
        return "zip"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return "ole"
    if data.startswith(b"PAR1"):
        return "parquet"
    head = data[:65536]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text"
    nuls = head.count(0)
    half = len(head) // 2
    utf16 = (
        half and max(head[0::2].count(0), head[1::2].count(0)) > 0.6 * half and nuls < 1.2 * half
    )
    controls = sum(head.count(bytes([code])) for code in (*range(1, 9), *range(14, 27)))
    return "text" if utf16 or (nuls + controls) < 0.1 * len(head) else "binary"


def _expected(suffix: str) -> tuple[str, ...]:
    if suffix in TEXT_SUFFIXES:
        return ("text",)
    if suffix == ".parquet":
        return ("parquet",)
    return ("ole",) if suffix == ".xls" else ("zip", "ole")
