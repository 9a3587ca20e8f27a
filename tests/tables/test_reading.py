"""Every kind of file gives the same cells; layouts are found, or the message says what lacks."""

import datetime
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlwt

from kgkit.errors import TableError, UsageError
from kgkit.tables import Counts, expand_paths, read_tables, starter_paths
from kgkit.tables.read import read_file
from kgkit.tables.sheet import cell_text

HEADINGS = ["Equipment", "Failure mode", "Example"]
CELLS = [["Pümp", "Leak; outer", "drips, a bit"], ["Fan", "NA", 'said "no"\nthen stopped']]
TABLE = [HEADINGS, *CELLS]


def quoted(delimiter: str) -> str:
    rows = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in TABLE]
    return "\r\n".join(rows) + "\r\n"


def text_file(delimiter: str, encoding: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "t.csv"
        path.write_bytes(quoted(delimiter).encode(encoding))
        return path

    return make


def xlsx(folder: Path) -> Path:
    book = openpyxl.Workbook()
    for row in TABLE:
        book.active.append(row)
    book.save(folder / "t.xlsx")
    return folder / "t.xlsx"


def xls(folder: Path) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("S")
    for r, row in enumerate(TABLE):
        for c, text in enumerate(row):
            sheet.write(r, c, text)
    book.save(str(folder / "t.xls"))
    return folder / "t.xls"


def parquet(folder: Path) -> Path:
    columns = dict(zip(HEADINGS, map(list, zip(*CELLS, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize(
    "make",
    [
        text_file(",", "utf-8"),
        text_file(";", "utf-8-sig"),
        text_file("\t", "utf-16"),
        text_file(";", "utf-16-le"),
        text_file("|", "cp1252"),
        text_file("^", "utf-8"),
        xlsx,
        xls,
        parquet,
    ],
)
def test_every_kind_of_file_gives_the_same_cells(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)

    file = read_file(path, name=path.name)
    rows = [[cell.replace("\r\n", "\n") for cell in row] for row in file.sheets[0].rows]

    assert rows == TABLE
    assert read_tables([path]).counts == Counts(seen=2, loaded=2, rejected=0, skipped={})


def test_excel_says_its_delimiter_in_a_first_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sep=~\nEquipment~Failure mode\nfan~leak, large\n")

    row = next(read_tables([tmp_path / "t.csv"]).rows())

    assert {name: (cell.text, str(cell.source)) for name, cell in row.cells.items()} == {
        "asset": ("fan", "t.csv!A3"),
        "failure_mode": ("leak, large", "t.csv!B3"),
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (101.0, "101"),
        (0.1, "0.1"),
        (-3.0, "-3"),
        (True, "TRUE"),
        (None, ""),
        (" x\u00a0", "x"),
        (datetime.date(2025, 11, 3), "2025-11-03"),
        (datetime.datetime(2025, 11, 3), "2025-11-03"),  # noqa: DTZ001
        (datetime.datetime(2025, 11, 3, 4, 5), "2025-11-03 04:05:00"),  # noqa: DTZ001
        (float("nan"), "nan"),
    ],
)
def test_every_cell_is_text(value: object, text: str) -> None:
    assert cell_text(value) == text


def why(folder: Path, text: str, *, name: str = "t.csv", layout: str | None = None) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return read_tables([folder / name], layout=layout).sheets[0].why


@pytest.mark.parametrize(
    ("header", "layout"),
    [
        ("Category,Equipment class,Type\na,b,c", "taxonomy"),
        ("Equipment class,Subunit,Maintainable item\na,b,c", "subunits"),
        ("Equipment,Failure mode,Failure example\na,b,c", "failure-modes"),
        (
            "Code,Failure mode code,Failure mode,Description\n1,BRD,Breakdown,d",
            "failure-mode-codes",
        ),
        ("Failure mode,Example,PU,CO,EM\nleak,drips,x,,x", "failure-matrix"),
        ("Failure mode,Pumps,Compressors\nleak,x,", "failure-matrix"),
        ("Failure mode,vibration,oil debris\nleak,x,", "sensor-matrix"),
        ("Equipment,Fault,Vibration,Temperature\nfan,leak,x,", "sensor-matrix"),
        ("Asset,Sensor,Failure mode,Relevant\nfan,noise,leak,yes", "sensors"),
        ("Item,Failure mode,Effect,S,O,D,RPN\nseal,leak,drips,1,1,1,1", "fmea"),
        ("Composant,Mode de défaillance,Cause,Effet,Gravité\nrotor,fuite,usure,arrêt,8", "fmea"),
        ("Componente,Modo de fallo,Causa,Efecto,Gravedad,NPR\nrotor,fuga,uso,paro,8,80", "fmea"),
        ("Bauteil,Ausfallart,Folge,Auftretenswahrscheinlichkeit,RPZ\nRotor,Riss,Halt,3,30", "fmea"),
    ],
)
def test_the_layout_is_found_by_headings_in_four_languages(
    header: str, layout: str, tmp_path: Path
) -> None:
    assert why(tmp_path, header + "\n").split(",")[0] == f"layout {layout}"


def test_detection_as_text_and_as_rating_are_told_apart_by_their_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "Item,Failure mode,Detection,Severity,Detection\nseal,leak,look,8,3\n"
    )
    row = next(read_tables([tmp_path / "t.csv"]).rows())
    assert (row.cells["detection"].text, row.cells["detectability"].text) == ("look", "3")


@pytest.mark.parametrize(
    ("name", "text", "asset"),
    [
        ("electric_motor.csv", "Failure mode,vibration\nleak,x\n", "electric motor"),
        ("a.csv", "Machine: Screw press,\nFailure mode,vibration\nleak,x\n", "Screw press"),
        ("a.csv", "Equipment,Screw press\n,\nFailure mode,vibration\nleak,x\n", "Screw press"),
        ("a.csv", "Table B.3 \u2014 Fans,\nFailure mode,vibration\nleak,x\n", "Fans"),
        ("fan.csv", "Condition monitoring matrix,\nFailure mode,vibration\nleak,x\n", "fan"),
        ("a.csv", "Equipment,Failure mode,vibration\nGearbox,leak,x\n", "Gearbox"),
        ("pump_fmea.csv", "Item,Failure mode,Effect\nseal,leak,drips\n", "pump"),
        ("a.csv", "Dryer FMEA,,\nItem,Failure mode,Effect\nseal,leak,drips\n", "Dryer"),
        ("plant.csv", "Item,Failure mode,Effect\nseal,leak,drips\n", "seal"),
    ],
)
def test_the_asset_comes_from_column_title_or_file_name(
    name: str, text: str, asset: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert {row.cells["asset"].text for row in read_tables([tmp_path / name]).rows()} == {asset}


def test_a_workbook_of_several_matrices_names_assets_by_sheet(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "fan"
    for sheet in (book.active, book.create_sheet("screw press")):
        sheet.append(["Failure mode", "vibration"])
        sheet.append(["leak", "x"])
    book.save(tmp_path / "plant.xlsx")

    names = {row.cells["asset"].text for row in read_tables([tmp_path / "plant.xlsx"]).rows()}
    only = read_tables([tmp_path / "plant.xlsx"], sheet="fan")

    assert names == {"fan", "screw press"}
    assert only.counts == Counts(
        seen=3, loaded=1, rejected=0, skipped={"not the sheet asked for": 2}
    )
    with pytest.raises(TableError, match="has no sheet Fan; it has fan, screw press"):
        read_tables([tmp_path / "plant.xlsx"], sheet="Fan")


@pytest.mark.parametrize("mark", ["x", "X", "\u2713", "\u2714", "1", "yes", "TRUE", "\u25cf", "ja"])
def test_marks_mean_yes(mark: str, tmp_path: Path) -> None:
    (tmp_path / "fan.csv").write_text(
        f"Failure mode,vibration,noise\nleak,{mark},x\n", encoding="utf-8"
    )
    assert [row.cells["tick"].text for row in read_tables([tmp_path / "fan.csv"]).rows()] == [
        "Yes"
    ] * 2


@pytest.mark.parametrize("mark", ["no", "N", "-", "0", "\u2717", "FALSE"])
def test_denials_mean_no_whatever_a_blank_means(mark: str, tmp_path: Path) -> None:
    (tmp_path / "fan.csv").write_text(f"Failure mode,noise,speed\nleak,{mark},\n", encoding="utf-8")

    whole = read_tables([tmp_path / "fan.csv"])
    partial = read_tables([tmp_path / "fan.csv"], layout="sensor-matrix-partial")

    assert [row.cells["tick"].text for row in whole.rows()] == ["No", "No"]
    assert [row.cells.get("tick") is None for row in partial.rows()] == [False, True]


def test_a_table_without_a_layout_says_what_lacks(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        why(tmp_path, "Equipment,Colour\nfan,red\n")
    assert str(caught.value) == (
        "t.csv: no layout fits: row 1 of 2 rows x 2 columns reads 'Equipment', 'Colour'; nearest is taxonomy "
        "(categories, equipment classes and their types), which lacks category or type. Rename the headings "
        "(schemas/headings.yaml lists what is known) or choose with --layout"
    )


def test_a_draw_between_layouts_is_an_error_and_can_be_settled(tmp_path: Path) -> None:
    text = "Failure mode,AA1,BB2\nleak,x,\n"
    with pytest.raises(TableError, match="equally well; choose with --layout"):
        why(tmp_path, text)
    assert why(tmp_path, text, layout="sensor-matrix").startswith("layout sensor-matrix")


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("")
    with pytest.raises(TableError) as caught:
        read_tables([tmp_path])
    assert [line.split(":")[0] for line in str(caught.value).split("\n")] == [
        f"{tmp_path.name}/a.csv",
        f"{tmp_path.name}/b.csv",
    ]


def test_folders_are_searched_and_files_are_named_from_the_folder(tmp_path: Path) -> None:
    plant = tmp_path / "plant"
    (plant / "deep").mkdir(parents=True)
    for name in ("b.csv", "a.CSV", "deep/c.tsv", "README.md", ".hidden.csv", "~$b.xlsx"):
        (plant / name).write_text("Equipment,Failure mode\nfan,leak\n")

    assert expand_paths([plant]) == {
        plant / "a.CSV": "plant/a.CSV",
        plant / "b.csv": "plant/b.csv",
        plant / "deep" / "c.tsv": "plant/deep/c.tsv",
    }
    assert expand_paths([plant / "b.csv"]) == {plant / "b.csv": "b.csv"}
    with pytest.raises(UsageError, match="there is no such file or folder"):
        expand_paths([plant / "nowhere"])
    (plant / "deep" / "b.csv").write_text("")
    with pytest.raises(UsageError, match=r"two files are called b\.csv"):
        expand_paths([plant / "b.csv", plant / "deep" / "b.csv"])


def test_the_workspace_may_name_a_file(tmp_path: Path) -> None:
    path = tmp_path / "3f2a.csv"
    path.write_text("Equipment,Failure mode\nfan,leak\n")
    reading = read_tables([path], names={path: "plant/fans.csv"})
    assert str(next(reading.rows()).cells["asset"].source) == "plant/fans.csv!A2"


def test_tiers_and_the_taxonomy_filter_starter_rows() -> None:
    default, everything = read_tables(starter_paths()), read_tables(starter_paths(), tiers=None)
    with_c = read_tables(starter_paths(), tiers=frozenset("ABC"))
    assert default.counts == Counts(
        seen=5188, loaded=2160, rejected=0, skipped={"taxonomy odm": 275, "tier C": 2753}
    )
    assert (
        everything.counts == with_c.counts == Counts(seen=5188, loaded=5188, rejected=0, skipped={})
    )


def test_a_tier_or_taxonomy_of_the_users_own_leaves_no_row_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "Equipment,Subunit,Tier,Taxonomy\nfan,rotor,1,ours\nfan,drive,Tier 2,\nfan,duct,C,ours\nfan,case,,odm\n"
    )
    assert read_tables([tmp_path / "t.csv"]).counts == Counts(
        seen=4, loaded=2, rejected=0, skipped={"taxonomy odm": 1, "tier C": 1}
    )


def test_a_row_out_of_step_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "Equipment,Failure mode\nfan,leak\nfan,leak, large\nfan\nEquipment,Failure mode\nfan,wear,,\n"
    )
    reading = read_tables([tmp_path / "t.csv"])
    assert reading.counts == Counts(seen=5, loaded=2, rejected=2, skipped={"repeated heading": 1})
    assert [str(reject) for reject in reading.rejects] == [
        "t.csv, cell C3: 3 cells under 2 headings; quote the cell with the delimiter",
        "t.csv, cell B4: no failure_mode; fill the cell (a blank is not read as 'same as above')",
    ]
