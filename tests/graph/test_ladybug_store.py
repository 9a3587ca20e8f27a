"""What the file store alone must bear: other processes, crashes, broken files, memory."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.graph import reading
from kgkit.graph.dump import dump_sha256
from kgkit.graph.ladybug_file import FILE_NAME
from kgkit.graph.ladybug_store import LadybugStore
from kgkit.lock import hold
from kgkit.records import Subgraph
from tests.graph.conftest import OWNER, Open
from tests.graph.graphs import node, pump

WRITER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from kgkit.graph.ladybug_store import LadybugStore
from kgkit.lock import hold
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph

path = Path(sys.argv[1])
stack = ExitStack()
stack.enter_context(hold(path.parent / "workspace.lock"))
store = LadybugStore(path, owner=sys.argv[2])
print("open", flush=True)
for round in range(int(sys.argv[3])):
    keys = [NodeKey(label="Passage", id=f"{round:04}-{i:04}") for i in range(200)]
    nodes = tuple(Node(key=key, properties={"text": "t" * 500, "origin": "teacher"}) for key in keys)
    edges = tuple(
        Edge(key=EdgeKey(type="DERIVED_FROM", start=one, end=keys[0]), properties={}) for one in keys
    )
    store.merge(Subgraph(nodes=nodes, edges=edges))
    print(round, flush=True)
sys.stdin.read()
"""


def writer(path: Path, rounds: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), OWNER, str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(process: "subprocess.Popen[str]") -> str:
    """Kill -9; what it had printed and nobody had read."""
    os.kill(process.pid, signal.SIGKILL)
    return process.communicate()[0]


@pytest.mark.parametrize("rounds_seen", [1, 4])
def test_a_killed_writer_leaves_whole_merges_and_none_that_it_reported_is_lost(
    tmp_path: Path, open_ladybug: Open, rounds_seen: int
):
    process = writer(tmp_path / FILE_NAME, 10_000)
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(rounds_seen + 1)]
    reported = len(seen) - 1 + len(kill(process).splitlines())
    counts = (
        open_ladybug()
        .query(
            "MATCH (p:Passage)-[r:DERIVED_FROM]->(:Passage) RETURN substring(p.id, 1, 4) AS round, count(r) AS n"
        )
        .dicts()
    )
    assert {row["n"] for row in counts} == {200}
    assert reported <= len(counts) <= reported + 1


def test_a_file_in_use_says_so_but_can_be_read(tmp_path: Path, open_ladybug: Open):
    process = writer(tmp_path / FILE_NAME, 1)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["open\n", "0\n"]
    try:
        with pytest.raises(
            KgkitError, match=r"graph\.ladybug is in use by another process .*wait for it"
        ):
            open_ladybug()
        assert not list(tmp_path.glob("*broken*"))
        reader = open_ladybug(read_only=True)
        assert reader.query("MATCH (p:Passage) RETURN count(p) AS n").rows == ((200,),)
    finally:
        kill(process)


def test_a_reader_beside_a_writer_reads_whole_merges_and_never_finds_the_file_broken(
    tmp_path: Path, open_ladybug: Open
):
    process = writer(tmp_path / FILE_NAME, 10_000)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["open\n", "0\n"]
    found: list[object] = []
    refused: list[str] = []
    try:
        for _ in range(6):
            try:
                reader = open_ladybug(read_only=True)
            except KgkitError as error:
                refused.append(str(error))
            else:
                rows = reader.query("MATCH (:Passage)-[r:DERIVED_FROM]->() RETURN count(r) AS n")
                found += [row["n"] for row in rows.dicts()]
                reader.close()
    finally:
        kill(process)
    assert [why for why in refused if "being written by another process (process" not in why] == []
    assert [edges for edges in found if edges not in range(200, 2_000_000, 200)] == []
    assert len(found) >= 3


def overwritten(content: bytes) -> bytes:
    return content[:4096] + b"\xff" * (len(content) - 4096)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def text(content: bytes) -> bytes:
    return b"not a graph" * (len(content) // 11)


def another_version(content: bytes) -> bytes:
    return content[:8] + b"\x01" + content[9:]


def empty(content: bytes) -> bytes:
    return content[:0]


BREAKS = [empty, text, overwritten, truncated, another_version]


def break_it(path: Path, how: Callable[[bytes], bytes]) -> bytes:
    content = how(path.read_bytes())
    path.write_bytes(content)
    return content


@pytest.mark.parametrize("how", BREAKS)
def test_a_writer_sets_a_broken_file_aside_and_begins_anew(
    tmp_path: Path,
    open_ladybug: Open,
    caplog: pytest.LogCaptureFixture,
    how: Callable[[bytes], bytes],
):
    store = open_ladybug()
    store.merge(pump())
    store.set_state("made from these tables")
    store.close()
    content = break_it(tmp_path / FILE_NAME, how)
    store = open_ladybug()
    assert (list(store.dump()), store.state()) == ([], "")
    store.merge(pump())
    assert (tmp_path / f"{FILE_NAME}.broken-1").read_bytes() == content
    [record] = caplog.records
    assert (record.name, record.levelno) == ("kgkit", logging.WARNING)
    assert "is broken (" in record.message
    assert f"it is kept as {tmp_path / FILE_NAME}.broken-1" in record.message


def test_every_broken_file_is_kept_with_its_log(tmp_path: Path, open_ladybug: Open):
    open_ladybug().close()
    for number in (1, 2):
        (tmp_path / f"{FILE_NAME}.wal").write_bytes(b"log %d" % number * 100)
        store = open_ladybug()
        assert store.state() == ""
        store.close()
        kept = tmp_path / f"{FILE_NAME}.broken-{number}"
        assert kept.exists()
        assert kept.with_name(kept.name + ".wal").read_bytes() == b"log %d" % number * 100


def test_a_log_without_its_file_is_not_taken_for_the_new_file_s(tmp_path: Path, open_ladybug: Open):
    (tmp_path / f"{FILE_NAME}.wal").write_bytes(b"of another graph")
    store = open_ladybug()
    store.merge(pump())
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        FILE_NAME,
        f"{FILE_NAME}.broken-1.wal",
    ]


@pytest.mark.parametrize("how", [empty, truncated])
def test_a_reader_of_a_broken_file_names_the_remedy(
    tmp_path: Path,
    open_ladybug: Open,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[bytes], bytes],
):
    monkeypatch.setattr("kgkit.graph.ladybug_file.READ_WAIT_S", 0.0)
    open_ladybug().close()
    content = break_it(tmp_path / FILE_NAME, how)
    with pytest.raises(KgkitError, match=r"graph\.ladybug is broken .*run `kgkit rebuild`"):
        open_ladybug(read_only=True)
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME}
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_what_looks_broken_while_the_workspace_is_held_is_being_written(
    tmp_path: Path, open_ladybug: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("kgkit.graph.ladybug_file.READ_WAIT_S", 0.0)
    open_ladybug().close()
    break_it(tmp_path / FILE_NAME, truncated)
    held = f"being written by another process .process {os.getpid()} on .*try again when it has"
    with hold(tmp_path / "workspace.lock"), pytest.raises(KgkitError, match=held):
        open_ladybug(read_only=True)
    with pytest.raises(KgkitError, match="is broken"):
        open_ladybug(read_only=True)


def test_a_file_that_may_not_be_written_is_not_set_aside(
    tmp_path: Path, open_ladybug: Open, monkeypatch: pytest.MonkeyPatch
):
    open_ladybug().close()
    monkeypatch.setattr("os.access", lambda _path, mode: not mode & os.W_OK)
    with pytest.raises(KgkitError, match=r"graph\.ladybug may not be written"):
        open_ladybug()
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME}
    open_ladybug(read_only=True)


def test_a_file_of_another_schema_is_set_aside_by_a_writer_and_refused_to_a_reader(
    tmp_path: Path,
    open_ladybug: Open,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    store = open_ladybug()
    store.merge(pump())
    store.close()
    from kgkit.schemas import graph_spec

    other = graph_spec().model_copy(update={"version": graph_spec().version + 1})
    monkeypatch.setattr("kgkit.graph.ladybug_file.graph_spec", lambda: other)
    monkeypatch.setattr("kgkit.graph.ladybug_file.READ_WAIT_S", 0.0)
    words = r"made with another schemas/graph\.yaml"
    with pytest.raises(KgkitError, match=words + "; run `kgkit rebuild`"):
        open_ladybug(read_only=True)
    assert list(open_ladybug().dump()) == []
    assert "another schemas/graph.yaml" in caplog.text
    assert (tmp_path / f"{FILE_NAME}.broken-1").exists()


def test_reading_a_graph_that_was_never_made_says_what_to_run(open_ladybug: Open):
    with pytest.raises(KgkitError, match="there is no graph yet; run `kgkit load` first"):
        open_ladybug(read_only=True)


def test_a_crash_while_making_the_file_leaves_no_half_schema(tmp_path: Path, open_ladybug: Open):
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half")
    (tmp_path / f"{FILE_NAME}.new.wal").write_bytes(b"half")
    open_ladybug().merge(pump())
    assert sorted(path.name for path in tmp_path.glob("*.new*")) == []


def test_a_closed_store_says_so(open_ladybug: Open):
    store = open_ladybug()
    store.close()
    store.close()
    with pytest.raises(KgkitError, match="is closed; open it again"):
        store.query("RETURN 1")


def test_many_merges_do_not_pile_up_memory(open_ladybug: Open):
    store = open_ladybug()

    def merge_often(times: int) -> int:
        for _ in range(times):
            nodes = (node("Passage", f"p{i}", text="x" * 1_000) for i in range(500))
            store.merge(Subgraph(nodes=tuple(nodes)))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

    before = merge_often(20)
    assert merge_often(100) - before < 40  # 100 tables that stay are 60 MB


@pytest.mark.parametrize("cache_mb", [1, 16])  # too small to open the file, for an answer
def test_a_reader_whose_cache_is_too_small_answers_as_the_writer_did(
    open_ladybug: Open, monkeypatch: pytest.MonkeyPatch, cache_mb: int
):
    monkeypatch.setattr("kgkit.graph.ladybug_store.CACHE_MB", cache_mb)
    everything = "MATCH (p:Passage) RETURN p.id, p.text ORDER BY p.text"
    store = open_ladybug()
    texts = (node("Passage", f"p{i}", role="source", text=f"{i} " * 2_000) for i in range(2_500))
    store.merge(Subgraph(nodes=tuple(texts)))
    told = store.query(everything), list(reading.passages(store)), dump_sha256(store)
    store.close()
    readers = [open_ladybug(read_only=True) for _ in told]
    assert told == (
        readers[0].query(everything),
        list(reading.passages(readers[1])),
        dump_sha256(readers[2]),
    )


def test_the_dump_does_not_depend_on_the_order_of_writing(tmp_path: Path, open_ladybug: Open):
    store = open_ladybug()
    store.merge(pump())
    first = dump_sha256(store)
    store.clear()
    for item in pump().nodes[::-1]:
        store.merge(Subgraph(nodes=(item,)))
    store.merge(Subgraph(edges=pump().edges[::-1]))
    assert dump_sha256(store) == first
    assert store.uri == f"ladybug:{tmp_path / FILE_NAME}"


def test_the_uri_does_not_depend_on_how_the_path_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with closing(LadybugStore(Path("work/../graph.ladybug"), owner=OWNER)) as store:
        assert store.uri == f"ladybug:{tmp_path / FILE_NAME}"
