"""What the file store alone must bear: other processes, crashes, broken files, memory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.graph.dump import dump_sha256
from kgkit.graph.ladybug_store import FILE_NAME
from kgkit.records import Subgraph
from tests.graph.conftest import OWNER, Open
from tests.graph.graphs import node, pump

WRITER = """
import sys
from pathlib import Path
from kgkit.graph.ladybug_store import LadybugStore
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph

store = LadybugStore(Path(sys.argv[1]), owner=sys.argv[2])
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


@pytest.mark.parametrize("rounds_seen", [1, 3, 6])
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
        reader = open_ladybug(read_only=True)
        assert reader.query("MATCH (p:Passage) RETURN count(p) AS n").rows == ((200,),)
    finally:
        kill(process)


def overwritten(content: bytes) -> bytes:
    return content[:4096] + b"\xff" * (len(content) - 4096)


@pytest.mark.parametrize(
    "broken",
    [b"", b"not a graph" * 500, overwritten],
    ids=["empty", "text", "overwritten"],
)
def test_a_broken_file_names_the_remedy(tmp_path: Path, open_ladybug: Open, broken):
    path = tmp_path / FILE_NAME
    store = open_ladybug()
    store.merge(pump())
    store.close()
    path.write_bytes(broken if isinstance(broken, bytes) else broken(path.read_bytes()))
    with pytest.raises(KgkitError, match=r"graph\.ladybug is broken .*run `kgkit rebuild`"):
        open_ladybug()


def test_another_schema_asks_for_a_rebuild(open_ladybug: Open, monkeypatch: pytest.MonkeyPatch):
    open_ladybug().close()
    from kgkit.schemas import graph_spec

    other = graph_spec().model_copy(update={"version": graph_spec().version + 1})
    monkeypatch.setattr("kgkit.graph.ladybug_store.graph_spec", lambda: other)
    with pytest.raises(KgkitError, match=r"another schemas/graph\.yaml; run `kgkit rebuild`"):
        open_ladybug()


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
