"""Vectors of nodes in the ladybug file: a table of its own beside those of schemas/graph.yaml, made for the dimension of one model.

ladybug has no vector index in its wheel; `array_cosine_similarity` compares all. A macro of Neo4j's name for it
lets the same query run in both stores.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kgkit.graph.ladybug_file import execute, rows_of
from kgkit.graph.vectors import LABEL, SIMILARITY, Vector, vector_id
from kgkit.records import NodeKey

if TYPE_CHECKING:
    import ladybug
    import pyarrow as pa

_COLUMNS = ("label", "node", "name", "mark", "model")


def model_of(connection: "ladybug.Connection") -> str:
    """The model whose vectors are there, "" if none are."""
    if not _dimensions(connection):
        return ""
    found = list(rows_of(execute(connection, f"MATCH (v:{LABEL}) RETURN v.model LIMIT 1")))
    return str(found[0][0]) if found else ""


def prepare(connection: "ladybug.Connection", *, model: str, dimensions: int) -> None:
    """Make the table; one of another model or dimension is dropped first."""
    there = _dimensions(connection)
    if there and (there != dimensions or model_of(connection) not in ("", model)):
        execute(connection, f"DROP TABLE {LABEL}")
        there = 0
    if not there:
        columns = ", ".join(f"{name} STRING" for name in _COLUMNS)
        execute(
            connection,
            f"CREATE NODE TABLE {LABEL}(id STRING PRIMARY KEY, {columns}, vector FLOAT[{dimensions}])",
        )
    names = [row[0] for row in rows_of(execute(connection, "CALL show_macros() RETURN name"))]
    if SIMILARITY.upper() not in map(str.upper, map(str, names)):
        execute(
            connection,
            f"CREATE MACRO `{SIMILARITY}`(a, b) AS 0.5 + 0.5 * array_cosine_similarity(a, b)",
        )


def marks(connection: "ladybug.Connection", ids: Sequence[str]) -> dict[str, str]:
    """The marks of those of these vectors that are there, by id."""
    if not _dimensions(connection):
        return {}
    found = f"LOAD FROM $rows MATCH (v:{LABEL} {{id: id}}) RETURN v.id, v.mark"
    return dict(rows_of(execute(connection, found, {"rows": _ids(ids)})))


def merge(connection: "ladybug.Connection", vectors: Sequence[Vector]) -> None:
    """Write vectors in the place of those of the same nodes."""
    import numpy as np
    import pyarrow as pa

    _remove(connection, [one.id for one in vectors])
    values = np.concatenate([np.asarray(one.values, dtype=np.float32) for one in vectors])
    table = pa.table(
        {
            "id": pa.array([one.id for one in vectors]),
            "c0": pa.array([one.node.label for one in vectors]),
            "c1": pa.array([one.node.id for one in vectors]),
            "c2": pa.array([one.name for one in vectors]),
            "c3": pa.array([one.mark for one in vectors]),
            "c4": pa.array([one.model for one in vectors]),
            "v": pa.FixedSizeListArray.from_arrays(pa.array(values), len(values) // len(vectors)),
        }
    )
    cells = ", ".join(f"{name}: c{place}" for place, name in enumerate(_COLUMNS))
    create = f"LOAD FROM $rows CREATE (x:{LABEL} {{id: id, {cells}, vector: v}})"
    execute(connection, create, {"rows": table})


def remove(connection: "ladybug.Connection", nodes: Iterable[NodeKey]) -> None:
    """Remove the vectors of nodes."""
    ids = [vector_id(node) for node in nodes]
    if ids and _dimensions(connection):
        _remove(connection, ids)


def clear(connection: "ladybug.Connection") -> None:
    """Remove all vectors."""
    if _dimensions(connection):
        execute(connection, f"MATCH (v:{LABEL}) DELETE v")


def _remove(connection: "ladybug.Connection", ids: Sequence[str]) -> None:
    execute(
        connection, f"LOAD FROM $rows MATCH (v:{LABEL} {{id: id}}) DELETE v", {"rows": _ids(ids)}
    )


def _dimensions(connection: "ladybug.Connection") -> int:
    """How long the vectors are; 0 where there is no table of them."""
    tables = [row[0] for row in rows_of(execute(connection, "CALL show_tables() RETURN name"))]
    if LABEL not in tables:
        return 0
    rows: list[Any] = list(
        rows_of(execute(connection, f"CALL table_info('{LABEL}') RETURN name, type"))
    )
    [type_] = [str(type_) for name, type_ in rows if name == "vector"]
    return int(type_.partition("[")[2].rstrip("]"))


def _ids(ids: Sequence[str]) -> "pa.Table":
    import pyarrow as pa

    return pa.table({"id": pa.array(ids, pa.string())})
