"""Rows of nodes and edges as the Arrow tables that ladybug's `LOAD FROM $rows` reads."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kgkit.graph import check
from kgkit.graph.arrow import arrow_types

if TYPE_CHECKING:
    import pyarrow as pa


def node_table(rows: Iterable[check.NodeRow], columns: Mapping[str, str]) -> "pa.Table":
    """`id`, and `c0`, `c1`, ... for the columns."""
    import pyarrow as pa

    rows = list(rows)
    return pa.table(
        {"id": pa.array([row.id for row in rows], pa.string()), **_cells(rows, columns)}
    )


def edge_table(
    kind: check.EdgeKind, rows: Iterable[check.EdgeRow], columns: Mapping[str, str]
) -> "pa.Table":
    """`s` and `e` for the ends, `k0`, ... for the key properties, `c0`, ... for the columns."""
    import pyarrow as pa

    rows = list(rows)
    ends = {
        "s": pa.array([row.start for row in rows], pa.string()),
        "e": pa.array([row.end for row in rows], pa.string()),
    }
    keys = {
        f"k{i}": pa.array([row.extra[i] for row in rows], pa.string()) for i in range(len(kind.key))
    }
    return pa.table({**ends, **keys, **_cells(rows, columns)})


def _cells(
    rows: list[check.NodeRow] | list[check.EdgeRow], columns: Mapping[str, str]
) -> dict[str, "pa.Array"]:
    import pyarrow as pa

    return {
        f"c{i}": pa.array([row.properties.get(name) for row in rows], arrow_types()[type_])
        for i, (name, type_) in enumerate(columns.items())
    }
