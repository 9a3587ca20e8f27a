"""Sheets of one workbook, loaded one by one, are tables of their own: none drops another in silence."""

from pathlib import Path

import openpyxl
import pytest

from tests.walk import kgkit


def workbook(path: Path, **modes: str) -> Path:
    """A failure mode list on each sheet, one mode long; a sheet in capitals is hidden."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, mode in modes.items():
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name.isupper() else "visible"
        sheet.append(["Equipment", "Failure mode"])
        sheet.append(["mixer", mode])
    book.save(path)
    return path


def modes(workspace: Path) -> list[str]:
    rows = kgkit(
        "query",
        "MATCH (f:FailureMode) RETURN f.name ORDER BY f.name",
        "--json",
        workspace=workspace,
    ).json["rows"]
    return [name for (name,) in rows]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "w"


def test_sheets_loaded_one_by_one_all_stay_each_with_its_own_cells(
    tmp_path: Path, work: Path
) -> None:
    book = workbook(tmp_path / "plant.xlsx", a="leak", b="wear")
    kgkit("load", book, "--sheet", "a", workspace=work)
    kgkit("load", workbook(book, a="jam", b="rub"), "--sheet", "b", workspace=work)
    assert modes(work) == ["leak", "rub"]
    for cell, text in (("plant.xlsx#a!B2", "leak"), ("plant.xlsx#b!B2", "rub")):
        chain = kgkit("trace", "--forward", cell, "--json", workspace=work).json["chain"]
        assert (chain[0]["id"], chain[0]["text"]) == (cell, text)
    assert kgkit("rebuild", "--json", workspace=work).json["equal"]
    kgkit("load", "--remove", "plant.xlsx#a", workspace=work)
    assert modes(work) == ["rub"]
    kgkit("load", book, "--sheet", "a", workspace=work)
    assert modes(work) == ["jam", "rub"]
    kgkit("load", "--remove", "plant.xlsx", workspace=work)
    assert modes(work) == []


def test_a_whole_file_takes_the_place_of_its_sheets_and_a_hidden_one_comes_beside_it(
    tmp_path: Path, work: Path
) -> None:
    book = workbook(tmp_path / "plant.xlsx", a="leak", b="wear", C="rub")
    kgkit("load", book, "--sheet", "b", workspace=work)
    kgkit("load", workbook(book, a="leak", b="jam", C="rub"), workspace=work)
    assert modes(work) == ["jam", "leak"]
    kgkit("load", book, "--sheet", "C", workspace=work)
    assert modes(work) == ["jam", "leak", "rub"]
    refused = kgkit("load", book, "--sheet", "a", workspace=work, code=2)
    assert "load it again without --sheet, or take it out first" in refused.err
    assert modes(work) == ["jam", "leak", "rub"]
