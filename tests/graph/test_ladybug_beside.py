"""Nodes that a process beside writes to a file are read while the file grows."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kgkit.errors import KgkitError
from kgkit.graph import ladybug_beside, ladybug_scan, ladybug_store
from kgkit.graph.ladybug_beside import GrowingFile
from kgkit.graph.ladybug_file import FILE_NAME
from kgkit.graph.store import GraphStore
from kgkit.records import Subgraph
from tests.graph.conftest import Open
from tests.graph.graphs import node

COLUMNS = {"id": "string", "text": "string", "parents": "string[]"}
TEXTS = ['says "stop"', "two\nlines", "a,b", "é 轴承", "", "long " * 2_000]


@pytest.fixture
def graph(open_ladybug: Open, monkeypatch: pytest.MonkeyPatch) -> GraphStore:
    """A reader that scans by a process beside, however small the graph."""
    monkeypatch.setattr(ladybug_store, "_BESIDE_FROM", 0)
    writer = open_ladybug()
    texts = (
        node("Passage", f"p{i:04}", text=TEXTS[i % len(TEXTS)], parents=[f"{i}", TEXTS[i % 4]])
        for i in range(600)
    )
    writer.merge(Subgraph(nodes=tuple(texts)))
    writer.close()
    return open_ladybug(read_only=True)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[str]"]:
    """The processes that were begun."""
    processes: list[subprocess.Popen[str]] = []
    begin = subprocess.Popen

    def kept(*args: Any, **options: Any) -> "subprocess.Popen[str]":
        processes.append(begin(*args, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", kept)
    return processes


def rows(graph: GraphStore) -> list[dict[str, object]]:
    found = graph.scan("Passage", where="n.id <> $no", parameters={"no": "p0007"}, columns=COLUMNS)
    return sorted((row for table in found for row in table.to_pylist()), key=lambda row: row["id"])


@pytest.mark.parametrize("size", [64, 2**20])  # parts of the file end within texts
def test_a_process_beside_gives_what_the_store_gives(
    graph: GraphStore,
    begun: list["subprocess.Popen[str]"],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
):
    monkeypatch.setattr(ladybug_scan, "_BYTES_AT_ONCE", size)
    beside = rows(graph)
    assert len(begun) == 1
    monkeypatch.setattr(ladybug_store, "_BESIDE_FROM", 2**40)
    assert rows(graph) == beside
    assert len(begun) == 1
    assert [row["id"] for row in beside] == [f"p{i:04}" for i in range(600) if i != 7]
    assert {row["text"] for row in beside} == set(TEXTS)


def test_a_scan_that_is_left_ends_its_process(
    graph: GraphStore, begun: list["subprocess.Popen[str]"]
):
    scan = graph.scan("Passage", where="true", parameters={}, columns=COLUMNS)
    next(scan)
    scan.close()  # type: ignore[attr-defined] # a generator
    assert begun[0].poll() is not None


def test_what_goes_wrong_beside_is_said(graph: GraphStore):
    scan = graph.scan("Passage", where="n.nothing = 1", parameters={}, columns=COLUMNS)
    with pytest.raises(KgkitError, match=r"the graph could not be read: .*nothing"):
        list(scan)


@pytest.mark.usefixtures("graph")
def test_a_process_that_is_killed_is_no_end_of_the_file(
    tmp_path: Path, begun: list["subprocess.Popen[str]"]
):
    file = tmp_path / "rows.csv"
    file.write_text("half")
    endless = "UNWIND range(1, 100000000) AS a UNWIND range(1, 1000) AS b RETURN sum(a * b)"
    with (
        ladybug_beside.beside(tmp_path / FILE_NAME, endless, {}, cache_mb=16) as ended,
        GrowingFile(file, ended) as growing,
    ):
        assert growing.read(4) == b"half"
        begun[0].kill()
        with pytest.raises(KgkitError, match="exit status -9"):
            growing.read(1)


def test_a_full_disk_is_said():
    @contextlib.contextmanager
    def copying(_: Path) -> Iterator[Callable[[], bool]]:
        def ended() -> bool:
            raise KgkitError("IO exception: Cannot write to file. Error: No space left on device")

        yield ended

    with pytest.raises(KgkitError, match=r"no room to read nodes .*No space left.* or set TMPDIR"):
        list(ladybug_scan.rows_through_file(copying, COLUMNS))


def pieces(text: bytes) -> Iterator[bytes]:
    for start in range(0, len(text), 7):
        yield text[start : start + 7]


def test_a_growing_file_is_read_to_its_end(tmp_path: Path):
    file, text, whole = tmp_path / "grows", bytes(range(256)) * 4, threading.Event()
    file.touch()

    def write() -> None:
        with file.open("wb", buffering=0) as grows:
            for piece in pieces(text):
                grows.write(piece)
                time.sleep(0.001)
        whole.set()

    writer = threading.Thread(target=write)
    writer.start()
    with GrowingFile(file, whole.is_set) as growing:
        parts = list(iter(lambda: growing.read(100), b""))
    writer.join()
    assert b"".join(parts) == text
    assert [len(part) for part in parts] == [100] * 10 + [24]
