"""The graph in one file, `graph.ladybug`: the embedded store, no server needed.

A table per label and per relationship type (ladybug_file.py makes them). Every call works on a connection of
its own, because a ladybug connection keeps each Arrow table that it ever scanned (500 rows of 1 kB, 2,000
times: 1.3 GB against none).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kgkit.errors import KgkitError
from kgkit.graph import check, ladybug_vectors
from kgkit.graph.cypher import checked
from kgkit.graph.ladybug_beside import Ended, beside
from kgkit.graph.ladybug_file import (
    CACHE_MB,
    CacheFullError,
    execute,
    open_to_read,
    open_to_write,
    plain,
    rows_of,
)
from kgkit.graph.ladybug_rows import edge_table, node_table
from kgkit.graph.ladybug_scan import copy, copy_statement, rows_through_file
from kgkit.graph.store import Rows
from kgkit.graph.vectors import Vector
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph, Value
from kgkit.schemas import graph_spec

if TYPE_CHECKING:
    import ladybug
    import pyarrow as pa

_BESIDE_FROM = 100 * 2**20
"""Size of the graph's file from which on a scan is worth a process that begins: it takes a tenth of a second."""
_A = TypeVar("_A")


class LadybugStore:
    """A GraphStore in the file `path`, made when it is not there. `owner` is the workspace's id.

    A reader has a cache of CACHE_MB until an answer does not fit; from then on, and for a writer, it is as large as ladybug wants.
    """

    def __init__(self, path: Path, *, owner: str, read_only: bool = False) -> None:
        """Open or make the file; see open_to_read and open_to_write for what goes wrong."""
        self._path = path.resolve()
        self.uri = f"ladybug:{self._path}"
        self._small_cache = False
        self._database: ladybug.Database | None = (
            self._open_to_read() if read_only else open_to_write(self._path, owner=owner)
        )

    def merge(self, subgraph: Subgraph) -> None:
        """See GraphStore.merge."""
        checked = check.batches(subgraph)
        with self._connection() as connection, _transaction(connection):
            for nodes in checked.nodes:
                _merge_nodes(connection, nodes)
            for edges in checked.edges:
                _merge_edges(connection, edges)

    def delete(self, *, nodes: Iterable[NodeKey] = (), edges: Iterable[EdgeKey] = ()) -> None:
        """See GraphStore.delete."""
        with self._connection() as connection, _transaction(connection):
            for kind, edge_rows in check.edge_key_batches(edges):
                keys = edge_table(kind, edge_rows, {})
                _run(connection, f"{_match_edge(kind)} DELETE r", keys)
            for node_kind, rows in check.node_key_batches(nodes):
                keys = node_table(rows, {})
                _run(
                    connection,
                    f"LOAD FROM $rows MATCH (n:`{node_kind.label}` {{id: id}}) DETACH DELETE n",
                    keys,
                )
                gone = [NodeKey(label=node_kind.label, id=row.id) for row in rows]
                ladybug_vectors.remove(connection, gone)

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, Value | list[dict[str, Value]]] | None = None,
        *,
        write: bool = False,
    ) -> Rows:
        """See GraphStore.query."""
        given = checked(cypher, parameters, write=write)

        def work(connection: "ladybug.Connection") -> Rows:
            result = execute(connection, cypher, given)
            columns = tuple(result.get_column_names())
            rows = tuple(tuple(plain(cell) for cell in row) for row in rows_of(result))
            return Rows(columns=columns, rows=rows)

        return self._answer(work, write=write)

    def scan(
        self,
        label: str,
        *,
        where: str,
        parameters: Mapping[str, Value],
        columns: Mapping[str, str],
    ) -> Iterator["pa.Table"]:
        """See GraphStore.scan."""
        given = checked(f"MATCH (n) WHERE {where} RETURN n", parameters, write=False)

        @contextlib.contextmanager
        def copying(file: Path) -> Iterator[Ended]:
            statement = copy_statement(file, label, where=where, columns=columns)
            if self._small_cache and self._path.stat().st_size > _BESIDE_FROM:
                with beside(self._path, statement, given, cache_mb=CACHE_MB) as ended:
                    yield ended
            else:
                self._answer(lambda connection: copy(connection, statement, given))
                yield lambda: True

        return rows_through_file(copying, columns)

    def dump(self) -> Iterator[Node | Edge]:
        """See GraphStore.dump."""
        self._enlarge_cache()  # a table is ordered in memory
        spec = graph_spec()
        with self._connection() as connection, _transaction(connection, read_only=True):
            for kind in check.node_kinds(spec):
                yield from _dump_nodes(connection, kind)
            for edge_kind in check.edge_kinds(spec):
                yield from _dump_edges(connection, edge_kind)

    def clear(self) -> None:
        """See GraphStore.clear."""
        with self._connection() as connection, _transaction(connection):
            for label in sorted(graph_spec().nodes):
                execute(connection, f"MATCH (n:`{label}`) DETACH DELETE n")
            ladybug_vectors.clear(connection)
            _set_state(connection, "")

    def state(self) -> str:
        """See GraphStore.state."""
        with self._connection() as connection:
            [[state]] = rows_of(execute(connection, "MATCH (m:KgkitMeta) RETURN m.state"))
        return str(state)

    def set_state(self, state: str) -> None:
        """See GraphStore.set_state."""
        with self._connection() as connection, _transaction(connection):
            _set_state(connection, state)

    def vectors_of(self) -> str:
        """See GraphStore.vectors_of."""
        return self._answer(ladybug_vectors.model_of)

    def prepare_vectors(self, *, model: str, dimensions: int) -> None:
        """See GraphStore.prepare_vectors. Not in one transaction: ladybug makes no table anew in which it was dropped."""
        with self._connection() as connection:
            ladybug_vectors.prepare(connection, model=model, dimensions=dimensions)

    def vector_marks(self, ids: Sequence[str]) -> dict[str, str]:
        """See GraphStore.vector_marks."""
        return self._answer(lambda connection: ladybug_vectors.marks(connection, ids))

    def merge_vectors(self, vectors: Sequence[Vector]) -> None:
        """See GraphStore.merge_vectors."""
        with self._connection() as connection, _transaction(connection):
            ladybug_vectors.merge(connection, vectors)

    def close(self) -> None:
        """See GraphStore.close."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _answer(self, work: Callable[["ladybug.Connection"], _A], *, write: bool = False) -> _A:
        """What `work` gives in a transaction of its own; done again where a reader's cache was too small."""
        try:
            with self._connection() as connection, _transaction(connection, read_only=not write):
                return work(connection)
        except CacheFullError:
            if not self._small_cache:
                raise
        self._enlarge_cache()
        return self._answer(work)

    def _open_to_read(self) -> "ladybug.Database":
        with contextlib.suppress(CacheFullError):  # a long log is replayed into memory
            database = open_to_read(self._path, cache_mb=CACHE_MB)
            self._small_cache = True
            return database
        return open_to_read(self._path, cache_mb=None)

    def _enlarge_cache(self) -> None:
        if self._small_cache and self._database is not None:
            larger = open_to_read(self._path, cache_mb=None)
            self._database.close()
            self._database, self._small_cache = larger, False

    @contextlib.contextmanager
    def _connection(self) -> Iterator["ladybug.Connection"]:
        import ladybug

        if self._database is None:
            raise KgkitError(f"{self.uri} is closed; open it again")
        connection = ladybug.Connection(self._database)
        try:
            yield connection
        finally:
            connection.close()


def _set_state(connection: "ladybug.Connection", state: str) -> None:
    execute(connection, "MATCH (m:KgkitMeta) SET m.state = $state", {"state": state})


@contextlib.contextmanager
def _transaction(connection: "ladybug.Connection", *, read_only: bool = False) -> Iterator[None]:
    execute(connection, "BEGIN TRANSACTION READ ONLY" if read_only else "BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        with contextlib.suppress(KgkitError):  # a failed statement has rolled back already
            execute(connection, "ROLLBACK")
        raise
    execute(connection, "COMMIT")


def _run(connection: "ladybug.Connection", cypher: str, table: "pa.Table") -> list[list[Any]]:
    """The rows that `cypher`, which begins with LOAD FROM $rows, gives for `table`."""
    return list(rows_of(execute(connection, cypher, {"rows": table})))


def _merge_nodes(connection: "ladybug.Connection", batch: check.NodeBatch) -> None:
    kind = batch.kind
    match = f"LOAD FROM $rows MATCH (n:`{kind.label}` {{id: id}})"
    values = ", ".join(f"n.`{name}`" for name in kind.columns)
    there = {
        id_: _present(kind.columns, cells)
        for id_, *cells in _run(
            connection, f"{match} RETURN n.id, {values}", node_table(batch.rows, {})
        )
    }
    new = [row for row in batch.rows if row.id not in there]
    changed = [
        row for row in batch.rows if row.id in there and _replaces(row.properties, there[row.id])
    ]
    cells = ", ".join(f"`{name}`: c{i}" for i, name in enumerate(kind.columns))
    create = f"LOAD FROM $rows CREATE (n:`{kind.label}` {{id: id, {cells}}})"
    _write(connection, create, new, kind.label, kind.columns)
    columns = _differing(kind.columns, ((row.properties, there[row.id]) for row in changed))
    settings = ", ".join(f"n.`{name}` = c{i}" for i, name in enumerate(columns))
    _write(connection, f"{match} SET {settings}", changed, kind.label, columns)


def _write(
    connection: "ladybug.Connection",
    cypher: str,
    rows: list[check.NodeRow],
    label: str,
    columns: Mapping[str, str],
) -> None:
    if rows:
        [[bound]] = _run(connection, f"{cypher} RETURN count(*)", node_table(rows, columns))
        if bound != len(rows):
            raise KgkitError(
                f"{label}: {bound} of {len(rows)} nodes were written; run `kgkit rebuild`"
            )


def _merge_edges(connection: "ladybug.Connection", batch: check.EdgeBatch) -> None:
    kind = batch.kind
    keys = ", ".join(["a.id", "b.id", *(f"r.`{name}`" for name in (*kind.key, *kind.columns))])
    width = 2 + len(kind.key)
    there = {
        tuple(cells[:width]): _present(kind.columns, cells[width:])
        for cells in _run(
            connection, f"{_match_edge(kind)} RETURN {keys}", edge_table(kind, batch.rows, {})
        )
    }
    found = {(row.start, row.end, *row.extra): row for row in batch.rows}
    new = [row for key, row in found.items() if key not in there]
    changed = [
        row for key, row in found.items() if key in there and _replaces(row.properties, there[key])
    ]
    cells = ", ".join(
        [f"`{name}`: k{i}" for i, name in enumerate(kind.key)]
        + [f"`{name}`: c{i}" for i, name in enumerate(kind.columns)]
    )
    if new:
        create = f"{_MATCH_ENDS.format(kind=kind)} CREATE (a)-[r:`{kind.type}` {{{cells}}}]->(b) RETURN count(*)"
        [[bound]] = _run(connection, create, edge_table(kind, new, kind.columns))
        if bound != len(new):
            raise _missing_end(connection, kind, new)
    if changed:
        columns = _differing(
            kind.columns,
            ((row.properties, there[row.start, row.end, *row.extra]) for row in changed),
        )
        settings = ", ".join(f"r.`{name}` = c{i}" for i, name in enumerate(columns))
        update = f"{_match_edge(kind)} SET {settings} RETURN count(*)"
        [[bound]] = _run(connection, update, edge_table(kind, changed, columns))
        if bound != len(changed):
            raise KgkitError(
                f"{kind.type}: {bound} of {len(changed)} edges were written; run `kgkit rebuild`"
            )


_MATCH_ENDS = "LOAD FROM $rows MATCH (a:`{kind.start}` {{id: s}}) MATCH (b:`{kind.end}` {{id: e}})"


def _match_edge(kind: check.EdgeKind) -> str:
    keys = "".join(f" AND r.`{name}` = k{i}" for i, name in enumerate(kind.key))
    return (
        f"LOAD FROM $rows MATCH (a:`{kind.start}` {{id: s}}) "
        f"MATCH (a)-[r:`{kind.type}`]->(b:`{kind.end}`) WHERE b.id = e{keys}"
    )


def _missing_end(
    connection: "ladybug.Connection", kind: check.EdgeKind, rows: list[check.EdgeRow]
) -> KgkitError:
    bound = {
        (start, end)
        for start, end in _run(
            connection, f"{_MATCH_ENDS.format(kind=kind)} RETURN s, e", edge_table(kind, rows, {})
        )
    }
    return check.missing_end(kind, rows, bound)


def _replaces(new: check.Properties, old: check.Properties) -> bool:
    """Whether `new` is to be written over `old`: a teacher's word never replaces a table's or an expert's."""
    return new != old and not (
        old.get("origin") in ("table", "expert") and new.get("origin") == "teacher"
    )


def _differing(
    columns: Mapping[str, str], pairs: Iterable[tuple[check.Properties, check.Properties]]
) -> dict[str, str]:
    """The columns that are not the same in all pairs: ladybug pays for every column that is set, changed or not."""
    left = dict(columns)
    differing = set()
    for new, old in pairs:
        for name in [name for name in left if new.get(name) != old.get(name)]:
            differing.add(name)
            del left[name]
    return {name: type_ for name, type_ in columns.items() if name in differing}


def _present(columns: Mapping[str, str], cells: list[Any]) -> check.Properties:
    return {
        name: cell
        for name, cell in zip(columns, cells, strict=True)
        if cell is not None and cell != []
    }


def _dump_nodes(connection: "ladybug.Connection", kind: check.NodeKind) -> Iterator[Node]:
    values = ", ".join(f"n.`{name}`" for name in kind.columns)
    result = execute(connection, f"MATCH (n:`{kind.label}`) RETURN n.id, {values} ORDER BY n.id")
    for id_, *cells in rows_of(result):
        yield Node(key=NodeKey(label=kind.label, id=id_), properties=_present(kind.columns, cells))


def _dump_edges(connection: "ladybug.Connection", kind: check.EdgeKind) -> Iterator[Edge]:
    keys = ", ".join(["a.id", "b.id", *(f"r.`{name}`" for name in kind.key)])
    values = ", ".join(f"r.`{name}`" for name in kind.columns)
    result = execute(
        connection,
        f"MATCH (a:`{kind.start}`)-[r:`{kind.type}`]->(b:`{kind.end}`) RETURN {keys}, {values} ORDER BY {keys}",
    )
    width = 2 + len(kind.key)
    for cells in rows_of(result):
        key = kind.edge_key(cells[0], cells[1], tuple(cells[2:width]))
        yield Edge(key=key, properties=_present(kind.columns, cells[width:]))
