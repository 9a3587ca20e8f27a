"""P16: table intake in rows/s against openpyxl's read-only mode, and the memory that a zip bomb costs.

    python benchmarks/table_intake.py [--rows 50000] [--rounds 5]

One run measures A/B/B/A in turns, so that both see the same machine; figures are medians. Intake means all of it:
reading, detection, checking every row, making every TableRow. Writes benchmarks/results/table_intake.json.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import deque
from pathlib import Path

import openpyxl

from kgkit.tables import read_tables

RESULTS = Path(__file__).parent / "results" / "table_intake.json"
HEADINGS = ["Equipment", "Failure mode", "Example", "Cause", "Effect"]


def cells(number: int) -> list[str]:
    return [
        f"Asset {number % 97}",
        f"Mode {number % 499}",
        f"example {number}",
        f"cause {number % 1009}",
        f"effect {number % 211}",
    ]


def make(folder: Path, rows: int) -> dict[str, Path]:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("FMEA")
    with (folder / "t.csv").open("w", encoding="utf-8") as csv:
        for row in (HEADINGS, *map(cells, range(rows))):
            sheet.append(row)
            csv.write(",".join(row) + "\n")
    book.save(folder / "t.xlsx")
    return {"csv": folder / "t.csv", "xlsx": folder / "t.xlsx"}


def ours(path: Path) -> float:
    start = time.perf_counter()
    deque(read_tables([path]).rows(), maxlen=0)
    return time.perf_counter() - start


def theirs(path: Path) -> float:
    start = time.perf_counter()
    book = openpyxl.load_workbook(path, read_only=True)
    for sheet in book.worksheets:
        deque(sheet.iter_rows(values_only=True), maxlen=0)
    book.close()
    return time.perf_counter() - start


PEAK = r"""
import re, sys, time
from pathlib import Path
from kgkit.errors import TableError
from kgkit.tables import read_tables
start = time.perf_counter()
try:
    read_tables([Path(sys.argv[1])])
except TableError:
    pass
print(time.perf_counter() - start, int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def bomb(folder: Path) -> dict[str, float]:
    """Seconds and peak megabytes of a fresh process that is given 300 MB packed into 1 MB."""
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["Failure mode", "vibration"])
    book.save(stream)
    source = zipfile.ZipFile(stream)
    with zipfile.ZipFile(folder / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            xml = source.read(name)
            rows = b'<row r="9"><c r="A9"><v>1</v></c></row>' * 7_500_000
            if name.endswith("sheet1.xml"):
                xml = xml.replace(b"<sheetData>", b"<sheetData>" + rows)
            target.writestr(name, xml)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder / "bomb.xlsx")],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes = map(float, done.stdout.split())
    return {"seconds": round(seconds, 3), "peak_mb": round(megabytes, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        files = make(Path(name), arguments.rows)
        times: dict[str, list[float]] = {"openpyxl": [], "kgkit xlsx": [], "kgkit csv": []}
        for number in range(arguments.rounds):
            order = [
                ("openpyxl", theirs, files["xlsx"]),
                ("kgkit xlsx", ours, files["xlsx"]),
                ("kgkit csv", ours, files["csv"]),
            ]
            for label, run, path in order if number % 2 == 0 else order[::-1]:
                times[label].append(run(path))
        rate = {
            label: arguments.rows / statistics.median(seconds) for label, seconds in times.items()
        }
        spread = max(times["openpyxl"]) / min(times["openpyxl"]) - 1
        result = {
            "rows": arguments.rows,
            "rounds": arguments.rounds,
            "rows_per_second": {label: round(value) for label, value in rate.items()},
            "ratio_xlsx": round(rate["kgkit xlsx"] / rate["openpyxl"], 2),
            "ratio_csv": round(rate["kgkit csv"] / rate["openpyxl"], 2),
            "openpyxl_spread": round(spread, 2),
            "bomb": bomb(Path(name)),
            "target": "ratios >= 1, bomb <= 150 MB and <= 2 s",
        }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
