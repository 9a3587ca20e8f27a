"""The protocol of a graph store. Two stores keep it: ladybug (a file) and neo4j (a server).

The same calls leave the same graph in both: `dump` of one equals `dump` of the other, byte for byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kgkit.graph.vectors import Vector
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph, Value

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A query's answer. Cells are JSON-able.

    A node or edge comes as a dict of its properties plus `_label` or `_type`, a path as a list of those,
    a date or time as an ISO string.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def dicts(self) -> list[dict[str, object]]:
        """The rows as dicts by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class GraphStore(Protocol):
    """Where the graph lives. Not thread-safe: one thread at a time."""

    uri: str
    """Where, safe to print: never holds a password."""

    def merge(self, subgraph: Subgraph) -> None:
        """Insert what is new and replace the properties of what is there (one transaction per call).

        Idempotent. What a table wrote (`origin` = table) keeps its properties when a teacher says the
        same thing again. The ends of every edge must be in the graph or in the subgraph.
        Raises KgkitError when a label, type, property or end is not of schemas/graph.yaml or is missing.
        """

    def delete(self, *, nodes: Iterable[NodeKey] = (), edges: Iterable[EdgeKey] = ()) -> None:
        """Remove edges, and nodes with all their edges and their vectors. What is not there is ignored."""

    def query(
        self,
        cypher: str,
        parameters: Mapping[str, Value | list[dict[str, Value]]] | None = None,
        *,
        write: bool = False,
    ) -> Rows:
        """Run any Cypher; read-only unless `write`. Raises KgkitError with the database's own words."""

    def scan(
        self,
        label: str,
        *,
        where: str,
        parameters: Mapping[str, Value],
        columns: Mapping[str, str],
    ) -> "Iterator[pa.Table]":
        """Every node `n` of the label for which the Cypher condition `where` holds, once, in any order: tables of some thousand rows.

        `columns`: properties (name -> string or string[]); what a node does not have is "" or an empty list. For many nodes:
        `query` makes objects of each and holds all of them.
        """

    def dump(self) -> Iterator[Node | Edge]:
        """Everything kgkit wrote, absent properties left out.

        Nodes by (label, id), then edges by (type, start label, end label, start id, end id, key properties).
        """

    def clear(self) -> None:
        """Remove every node, edge and vector that kgkit wrote; `state` is "" again."""

    def state(self) -> str:
        """What `set_state` kept last, or "" in a fresh or cleared store: which inputs the graph was made from.

        Not part of the dump.
        """

    def set_state(self, state: str) -> None:
        """Keep `state` in the graph itself, so that a graph that is lost or swapped takes it along."""

    def vectors_of(self) -> str:
        """The `model` of the vectors that are there, "" where there are none. Vectors are no part of the dump; see vectors.py."""

    def prepare_vectors(self, *, model: str, dimensions: int) -> None:
        """Make room for the vectors of this model, with an index where the database has one; those of another model are removed."""

    def vector_marks(self, ids: Sequence[str]) -> dict[str, str]:
        """The marks of those of these vectors (LABEL/ID) that are there, by id."""

    def merge_vectors(self, vectors: Sequence[Vector]) -> None:
        """Insert vectors, or put them in the place of those of the same nodes; after `prepare_vectors`, at least one."""

    def close(self) -> None:
        """Let go of files and connections."""
