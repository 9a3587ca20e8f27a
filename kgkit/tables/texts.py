"""Turn the bytes of a CSV-like file into rows of text cells, and say which encoding and delimiter were assumed."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from kgkit.errors import TableError
from kgkit.tables.sheet import MAX_CELLS, MAX_COLUMNS, cell_text

DELIMITERS = (",", ";", "\t", "|", "^", "~", ":")
_SAMPLE = 60
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_text(data: bytes, *, name: str) -> tuple[list[list[str]], str]:
    """The rows of a delimited file and a sentence about what was assumed. Raises TableError."""
    text, encoding = _decode(data, name=name)
    if not text.strip():
        raise TableError(f"{name}: holds nothing but white space; save the table again")
    first, _, rest = text.partition("\n")
    stated = first.strip().strip('"')
    if len(stated) == 5 and stated.lower().startswith("sep="):
        delimiter, text = stated[4], "\n" + rest
    else:
        delimiter = _delimiter(text)
    shown = {"\t": "tab"}.get(delimiter, delimiter)
    return list(_rows(text, delimiter, name=name)), f"encoding {encoding}, delimiter {shown}"


def _decode(data: bytes, *, name: str) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), f"{encoding} (byte order mark)"
            except UnicodeDecodeError as error:
                raise TableError(
                    f"{name}: starts as {encoding} but byte {error.start} does not belong to it; save it as UTF-8"
                ) from error
    head = data[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > 0.6 * (len(head) // 2) > 0 and len(data) % 2 == 0:
        encoding = "utf-16-be" if even > odd else "utf-16-le"
        return data.decode(
            encoding, errors="replace"
        ), f"{encoding} (no mark; assumed from its zero bytes)"
    for encoding in ("utf-8", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text, encoding if encoding == "utf-8" else "cp1252 (assumed: not valid UTF-8)"
    return data.decode("latin-1"), "latin-1 (assumed: neither valid UTF-8 nor cp1252)"


def _delimiter(text: str) -> str:
    """The delimiter under which most of the first rows have the same number (> 1) of cells."""
    sample = text[:200_000]
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        if delimiter not in sample:
            continue
        try:
            rows = [row for row in islice(_reader(sample, delimiter), _SAMPLE) if any(row)]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows if len(row) > 1)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1] * min(item[0], 8), item[0]))
        share = count / len(rows)
        score = (round(share * min(width, 8), 2), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _rows(text: str, delimiter: str, *, name: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = cells = 0
    try:
        for number, row in enumerate(reader, 1):
            if len(row) > MAX_COLUMNS:
                raise TableError(
                    f"{name}, row {number}: {len(row):,} columns, more than {MAX_COLUMNS:,}; "
                    "is the delimiter right, and is this a table?"
                )
            cells += len(row)
            if cells > MAX_CELLS:
                raise TableError(
                    f"{name}, row {number}: more than {MAX_CELLS:,} cells so far; split the file"
                )
            yield [cell_text(cell) for cell in row]
    except csv.Error as error:
        raise TableError(
            f"{name}, after row {number} (line {reader.line_num}): {error}; "
            "look for a quotation mark that is not closed"
        ) from error
