"""An export takes the place of an earlier one, and of nothing that a person made."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgkit.corpora import passages
from kgkit.corpora.writers import JsonlWriter, ParquetWriter
from kgkit.graph.arrow import arrow_schema
from tests.walk import kgkit, matrix_file

TEXTS = passages.texts("kd_base", "texts")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    kgkit("load", matrix_file(tmp_path), workspace=tmp_path / "w")
    return tmp_path / "w"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"mine\n")


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("README.md", _append),
        ("triples/train-*.jsonl", _append),
        ("notes.txt", lambda path: path.write_text("mine")),
    ],
)
def test_what_a_person_edited_in_an_export_is_not_overwritten(
    plant: Path, tmp_path: Path, name: str, edit: Callable[[Path], object]
) -> None:
    folder = tmp_path / "corpus"
    kgkit("export", folder, "--format", "jsonl", workspace=plant)
    edited = next(folder.glob(name), folder / name)
    edit(edited)
    before = bytes_of(folder)
    refused = kgkit("export", folder, "--format", "jsonl", workspace=plant, code=2)
    assert edited.name in refused.err
    assert "name another folder" in refused.err
    assert bytes_of(folder) == before


def test_exporting_twice_gives_the_same_bytes(plant: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    kgkit("export", folder, workspace=plant)
    before = bytes_of(folder)
    kgkit("export", folder, workspace=plant)
    assert bytes_of(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "mixer.csv", "w"]


def rows(count: int) -> pa.Table:
    texts = [f"text {i} " * (i % 7) for i in range(count)]
    nothing = [[] if type_ == "string[]" else "" for type_ in TEXTS.columns.values()]
    cells = {
        name: texts if name == "text" else [empty] * count
        for name, empty in zip(TEXTS.columns, nothing, strict=True)
    }
    return pa.table(cells, schema=arrow_schema(TEXTS.columns))


@pytest.mark.parametrize("kind", [ParquetWriter, JsonlWriter])
def test_how_rows_come_in_tables_does_not_show_in_the_bytes(
    tmp_path: Path, kind: type[ParquetWriter | JsonlWriter]
) -> None:
    whole = rows(4_500)
    written = []
    for rows_at_once in (4_500, 1_999, 100):
        writer = kind(tmp_path, f"{rows_at_once}/file", TEXTS)
        for start in range(0, whole.num_rows, rows_at_once):
            writer.write(whole.slice(start, rows_at_once))
        writer.close()
        written.append((tmp_path / writer.path).read_bytes())
        assert writer.rows == 4_500
    assert written == [written[0]] * 3


def test_rows_that_could_not_be_packed_are_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails in the thread that packs ends the export, also where later rows could be packed."""
    pack, full = pq.ParquetWriter.write_table, [OSError("No space left on device")]

    def once(*given: object, **named: object) -> None:
        if full:
            raise full.pop()
        pack(*given, **named)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", once)
    writer = ParquetWriter(tmp_path, "file", TEXTS)
    writer.write(rows(2_000))
    with pytest.raises(OSError, match="No space left"):
        writer.write(rows(2_000))
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_an_export_killed_between_its_renames_is_put_right_by_the_next(
    plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First it is told to stop there, then it is killed there."""
    folder = tmp_path / "corpus"
    kgkit("export", folder, workspace=plant)
    before = bytes_of(folder)
    there = sorted(tmp_path.iterdir())
    rename = Path.replace

    def stopped(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stopped)
        kgkit("export", folder, workspace=plant, code=130)
        assert bytes_of(folder) == before
        patched.setattr("kgkit.corpora.folder._put_right", lambda _: None)
        kgkit("export", folder, workspace=plant, code=130)
    assert not folder.exists()
    kgkit("export", folder, workspace=plant)
    assert bytes_of(folder) == before
    assert sorted(tmp_path.iterdir()) == there


def test_what_a_person_edited_outlives_a_kill(plant: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    kgkit("export", folder, workspace=plant)
    _append(folder / "README.md")
    edited = bytes_of(folder)
    folder.rename(tmp_path / ".corpus.kgkit-old")
    kgkit("export", folder, workspace=plant, code=2)
    assert bytes_of(folder) == edited


def test_a_link_to_a_folder_goes_on_leading_to_it(plant: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "corpus"
    link.symlink_to(tmp_path / "disk")
    kgkit("export", link, workspace=plant)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "README.md").exists()


def test_the_folder_one_is_in_is_refused_by_name(
    plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert "is the folder you are in" in kgkit("export", ".", workspace=plant, code=2).err


def test_another_export_in_the_same_place_is_not_read_from_the_cache_of_the_first(
    plant: Path, tmp_path: Path
) -> None:
    import datasets

    folder, cache = tmp_path / "corpus", tmp_path / "cache"

    def rows() -> int:
        found = datasets.load_dataset(str(folder), "relevance", split="train", cache_dir=str(cache))
        return len(found)

    kgkit("export", folder, workspace=plant)
    first = rows()
    kgkit("load", matrix_file(tmp_path, "Failure Mode,vibration\njam,x\n"), workspace=plant)
    kgkit("export", folder, workspace=plant)
    assert (first, rows()) == (9, 1)
