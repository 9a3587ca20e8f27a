"""Vectors of nodes in Neo4j (5.18 or later): nodes of a label of their own under a vector index."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kgkit.graph.vectors import INDEX, LABEL, Vector, vector_id
from kgkit.records import NodeKey

if TYPE_CHECKING:
    import neo4j

_KEY = "kgkit_vector_id"
_AT_ONCE = 2_000


def model_of(transaction: "neo4j.ManagedTransaction") -> str:
    """The model whose vectors are there, "" if none are."""
    found = transaction.run(f"MATCH (v:{LABEL}) RETURN v.model LIMIT 1").single()
    return str(found[0]) if found else ""


def make_index(session: "neo4j.Session", *, model: str, dimensions: int) -> None:
    """Make the constraint and the vector index; vectors of another model, and an index of another dimension, go first."""
    session.run(
        f"MATCH (v:{LABEL}) WHERE v.model <> $model CALL {{ WITH v DELETE v }} IN TRANSACTIONS OF {_AT_ONCE} ROWS",
        model=model,
    ).consume()
    shown = session.run(
        "SHOW INDEXES YIELD name, options WHERE name = $name RETURN options", name=INDEX
    ).single()
    if shown and shown[0]["indexConfig"]["vector.dimensions"] != dimensions:
        session.run(f"DROP INDEX {INDEX}").consume()
        shown = None
    if shown is None:
        session.run(
            f"CREATE CONSTRAINT {_KEY} IF NOT EXISTS FOR (v:{LABEL}) REQUIRE v.id IS UNIQUE"
        ).consume()
        session.run(
            f"CREATE VECTOR INDEX {INDEX} IF NOT EXISTS FOR (v:{LABEL}) ON (v.vector) OPTIONS {{indexConfig: "
            f"{{`vector.dimensions`: {dimensions:d}, `vector.similarity_function`: 'cosine'}}}}"
        ).consume()
        session.run("CALL db.awaitIndexes(300)").consume()


def marks(transaction: "neo4j.ManagedTransaction", ids: Sequence[str]) -> dict[str, str]:
    """The marks of those of these vectors that are there, by id."""
    found = transaction.run(
        f"UNWIND $ids AS id MATCH (v:{LABEL} {{id: id}}) RETURN v.id, v.mark", ids=list(ids)
    )
    return {str(id_): str(mark) for id_, mark in found}


def merge(transaction: "neo4j.ManagedTransaction", vectors: Sequence[Vector]) -> None:
    """Write vectors in the place of those of the same nodes."""
    rows = [
        {
            "properties": {
                "id": one.id,
                "label": one.node.label,
                "node": one.node.id,
                "name": one.name,
                "mark": one.mark,
                "model": one.model,
            },
            "values": [float(value) for value in one.values],
        }
        for one in vectors
    ]
    transaction.run(
        f"UNWIND $rows AS row MERGE (v:{LABEL} {{id: row.properties.id}}) SET v = row.properties "
        "WITH v, row CALL db.create.setNodeVectorProperty(v, 'vector', row.values)",
        rows=rows,
    ).consume()


def remove(transaction: "neo4j.ManagedTransaction", nodes: Iterable[NodeKey]) -> None:
    """Remove the vectors of nodes."""
    if ids := [vector_id(node) for node in nodes]:
        transaction.run(
            f"UNWIND $ids AS id MATCH (v:{LABEL} {{id: id}}) DETACH DELETE v", ids=ids
        ).consume()


def clear(session: "neo4j.Session") -> None:
    """Remove all vectors; the index stays."""
    session.run(
        f"MATCH (v:{LABEL}) CALL {{ WITH v DETACH DELETE v }} IN TRANSACTIONS OF {_AT_ONCE} ROWS"
    ).consume()
