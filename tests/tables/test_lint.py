"""What lint says of a table, and that it says nothing of a good one."""

import time
from pathlib import Path

import pytest

from kgkit.tables import lint, starter_paths


def findings(folder: Path, text: str, name: str = "fan.csv") -> list[tuple[str, str]]:
    (folder / name).write_text(text, encoding="utf-8")
    return [(finding.severity, str(finding)) for finding in lint([folder / name])]


def test_a_good_table_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, "Failure mode,vibration,noise\nleak,x,\nwear,,x\n") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Failure mode,temperature,temparature\nleak,x,\nwear,x,x\n",
            ("warning", "fan.csv, cell C1: sensor 'temparature' looks like 'temperature' (91 % alike); the same?"),
        ),
        (
            "Failure mode,noise\nleak,x\nLEAK,x\n",
            ("warning", "fan.csv, row 3: the same row as row 2"),
        ),
        (
            "Failure mode,noise\nleak,x\n,\nwear,x\n",
            ("info", "fan.csv, row 3: the row is empty"),
        ),
        (
            "Failure mode,noise\nleak,x\nwear,\n",
            ("warning", "fan.csv, row 3: no mark in the row: a title or a note?"),
        ),
        (
            "Failure mode,noise,speed\nleak,x,x\nwear,maybe,\nrub,x,\nslip,x,\n",
            ("warning", "fan.csv, cell B3: 'maybe' is neither a mark (x, 1, yes; -, 0, no) nor blank; write one of them"),
        ),
        (
            "Failure mode,noise,Shift\nleak,x,night shift\n",
            ("warning", "fan.csv, cell C1: column 'Shift' is unknown to layout sensor-matrix"),
        ),
        (
            "Equipment,Failure mode,Exampel\nfan,leak,drips\n",
            ("warning", "fan.csv, cell C1: column 'Exampel' is unknown to layout failure-modes; did you mean 'example'?"),
        ),
        (
            "Equipment,Failure mode\nfan,leak\nfan,\n",
            ("error", "fan.csv, cell B3: no failure_mode; fill the cell (a blank is not read as 'same as above')"),
        ),
        (
            "Equipment,Failure mode\n",
            ("warning", "fan.csv, row 1: no row below the headings: nothing is loaded"),
        ),
        (
            "Equipment,Failure mode,Tier\nfan,leak,C\n",
            ("warning", "fan.csv, row 1: no row below the headings is one to load: tier C 1"),
        ),
        (
            "Failure mode,noise,Noise sensor\nleak,x,\n",
            ("warning", "fan.csv, cell C2: says No where fan.csv!B2 says Yes; Yes is loaded"),
        ),
    ],
)  # fmt: skip
def test_lint_says(text: str, found: tuple[str, str], tmp_path: Path) -> None:
    assert findings(tmp_path, text) == [found]


def test_classes_without_failure_modes_are_named(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(
        "Category,Equipment class\nRotating,Pumps\nRotating,Fans\n"
    )
    (tmp_path / "modes.csv").write_text("Equipment,Failure mode\npump,leak\n")
    assert [
        str(finding) for finding in lint([tmp_path / "classes.csv", tmp_path / "modes.csv"])
    ] == ["classes.csv, cell B3: no table gives class 'Fans' a failure mode"]


def test_nothing_of_the_starter_tables_is_an_error() -> None:
    assert not [finding for finding in lint(starter_paths()) if finding.severity == "error"]


def test_lint_is_quick_on_ten_thousand_rows(tmp_path: Path) -> None:
    rows = (f"asset {n % 300},mode {n % 2900},example {n}" for n in range(10_000))
    (tmp_path / "t.csv").write_text("Equipment,Failure mode,Example\n" + "\n".join(rows))
    start = time.process_time()
    lint([tmp_path / "t.csv"])
    assert time.process_time() - start < 10
