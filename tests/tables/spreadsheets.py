"""Makers of spreadsheets that nobody designed kgkit for, after what vendors and plants publish."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl

GERMAN = """\
FMEA Kühlwasserversorgung;;;;;;;;;;
Stand: 03.11.2025;;;;;;;;;;
;;;;;;;;;;
Anlage;Bauteil;Funktion;Fehlerart;Mögliche Fehlerfolge;Fehlerursache;Entdeckungsmaßnahme;Bedeutung (B);Auftretenswahrscheinlichkeit (A);Entdeckung (E);RPZ
Kreiselpumpe;Gleitringdichtung;dichtet die Welle ab;Leckage außen;Medium tritt aus;"Verschleiß; Trockenlauf";Sichtprüfung;8;4;3;96
Kreiselpumpe;Wälzlager;führt die Welle;Lagerschaden;Stillstand;Mangelschmierung;Schwingungsmessung;9;3;2;54
Kreiselpumpe;Laufrad;fördert;Kavitation;"Förderhöhe sinkt
(Geräusch)";Zulaufdruck zu niedrig;Druckmessung;6;5;4;120

Kühlturm;Ventilator;bewegt Luft;Unwucht;Schwingung;Ablagerung;keine;hoch;3;7;
;;;nur die Fehlerart;;;;;;;
"""


def german_csv(path: Path) -> Path:
    """A German FMEA: semicolons, cp1252, title rows, a quoted newline, a rating in words, a row without an item."""
    path.write_bytes(GERMAN.replace("\n", "\r\n").encode("cp1252"))
    return path


def vendor_fmea(path: Path) -> Path:
    """A vendor's FMEA workbook: cover and hidden sheets, titles, merged items, two header rows, ratings twice."""
    book = openpyxl.Workbook()
    cover = book.active
    cover.title = "Cover"
    cover.append(["ACME Rotating Equipment GmbH"])
    cover.append(["Document", "FM-2231 rev. C"])
    sheet = book.create_sheet("FMEA")
    sheet["A1"] = "FAILURE MODE AND EFFECTS ANALYSIS"
    sheet.merge_cells("A1:M1")
    sheet["A2"], sheet["C2"] = "Equipment:", "Cooling water pump"
    sheet["F2"], sheet["G2"] = "Date", "2025-11-03"
    for column, heading in enumerate(
        [
            "No.",
            "Item",
            "Function",
            "Potential Failure Mode",
            "Potential Effect(s) of Failure",
            "Potential\nCause(s)",
            "Current Controls",
        ],
        1,
    ):
        sheet.cell(4, column, heading)
        sheet.merge_cells(start_row=4, start_column=column, end_row=5, end_column=column)
    sheet["H4"], sheet["L4"] = "Risk rating", "Recommended Action"
    sheet.merge_cells("H4:K4")
    sheet.merge_cells("L4:L5")
    sheet["M4"], sheet["M5"] = "Rating after action", "Sev"
    for column, heading in enumerate(["Sev", "Occ", "Det", "RPN"], 8):
        sheet.cell(5, column, heading)
    rows: list[list[str | int | None]] = [
        [1, "Mechanical seal", "Contain fluid", "External leakage", "Loss of fluid", "Worn faces", "Visual check", 8, 4, 3, 96, "Fit leak sensor", 8],
        [2, None, None, None, "Fire", "Dry running", "Level switch", 10, 2, 5, 100, None, None],
        [3, "Bearing", "Carry rotor", "Seizure", "Trip", "No grease", "Vibration monitor", 9, 3, 2, 54, None, None],
        [4, "Section 2: driver", None, None, None, None, None, None, None, None, None, None, None],
        [5, "Coupling", "Transmit torque", "Misalignment", "Vibration", "Settling", "Laser check", 5, 5, 5, 125, None, None],
    ]  # fmt: skip
    for cells in rows:
        sheet.append(cells)
    for letter in "BCD":
        sheet.merge_cells(f"{letter}6:{letter}7")
    sheet.merge_cells("B9:M9")
    lists = book.create_sheet("Lists")
    lists.append(["Failure mode", "Effect"])
    lists.append(["pick", "one"])
    lists.sheet_state = "hidden"
    book.save(path)
    return path


def two_row_matrix(path: Path) -> Path:
    """A matrix with a row of groups above the sensors, a title, a repeated sensor name and an odd mark."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Matrix"
    sheet["A1"] = "Table B.1 - Screw conveyor"
    sheet["A3"], sheet["B3"], sheet["D3"], sheet["F3"] = (
        "Failure mode",
        "Drive end",
        "Non-drive end",
        "Remarks",
    )
    sheet.merge_cells("B3:C3")
    sheet.merge_cells("D3:E3")
    sheet.merge_cells("A3:A4")
    for column, heading in enumerate(["Vibration", "Temperature", "Vibration", "Temperature"], 2):
        sheet.cell(4, column, heading)
    sheet.append(["Bearing wear", "✓", "✓", None, "x", "check in winter"])
    sheet.append([None] * 6)
    sheet.append(["Belt slip", "●", "?", "no", None, None])
    book.save(path)
    return path


def sensor_matrix_bytes() -> bytes:
    """The smallest honest workbook."""
    book = openpyxl.Workbook()
    book.active.append(["Failure Mode", "vibration"])
    book.active.append(["wear", "x"])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def doctored(
    path: Path,
    change: Callable[[bytes], bytes] = lambda xml: xml,
    *,
    extra: dict[str, bytes] | None = None,
) -> Path:
    """The honest workbook with its sheet's XML changed and other entries added."""
    source = zipfile.ZipFile(io.BytesIO(sensor_matrix_bytes()))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            xml = source.read(entry)
            target.writestr(entry, change(xml) if entry.endswith("sheet1.xml") else xml)
        for name, content in (extra or {}).items():
            target.writestr(name, content)
    return path


def ods(path: Path, rows: str) -> Path:
    """An ODS file of one table `S` with these table:table-row elements."""
    names = "urn:oasis:names:tc:opendocument:xmlns:"
    spaces = " ".join(
        f'xmlns:{prefix}="{names}{prefix}:1.0"' for prefix in ("office", "table", "text")
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr(
            "META-INF/manifest.xml", f'<m:manifest xmlns:m="{names}manifest:1.0"></m:manifest>'
        )
        file.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="S">{rows}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def ods_row(*cells: str, times: int = 1) -> str:
    """A table:table-row of cells, repeated `times`."""
    return (
        f'<table:table-row table:number-rows-repeated="{times}">{"".join(cells)}</table:table-row>'
    )


def ods_cell(text: str, *, attributes: str = "") -> str:
    """A table:table-cell with a text."""
    return f'<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p></table:table-cell>'
