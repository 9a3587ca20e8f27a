"""Say columns in Arrow's types, in one place: what the stores read and write and what the corpora are made of."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@cache
def arrow_types() -> Mapping[str, "pa.DataType"]:
    """Name of a column's type -> Arrow's type. `messages` is a list of role and content."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "string[]": pa.list_(pa.string()),
        "integer": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "messages": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    }


def arrow_schema(columns: Mapping[str, str]) -> "pa.Schema":
    """Columns (name -> name of a type) as an Arrow schema, in their order."""
    import pyarrow as pa

    return pa.schema([(name, arrow_types()[type_]) for name, type_ in columns.items()])


@contextlib.contextmanager
def steady_memory() -> Iterator[None]:
    """Tables that come and go by the thousand are made in jemalloc's memory, where Arrow has it: mimalloc keeps a tenth more of an export."""
    import pyarrow as pa

    before = pa.default_memory_pool()
    with contextlib.suppress(NotImplementedError):  # built without it
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)
