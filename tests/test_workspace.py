from pathlib import Path

import pytest

from kgkit.errors import ContentError, KgkitError
from kgkit.workspace import Choices, LoadedTable, Workspace, free_name, write_atomically


def table(name: str, origin: str, sha256: str = "") -> LoadedTable:
    return LoadedTable(
        name=name,
        origin=origin,
        sha256=sha256,
        found="",
        layout=None,
        role="source",
        sheet=None,
        tiers=("A",),
    )


def test_choices_come_back_as_they_were_remembered(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    workspace.create()
    choices = Choices(id="1", store="neo4j://h", teacher='a "b" \\ ü', model="m", split="none")
    workspace.remember(choices)
    assert workspace.choices() == choices


def test_creating_twice_keeps_the_first_id(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    workspace.create()
    first = workspace.choices()
    workspace.create()
    assert workspace.choices() == first


@pytest.mark.parametrize("text", ["store = 1", "nonsense", 'stroe = "x"'])
def test_a_broken_config_is_named(text: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.config.write_text(text)
    with pytest.raises(ContentError, match=r"kgkit\.toml"):
        workspace.choices()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    assert path.read_bytes() == b"old"


def test_a_file_that_changed_while_it_was_read_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    file = tmp_path / "a.csv"
    file.write_text("x")
    with pytest.raises(KgkitError, match="changed while it was read"):
        workspace.put_tables([table("a.csv", str(file), sha256="0" * 64)], {"a.csv": file})


def test_two_files_of_one_name_get_two_names() -> None:
    taken = [table("fmea.xlsx", "/plant/a/fmea.xlsx")]
    assert free_name("fmea.xlsx", "/plant/a/fmea.xlsx", taken) == "fmea.xlsx"
    assert free_name("fmea.xlsx", "/plant/b/fmea.xlsx", taken) == "b/fmea.xlsx"


def test_a_workspace_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KgkitError, match="choose another --workspace"):
        Workspace(tmp_path / "file" / "w").create()
