"""Hostile files are refused in one line, quickly and in little memory, and nothing in a cell is ever executed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import xlwt

from kgkit.errors import TableError, UsageError
from kgkit.graph.build import build
from kgkit.splits import read_split
from kgkit.tables import read_tables
from tests.tables.spreadsheets import doctored, ods, ods_cell, ods_row, sensor_matrix_bytes

Maker = Callable[[Path], Path]


def in_sheet(marker: bytes, text: bytes) -> Callable[[bytes], bytes]:
    return lambda xml: xml.replace(marker, marker + text)


def bomb(folder: Path) -> Path:
    rows = b'<row r="9"><c r="A9"><v>1</v></c></row>' * 2_000_000
    return doctored(folder / "bomb.xlsx", in_sheet(b"<sheetData>", rows))


def nameless_bomb(folder: Path) -> Path:
    rows = b"<row><c><v>1</v></c></row>" * 500_000
    return doctored(folder / "bomb.xlsx", in_sheet(b"<sheetData>", rows))


def billion_laughs(folder: Path) -> Path:
    entities = b'<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    return doctored(folder / "laughs.xlsx", lambda xml: entities + xml)


def external_entity(folder: Path) -> Path:
    entity = b'<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return doctored(folder / "entity.xlsx", lambda xml: entity + xml)


def path_escape(folder: Path) -> Path:
    return doctored(folder / "escape.xlsx", extra={"../../outside": b"x"})


def far_corner(folder: Path) -> Path:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "Failure mode", "x"
    book.save(folder / "corner.xlsx")
    return folder / "corner.xlsx"


def far_corner_old(folder: Path) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("S")
    sheet.write(0, 0, "Failure mode")
    sheet.write(65_535, 255, "x")
    book.save(str(folder / "corner.xls"))
    return folder / "corner.xls"


def repeated_cells(folder: Path) -> Path:
    cell = ods_cell("x", attributes='table:number-columns-repeated="9999"')
    return ods(folder / "repeated.ods", ods_row(ods_cell("Failure mode"), cell, times=100_000))


def far_corner_ods(folder: Path) -> Path:
    gap = '<table:table-row table:number-rows-repeated="1000000"><table:table-cell table:number-columns-repeated="9000"/></table:table-row>'
    last = ods_row('<table:table-cell table:number-columns-repeated="9000"/>', ods_cell("x"))
    return ods(folder / "corner.ods", ods_row(ods_cell("Failure mode")) + gap + last)


def written(name: str, data: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    make.__name__ = name
    return make


REFUSED: list[tuple[Maker, str]] = [
    (bomb, "unpacks from"),
    (nameless_bomb, "unpacks from"),
    (billion_laughs, "declares entities"),
    (external_entity, "declares entities"),
    (path_escape, "names a path outside itself"),
    (far_corner, "has cells out to row 1,048,576, column 16,384"),
    (far_corner_old, "has cells out to row 65,536, column 256"),
    (repeated_cells, "claims 100,000 rows x 10,000 columns"),
    (far_corner_ods, "claims 1,000,002 rows x 9,001 columns"),
    (written("zero.csv", b""), "is empty (0 bytes)"),
    (written("blank.csv", b" \n\n\t\n"), "holds nothing but white space"),
    (written("text.xlsx", b"a,b\n1,2\n"), "the content is text, but the name says .xlsx"),
    (written("book.csv", sensor_matrix_bytes()), "but the name says .csv"),
    (written("half.xlsx", sensor_matrix_bytes()[:3000]), "is a broken archive"),
    (written("locked.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000)), "is broken"),
    (written("secret.xlsx", b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le")), "is protected by a password"),
    (written("noise.csv", bytes(range(32)) * 100), "binary data that is no table"),
    (written("fake.parquet", b"PAR1" + bytes(100) + b"PAR1"), "is broken"),
    (written("wide.csv", b"Failure Mode" + b",s" * 100_000 + b"\nwear" + b",x" * 100_000), "100,001 columns"),
    (written("open.csv", b'Failure Mode,vibration\n"wear,x\n' + b"more,x\n" * 50_000), "quotation mark that is not closed"),
    (written("table.docx", b"PK\x03\x04"), "kgkit reads .csv"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_a_hostile_file_is_refused_with_its_name_and_reason(
    make: Maker, words: str, tmp_path: Path
) -> None:
    path = make(tmp_path)

    with pytest.raises(TableError) as caught:
        read_tables([path])

    assert str(caught.value).startswith(path.name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


MEASURE = r"""
import re, sys, time
from pathlib import Path
from kgkit.errors import TableError
from kgkit.tables import read_tables
for path in sys.argv[1:]:
    start = time.perf_counter()
    try:
        read_tables([Path(path)])
        print("loaded", path)
    except TableError:
        if time.perf_counter() - start > 2:
            print("slow", path)
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_refusing_takes_less_than_two_seconds_and_150_megabytes(tmp_path: Path) -> None:
    paths = [str(make(tmp_path)) for make, _ in REFUSED if make is not nameless_bomb]

    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, check=True
    )

    *complaints, megabytes = done.stdout.split("\n")[:-1]
    assert complaints == []
    assert int(megabytes) <= 150


def test_a_row_with_a_nul_is_rejected_and_the_others_load(tmp_path: Path) -> None:
    path = tmp_path / "nul.csv"
    path.write_bytes(b"Failure Mode,vibration\nwe\0ar,x\nleak,x\n")

    reading = read_tables([path])

    assert [str(reject) for reject in reading.rejects] == [
        "nul.csv, cell A2: holds a control character; delete it or save the file again"
    ]
    assert [row.cells["failure_mode"].text for row in reading.rows()] == ["leak"]


NAMES = [
    "=HYPERLINK(\"http://evil\",\"x\")",
    "+1+1|cmd",
    "-3",
    "@SUM(A1)",
    "Robert'); MATCH (n) DETACH DELETE n //",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "../../etc/passwd",
    "\u202emirror\u202c عربى שלום",
    "🔥 \U000e0041 \uff21",
    "$(reboot) `id` ${HOME}",
    "a\\b\"c'd",
]  # fmt: skip


def test_names_that_look_like_code_stay_data(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    quoted = ['"' + name.replace('"', '""') + '"' for name in NAMES]
    path.write_text(
        "Equipment,Failure mode,Example\n" + "".join(f"fan,{name},{name}\n" for name in quoted),
        encoding="utf-8",
    )

    subgraph = build(read_tables([path]).rows(), split=read_split("none"))

    names = [node.properties["name"] for node in subgraph.nodes if node.key.label == "FailureMode"]
    examples = [e.properties["examples"] for e in subgraph.edges if e.key.type == "EXPERIENCES"]
    assert sorted(map(str, names)) == sorted(NAMES)
    assert sorted(map(str, examples)) == sorted(str([name]) for name in NAMES)


def test_a_link_that_leads_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n")
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")

    with pytest.raises(UsageError, match="leads out of"):
        read_tables([folder])
