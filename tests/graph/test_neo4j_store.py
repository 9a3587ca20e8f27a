"""What the server store alone must bear: other owners, wrong addresses, a commit whose answer is lost."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from kgkit.errors import KgkitError, ServiceError, UsageError
from kgkit.graph.neo4j_database import schema_statements, shown_address
from kgkit.graph.open import open_store
from kgkit.records import Subgraph
from kgkit.settings import Settings
from tests.graph.conftest import OWNER, Open, settings_for
from tests.graph.graphs import node, pump
from tests.integration.neo4j_server import Server

COMMIT = b"\x00\x02\xb0\x12\x00\x00"  # a Bolt message: an empty structure with tag 0x12


class CommitCutter:
    """A proxy on loopback that passes a COMMIT on and cuts the line before the answer, `cuts` times."""

    def __init__(self, port: int, *, cuts: int) -> None:
        self.left = cuts
        self.ends: list[socket.socket] = []
        self.server_port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self.ends += [client, server]
                armed = threading.Event()
                for source, sink, upward in ((client, server, True), (server, client, False)):
                    arguments = (source, sink, armed, upward)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, armed: threading.Event, upward: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if upward and COMMIT in data and self.left:
                    self.left -= 1
                    armed.set()
                if not upward and armed.is_set():
                    break
                sink.sendall(data)
        for end in (source, sink):  # shutdown, not close: the other thread waits on these sockets
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutter(server: Server, *, cuts: int) -> Iterator[CommitCutter]:
    proxy = CommitCutter(server.bolt_port, cuts=cuts)
    try:
        yield proxy
    finally:
        for end in (proxy.listener, *proxy.ends):
            end.close()


@pytest.mark.neo4j
def test_a_commit_whose_answer_is_lost_is_done_exactly_once(
    neo4j_server: Server, open_neo4j: Open, neo4j_settings: Settings, tmp_path: Path
):
    direct = open_neo4j()
    direct.merge(pump())
    expected = list(direct.dump())
    direct.clear()
    with cutter(neo4j_server, cuts=0) as proxy:
        store = open_store(
            f"bolt://127.0.0.1:{proxy.port}",
            workspace=tmp_path,
            owner=OWNER,
            settings=neo4j_settings,
        )
        proxy.left = 2
        store.merge(pump())
        assert proxy.left == 0
        store.close()
    assert list(direct.dump()) == expected


@pytest.mark.neo4j
def test_constraints_and_indexes_have_names_and_are_made_once(open_neo4j: Open):
    wanted = set(schema_statements())
    for _ in range(2):
        store = open_neo4j()
        indexes = {
            row["name"] for row in store.query("SHOW INDEXES YIELD name", write=True).dicts()
        }
        assert wanted <= indexes
        store.close()
    assert "kgkit_failure_mode_id" in wanted
    assert all("IF NOT EXISTS" in statement for statement in schema_statements().values())


@pytest.mark.neo4j
def test_another_workspace_does_not_overwrite_the_first_ones_graph(open_neo4j: Open):
    first = open_neo4j()
    first.merge(pump())
    before = list(first.dump())
    with pytest.raises(UsageError, match=f"holds the graph of workspace {OWNER}.*NEO4J_DATABASE"):
        open_neo4j(owner="another")
    with pytest.raises(UsageError, match=f"holds the graph of workspace {OWNER}"):
        open_neo4j(owner="another", read_only=True)
    assert list(first.dump()) == before
    first.clear()
    assert list(open_neo4j(owner="another", read_only=True).dump()) == []
    first.set_state("of the first")
    second = open_neo4j(owner="another")
    assert second.state() == ""
    second.merge(Subgraph(nodes=(node("Asset", "fan"),)))
    with pytest.raises(UsageError, match="holds the graph of workspace another"):
        open_neo4j()


@pytest.mark.neo4j
def test_nodes_that_kgkit_did_not_write_are_left_alone(open_neo4j: Open):
    store = open_neo4j()
    store.query("MATCH (m:KgkitMeta) DELETE m", write=True)
    store.query("CREATE (:Asset {name: 'mine'}), (:Person {name: 'me'})", write=True)
    for read_only in (False, True):
        with pytest.raises(UsageError, match="holds Asset nodes of its own"):
            open_neo4j(read_only=read_only)
    store.query("MATCH (a:Asset) DELETE a", write=True)
    again = open_neo4j()
    again.merge(pump())
    again.clear()
    assert again.query("MATCH (p:Person) RETURN p.name AS name").dicts() == [{"name": "me"}]


@pytest.mark.neo4j
def test_a_database_that_someone_emptied_has_no_state_and_keeps_none(open_neo4j: Open):
    store = open_neo4j()
    store.set_state("made from these tables")
    store.query("MATCH (n) DETACH DELETE n", write=True)
    assert store.state() == ""
    with pytest.raises(KgkitError, match=r"KgkitMeta.* is gone; run `kgkit rebuild`"):
        store.set_state("again")


@pytest.mark.neo4j
def test_what_people_add_in_browser_is_not_in_the_dump(open_neo4j: Open):
    store = open_neo4j()
    store.merge(pump())
    before = list(store.dump())
    store.query("MATCH (a:Asset) SET a.note = 'look', a:Watched", write=True)
    store.query("MATCH (a:Asset) CREATE (:Person)-[:WATCHES]->(a)", write=True)
    assert list(store.dump()) == before


@pytest.mark.neo4j
def test_a_wrong_password_and_a_wrong_database_name_the_setting(
    neo4j_server: Server, tmp_path: Path
):
    wrong = Settings(neo4j_password=SecretStr("canary-wrong"))
    with pytest.raises(
        ServiceError, match="refuses user neo4j: set NEO4J_USERNAME and NEO4J_PASSWORD"
    ) as caught:
        open_store(neo4j_server.uri, workspace=tmp_path, owner=OWNER, settings=wrong)
    assert "canary" not in str(caught.value)
    other = settings_for(neo4j_server).model_copy(update={"neo4j_database": "nosuch"})
    with pytest.raises(ServiceError, match="no database nosuch; set NEO4J_DATABASE"):
        open_store(neo4j_server.uri, workspace=tmp_path, owner=OWNER, settings=other)


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("bolt://127.0.0.1:1", ServiceError, "does not answer .*make neo4j"),
        ("neo4j://127.0.0.1:1", ServiceError, "does not answer .*make neo4j"),
        (
            "bolt://neo4j:canary@127.0.0.1",
            UsageError,
            "holds no user or password; set NEO4J_USERNAME",
        ),
        (
            "redis://user:canary@host",
            UsageError,
            re.escape("store redis://... is unknown; use ladybug"),
        ),
        ("postgres", UsageError, "store 'postgres' is unknown; use ladybug"),
    ],
)
def test_a_wrong_address_says_what_to_do(
    tmp_path: Path, uri: str, error: type[Exception], words: str
):
    with pytest.raises(error, match=words) as caught:
        open_store(uri, workspace=tmp_path, owner=OWNER, settings=Settings())
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "database", "shown"),
    [
        ("bolt://Host", "neo4j", "bolt://host:7687"),
        ("bolt://host:7687/", "Neo4j", "bolt://host:7687"),
        ("NEO4J+S://host:9", "plants", "neo4j+s://host:9/plants"),
        ("neo4j://[::1]?policy=eu", "neo4j", "neo4j://[::1]:7687?policy=eu"),
    ],
)
def test_an_address_has_one_spelling(uri: str, database: str, shown: str):
    assert shown_address(uri, database=database) == shown


def test_a_database_in_the_address_is_refused_since_the_driver_would_ignore_it():
    with pytest.raises(UsageError, match="set NEO4J_DATABASE=plants instead"):
        shown_address("bolt://host:7687/plants", database="neo4j")


@pytest.mark.parametrize("uri", ["bolt://host:port", "bolt://", "bolt://[::1"])
def test_what_is_no_address_is_refused(uri: str):
    with pytest.raises(UsageError, match="write neo4j://host:7687"):
        shown_address(uri, database="neo4j")
