"""The graph in a Neo4j server (community or enterprise, 5.x or later): for Browser, Bloom and shared graphs.

Every merge is one managed transaction that may run twice: the driver repeats it after a transient error or a
lost connection, this store after a commit whose answer was lost; since it only MERGEs and SETs, that does no harm.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from kgkit.errors import KgkitError
from kgkit.graph import check, neo4j_vectors
from kgkit.graph.arrow import arrow_schema
from kgkit.graph.cypher import checked
from kgkit.graph.neo4j_database import (
    check_owner,
    explained,
    make_schema,
    parameters_explained,
    shown_address,
    stamp,
)
from kgkit.graph.neo4j_rows import dump_edges, dump_nodes, plain
from kgkit.graph.store import Rows
from kgkit.graph.vectors import Vector
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph, Value
from kgkit.schemas import graph_spec
from kgkit.settings import Settings

if TYPE_CHECKING:
    import neo4j
    import pyarrow as pa

CONNECT_TIMEOUT_S = 10.0
LOST_COMMITS_MENDED = 5
_SCAN_ROWS = 2_000


class Neo4jStore:
    """A GraphStore in one database of a Neo4j server. `owner` is the workspace's id."""

    def __init__(
        self, uri: str, *, owner: str, settings: Settings, read_only: bool = False
    ) -> None:
        """Connect, make the constraints and stamp the database with `owner`.

        Raises ServiceError when the server does not answer or refuses the user, UsageError when the
        database holds another workspace's graph or nodes that kgkit did not write. With `read_only`
        nothing is made or stamped and the server refuses every write.
        """
        import neo4j

        self.uri = shown_address(uri, database=settings.neo4j_database)
        self._database = settings.neo4j_database
        self._read_only = read_only
        self._write_mode = neo4j.READ_ACCESS if read_only else neo4j.WRITE_ACCESS
        # The driver logs what it raises; without a handler Python would print it twice.
        logging.getLogger("neo4j").addHandler(logging.NullHandler())
        password = settings.neo4j_password
        with explained(self.uri, user=settings.neo4j_username):
            self._driver = neo4j.GraphDatabase.driver(
                uri,
                auth=(settings.neo4j_username, password.get_secret_value() if password else ""),
                user_agent="kgkit",
                connection_timeout=CONNECT_TIMEOUT_S,
                notifications_min_severity="OFF",
            )
        self._user = settings.neo4j_username
        try:
            with self._session(neo4j.READ_ACCESS) as session:
                holder = check_owner(session, owner, uri=self.uri)
            if not read_only:
                with self._session(neo4j.WRITE_ACCESS) as session:
                    make_schema(session)
                    if holder != owner:
                        stamp(session, owner)
        except BaseException:
            self.close()
            raise

    def merge(self, subgraph: Subgraph) -> None:
        """See GraphStore.merge."""
        checked = check.batches(subgraph)

        def work(transaction: "neo4j.ManagedTransaction") -> None:
            for nodes in checked.nodes:
                _merge_nodes(transaction, nodes)
            for edges in checked.edges:
                _merge_edges(transaction, edges)

        self._write(work)

    def delete(self, *, nodes: Iterable[NodeKey] = (), edges: Iterable[EdgeKey] = ()) -> None:
        """See GraphStore.delete."""
        edge_batches = list(check.edge_key_batches(edges))
        node_batches = list(check.node_key_batches(nodes))

        def work(transaction: "neo4j.ManagedTransaction") -> None:
            for kind, edge_rows in edge_batches:
                rows = [_edge_key(kind, row) for row in edge_rows]
                transaction.run(
                    f"UNWIND $rows AS row MATCH (a:`{kind.start}` {{id: row.start}}) "
                    f"MATCH (b:`{kind.end}` {{id: row.end}}) "
                    f"MATCH (a)-[r:`{kind.type}` {_key_map(kind)}]->(b) DELETE r",
                    rows=rows,
                ).consume()
            for node_kind, node_rows in node_batches:
                transaction.run(
                    f"UNWIND $ids AS id MATCH (n:`{node_kind.label}` {{id: id}}) DETACH DELETE n",
                    ids=[row.id for row in node_rows],
                ).consume()
                gone = [NodeKey(label=node_kind.label, id=row.id) for row in node_rows]
                neo4j_vectors.remove(transaction, gone)

        self._write(work)

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, Value | list[dict[str, Value]]] | None = None,
        *,
        write: bool = False,
    ) -> Rows:
        """See GraphStore.query."""
        import neo4j

        given = checked(cypher, parameters, write=write)

        def work(transaction: "neo4j.ManagedTransaction") -> Rows:
            result = transaction.run(cypher, given)
            columns = tuple(result.keys())
            rows = tuple(tuple(plain(cell) for cell in record.values()) for record in result)
            return Rows(columns=columns, rows=rows)

        with (
            parameters_explained(),
            self._session(self._write_mode if write else neo4j.READ_ACCESS) as session,
        ):
            if write and not self._read_only:
                return session.execute_write(work)
            return session.execute_read(work)

    def scan(
        self,
        label: str,
        *,
        where: str,
        parameters: Mapping[str, Value],
        columns: Mapping[str, str],
    ) -> Iterator["pa.Table"]:
        """See GraphStore.scan. One statement, whose answer the server sends as it is read."""
        import neo4j
        import pyarrow as pa

        nothing = {"string": "''", "string[]": "[]"}
        returned = ", ".join(
            f"coalesce(n.`{name}`, {nothing[type_]})" for name, type_ in columns.items()
        )
        cypher = f"MATCH (n:`{label}`) WHERE {where} RETURN {returned}"
        given, schema = checked(cypher, parameters, write=False), arrow_schema(columns)
        with (
            parameters_explained(),
            self._session(neo4j.READ_ACCESS) as session,
            session.begin_transaction() as transaction,
        ):
            result = transaction.run(cypher, given)
            while rows := list(islice(result, _SCAN_ROWS)):
                cells = zip(*(record.values() for record in rows), strict=True)
                arrays = [
                    pa.array(some, type_) for some, type_ in zip(cells, schema.types, strict=True)
                ]
                yield pa.table(arrays, schema=schema)

    def dump(self) -> Iterator[Node | Edge]:
        """See GraphStore.dump."""
        import neo4j

        spec = graph_spec()
        with (
            self._session(neo4j.READ_ACCESS) as session,
            session.begin_transaction() as transaction,
        ):
            for kind in check.node_kinds(spec):
                yield from dump_nodes(transaction, kind)
            for edge_kind in check.edge_kinds(spec):
                yield from dump_edges(transaction, edge_kind)

    def clear(self) -> None:
        """See GraphStore.clear. In transactions of 10,000 nodes, so that any graph fits in memory."""
        self._set_state("")  # first: what a broken-off clear leaves is no graph of known inputs
        with self._session(self._write_mode) as session:
            for label in sorted(graph_spec().nodes):
                session.run(
                    f"MATCH (n:`{label}`) CALL {{ WITH n DETACH DELETE n }} "
                    f"IN TRANSACTIONS OF {check.BATCH_ROWS} ROWS"
                ).consume()
            neo4j_vectors.clear(session)

    def state(self) -> str:
        """See GraphStore.state."""
        import neo4j

        with self._session(neo4j.READ_ACCESS) as session:
            found = session.run("MATCH (m:KgkitMeta {id: 'kgkit'}) RETURN m.state").single()
        return str(found[0] or "") if found else ""

    def set_state(self, state: str) -> None:
        """See GraphStore.set_state."""
        if not self._set_state(state):
            raise KgkitError(
                f"{self.uri}: the graph's own node (KgkitMeta) is gone; run `kgkit rebuild`"
            )

    def _set_state(self, state: str) -> int:
        bound: list[int] = []

        def work(transaction: "neo4j.ManagedTransaction") -> None:
            found = transaction.run(
                "MATCH (m:KgkitMeta {id: 'kgkit'}) SET m.state = $state RETURN count(m)",
                state=state,
            )
            bound[:] = found.single(strict=True)

        self._write(work)
        return bound[0]

    def vectors_of(self) -> str:
        """See GraphStore.vectors_of."""
        import neo4j

        with self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(neo4j_vectors.model_of)

    def prepare_vectors(self, *, model: str, dimensions: int) -> None:
        """See GraphStore.prepare_vectors."""
        with self._session(self._write_mode) as session:
            neo4j_vectors.make_index(session, model=model, dimensions=dimensions)

    def vector_marks(self, ids: Sequence[str]) -> dict[str, str]:
        """See GraphStore.vector_marks."""
        import neo4j

        with self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(neo4j_vectors.marks, ids)

    def merge_vectors(self, vectors: Sequence[Vector]) -> None:
        """See GraphStore.merge_vectors."""
        self._write(lambda transaction: neo4j_vectors.merge(transaction, vectors))

    def close(self) -> None:
        """See GraphStore.close."""
        self._driver.close()

    @contextlib.contextmanager
    def _session(self, mode: str) -> Iterator["neo4j.Session"]:
        with (
            explained(self.uri, user=self._user, database=self._database),
            self._driver.session(database=self._database, default_access_mode=mode) as session,
        ):
            yield session

    def _write(self, work: Callable[["neo4j.ManagedTransaction"], None]) -> None:
        """Run `work`, which must be idempotent, until its commit is known to have happened."""
        from neo4j import exceptions

        with self._session(self._write_mode) as session:
            if self._read_only:
                session.execute_read(work)  # the server refuses the first write
                return
            for left in reversed(range(LOST_COMMITS_MENDED + 1)):
                try:
                    session.execute_write(work)
                except exceptions.IncompleteCommit:  # neither done nor undone: do it again
                    if not left:
                        raise
                else:
                    return


def _merge_nodes(transaction: "neo4j.ManagedTransaction", batch: check.NodeBatch) -> None:
    label = batch.kind.label
    for teacher, setting in _settings("n").items():
        rows = [
            {"id": row.id, "properties": {**row.properties, "id": row.id}}
            for row in batch.rows
            if (row.properties.get("origin") == "teacher") is teacher
        ]
        bound = _bound(
            transaction,
            f"UNWIND $rows AS row MERGE (n:`{label}` {{id: row.id}}) {setting} RETURN count(n)",
            rows,
        )
        if bound != len(rows):
            raise KgkitError(
                f"{label}: {bound} of {len(rows)} nodes were written; run the command again"
            )


def _merge_edges(transaction: "neo4j.ManagedTransaction", batch: check.EdgeBatch) -> None:
    kind = batch.kind
    match = (
        f"UNWIND $rows AS row MATCH (a:`{kind.start}` {{id: row.start}}) "
        f"MATCH (b:`{kind.end}` {{id: row.end}})"
    )
    for teacher, setting in _settings("r").items():
        chosen = [
            row for row in batch.rows if (row.properties.get("origin") == "teacher") is teacher
        ]
        rows = [
            {
                **_edge_key(kind, row),
                "properties": {**row.properties, **dict(zip(kind.key, row.extra, strict=True))},
            }
            for row in chosen
        ]
        merge = (
            f"{match} MERGE (a)-[r:`{kind.type}` {_key_map(kind)}]->(b) {setting} RETURN count(r)"
        )
        if _bound(transaction, merge, rows) != len(rows):
            raise _missing_end(transaction, match, batch)


def _settings(variable: str) -> dict[bool, str]:
    """How a bound row is written, by whether a teacher says so: its word never replaces a table's or an expert's."""
    guard = f"CASE WHEN {variable}.origin IN ['table', 'expert'] THEN [] ELSE [0] END"
    return {
        False: f"SET {variable} = row.properties",
        True: f"FOREACH (_ IN {guard} | SET {variable} = row.properties)",
    }


def _bound(transaction: "neo4j.ManagedTransaction", cypher: str, rows: list[dict[str, Any]]) -> int:
    if not rows:
        return 0
    # Statements are made of labels, types and property names of schemas/graph.yaml alone.
    record = transaction.run(cypher, rows=rows).single(strict=True)
    return int(record[0])


def _missing_end(
    transaction: "neo4j.ManagedTransaction", match: str, batch: check.EdgeBatch
) -> KgkitError:
    rows = [_edge_key(batch.kind, row) for row in batch.rows]
    found = transaction.run(f"{match} RETURN row.start, row.end", rows=rows)
    bound = {tuple(record.values()) for record in found}
    return check.missing_end(batch.kind, batch.rows, bound)


def _edge_key(kind: check.EdgeKind, row: check.EdgeRow) -> dict[str, Any]:
    keys = {f"k{i}": row.extra[i] for i in range(len(kind.key))}
    return {"start": row.start, "end": row.end, **keys}


def _key_map(kind: check.EdgeKind) -> str:
    pairs = ", ".join(f"`{name}`: row.k{i}" for i, name in enumerate(kind.key))
    return f"{{{pairs}}}" if pairs else ""
