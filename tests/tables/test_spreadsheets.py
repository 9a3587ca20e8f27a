"""Spreadsheets nobody designed for: each loads completely, or says exactly what does not and why."""

from pathlib import Path

from kgkit.graph.build import build
from kgkit.records import Subgraph, Value
from kgkit.splits import read_split
from kgkit.tables import Counts, TableReading, read_tables
from tests.tables.spreadsheets import (
    german_csv,
    ods,
    ods_cell,
    ods_row,
    two_row_matrix,
    vendor_fmea,
)


def graph(reading: TableReading) -> Subgraph:
    return build(reading.rows(), split=read_split("none"))


def edge(subgraph: Subgraph, start: str, end: str) -> dict[str, Value]:
    return {
        name: value
        for edge in subgraph.edges
        if (edge.key.start.id, edge.key.end.id) == (start, end)
        for name, value in edge.properties.items()
        if name not in ("origin", "role", "sources")
    }


def relevance(subgraph: Subgraph) -> dict[tuple[str, str], Value]:
    return {
        (edge.key.start.id, edge.key.end.id): edge.properties["label"]
        for edge in subgraph.edges
        if edge.key.type == "RELEVANT_TO"
    }


def test_a_german_csv_loads_but_for_the_row_without_an_asset(tmp_path: Path) -> None:
    reading = read_tables([german_csv(tmp_path / "Export.csv")])

    assert reading.files[0].assumed == "encoding cp1252 (assumed: not valid UTF-8), delimiter ;"
    assert reading.counts == Counts(seen=6, loaded=4, rejected=1, skipped={"empty row": 1})
    assert [str(reject) for reject in reading.rejects] == [
        "Export.csv, cell H9: 'hoch' is no whole number; the rating is left out",
        "Export.csv, cell A10: no asset; fill the cell (a blank is not read as 'same as above')",
    ]
    assert edge(graph(reading), "kreiselpumpe", "kavitation") == {
        "causes": ["Zulaufdruck zu niedrig"],
        "components": ["Laufrad"],
        "detections": ["Druckmessung"],
        "effects": ["Förderhöhe sinkt\r\n(Geräusch)"],
        "fmea": [
            '{"cause":"Zulaufdruck zu niedrig","component":"Laufrad","detectability":"4",'
            '"detection":"Druckmessung","effect":"Förderhöhe sinkt\\r\\n(Geräusch)",'
            '"function":"fördert","occurrence":"5","rpn":"120","severity":"6","source":"Export.csv!D7"}'
        ],
        "functions": ["fördert"],
        "severity": 6,
        "occurrence": 5,
        "detectability": 4,
        "rpn": 120,
    }


def test_a_vendor_fmea_with_merged_cells_titles_and_other_sheets_loads(tmp_path: Path) -> None:
    reading = read_tables([vendor_fmea(tmp_path / "vendor.xlsx")])

    assert [(sheet.sheet.name, sheet.layout) for sheet in reading.sheets] == [
        ("Cover", ""),
        ("FMEA", "fmea"),
        ("Lists", ""),
    ]
    assert reading.sheets[1].why == (
        "layout fmea, because row 5 names cause, component, detectability, detection, effect, failure_mode, "
        "function, occurrence, rpn, severity; asset Cooling water pump from the title in row 2"
    )
    assert reading.counts == Counts(
        seen=9,
        loaded=4,
        rejected=0,
        skipped={"hidden sheet": 2, "no layout fits": 2, "section title": 1},
    )
    leak = edge(graph(reading), "cooling-water-pump", "external-leakage")
    assert {name: leak[name] for name in leak if name != "fmea"} == {
        "causes": ["Dry running", "Worn faces"],
        "components": ["Mechanical seal"],
        "detections": ["Level switch", "Visual check"],
        "effects": ["Fire", "Loss of fluid"],
        "functions": ["Contain fluid"],
        "severity": 10,
        "occurrence": 2,
        "detectability": 5,
        "rpn": 100,
    }
    merged = [row for row in reading.rows() if row.cells["severity"].text == "10"]
    assert str(merged[0].cells["failure_mode"].source) == "vendor.xlsx#FMEA!D6"


def test_a_two_row_header_tells_sensors_of_one_name_apart(tmp_path: Path) -> None:
    reading = read_tables([two_row_matrix(tmp_path / "export_17.xlsx")])

    assert reading.counts == Counts(seen=3, loaded=2, rejected=0, skipped={"empty row": 1})
    assert [str(reject) for reject in reading.rejects] == [
        "export_17.xlsx, sheet Matrix, cell C7: '?' is neither a mark (x, 1, yes; -, 0, no) nor blank; "
        "write one of them"
    ]
    assert reading.sheets[0].unread == ("Remarks",)
    subgraph = graph(reading)
    assert [node.properties["name"] for node in subgraph.nodes if node.key.label == "Asset"] == [
        "Screw conveyor"
    ]
    assert relevance(subgraph) == {
        ("drive-end-vibration", "bearing-wear"): "Yes",
        ("drive-end-temperature", "bearing-wear"): "Yes",
        ("non-drive-end-vibration", "bearing-wear"): "No",
        ("non-drive-end-temperature", "bearing-wear"): "Yes",
        ("drive-end-vibration", "belt-slip"): "Yes",
        ("non-drive-end-vibration", "belt-slip"): "No",
        ("non-drive-end-temperature", "belt-slip"): "No",
    }


def test_an_ods_sheet_with_merged_cells_and_repeated_blanks_loads(tmp_path: Path) -> None:
    merged = 'table:number-rows-spanned="2" table:number-columns-spanned="1"'
    blanks = '<table:table-cell table:number-columns-repeated="16384"/>'
    path = ods(
        tmp_path / "fan.ods",
        ods_row(ods_cell("Failure mode"), ods_cell("Effect"))
        + ods_row(ods_cell("wear", attributes=merged), ods_cell("noise"))
        + ods_row("<table:covered-table-cell/>", ods_cell("stop"))
        + ods_row(blanks, times=1_048_573),
    )

    reading = read_tables([path])

    assert reading.counts == Counts(seen=2, loaded=2, rejected=0, skipped={})
    assert edge(graph(reading), "fan", "wear")["effects"] == ["noise", "stop"]
