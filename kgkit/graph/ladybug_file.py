"""Open `graph.ladybug`: made when it is missing, set aside when it is broken, waited for while it is written.

The file is derived data, which tables and ledger remake: so a writer never stops at a broken one.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit import lock
from kgkit.errors import KgkitError
from kgkit.graph import check
from kgkit.records import digest
from kgkit.schemas import graph_spec

if TYPE_CHECKING:
    import ladybug

FILE_NAME = "graph.ladybug"
READ_WAIT_S = 2.0
CACHE_MB = 32
"""What a reader keeps in memory of the file, and what its answers may take: by itself ladybug keeps every page that it ever read."""
_READ_PAUSE_S = 0.05
_TYPES = {"string": "STRING", "string[]": "STRING[]", "integer": "INT64", "float": "DOUBLE"}
_CACHE_FULL = re.compile(r"buffer pool is full", re.IGNORECASE)
_IN_USE = re.compile(r"could not set lock", re.IGNORECASE)
_NOT_THE_FILE = re.compile(
    r"permission denied|too many open files|no space left|read-only file system|buffer manager|mmap",
    re.IGNORECASE,
)
_WORDS_OF_LADYBUG = (RuntimeError, ValueError, TypeError, LookupError, MemoryError, OverflowError)

log = logging.getLogger("kgkit")


class CacheFullError(KgkitError):
    """A statement, or opening the file, takes more memory than there is cache."""


class _BrokenError(KgkitError):
    """The file cannot be read, or has other tables than schemas/graph.yaml says."""


def open_to_write(path: Path, *, owner: str) -> "ladybug.Database":
    """The file open for one writer; made with all its tables for workspace `owner` when it is missing.

    One that is broken, or made with another schemas/graph.yaml, is renamed to `graph.ladybug.broken-N` (with its
    log) and made anew, empty; this is logged. Raises KgkitError when another process writes to the file.
    """
    if path.exists():
        try:
            return _open(path, read_only=False)
        except _BrokenError as error:
            log.warning("%s; it is kept as %s and made anew", error, _set_aside(path))
    elif _belongings(path):  # a log without its file
        _set_aside(path)
    _create(path, owner=owner)
    return _open(path, read_only=False)


def open_to_read(path: Path, *, cache_mb: int | None) -> "ladybug.Database":
    """The file as the last commit left it, with a cache of that size; None is most of the machine's memory.

    Between two writes of another process it can look broken for a moment, so this tries for READ_WAIT_S. Raises
    KgkitError when there is no file, when it is being written all that time, or when it is broken; CacheFullError.
    """
    deadline = time.monotonic() + READ_WAIT_S
    while True:
        if not path.exists():
            raise KgkitError(f"{path}: there is no graph yet; run `kgkit load` first")
        try:
            return _open(path, read_only=True, cache_mb=cache_mb)
        except _BrokenError as error:
            if time.monotonic() >= deadline:
                if writer := lock.holder(path.parent / "workspace.lock"):
                    raise KgkitError(
                        f"{path} is being written by another process ({writer}); "
                        "try again when it has ended"
                    ) from error
                raise KgkitError(f"{error}; run `kgkit rebuild` to make it anew") from error
        time.sleep(_READ_PAUSE_S)


def _open(path: Path, *, read_only: bool, cache_mb: int | None = None) -> "ladybug.Database":
    import ladybug

    if not os.access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
        raise KgkitError(
            f"{path} may not be {'read' if read_only else 'written'}; allow it (chmod)"
        )
    if path.stat().st_size == 0:
        raise _BrokenError(f"{path} is broken (the file is empty)")
    database = ladybug.Database(
        path,
        read_only=read_only,
        buffer_pool_size=(cache_mb or 0) * 2**20,
        backend="pybind",
        lazy_init=True,
    )
    try:
        database.init_database()
        _check_tables(path, database)
    except _BrokenError:
        database.close()
        raise
    except (KgkitError, *_WORDS_OF_LADYBUG) as error:
        database.close()
        words = first_line(error)
        said = words.replace(str(path), "")
        if _CACHE_FULL.search(said):
            raise CacheFullError(words) from error
        if _IN_USE.search(said):
            raise KgkitError(
                f"{path} is in use by another process ({words}); "
                "wait for it to finish or stop it, then run the command again"
            ) from error
        if _NOT_THE_FILE.search(said):
            raise KgkitError(
                f"{path} cannot be opened ({words}); mend that, then try again"
            ) from error
        raise _BrokenError(f"{path} is broken ({words})") from error
    return database


def _check_tables(path: Path, database: "ladybug.Database") -> None:
    import ladybug

    with ladybug.Connection(database) as connection:
        result = execute(connection, "MATCH (m:KgkitMeta {id: 'kgkit'}) RETURN m.`schema`")
        if list(rows_of(result)) != [[_schema_digest()]]:
            raise _BrokenError(f"{path} was made with another schemas/graph.yaml")


def _set_aside(path: Path) -> Path:
    """Rename the file and its belongings to the first `.broken-N` that is free; its new path."""
    number = 1
    while any(path.parent.glob(f"{path.name}.broken-{number}*")):
        number += 1
    aside = path.with_name(f"{path.name}.broken-{number}")
    for found in [*_belongings(path), path]:
        with contextlib.suppress(FileNotFoundError):
            found.rename(aside.with_name(aside.name + found.name.removeprefix(path.name)))
    return aside


def _belongings(path: Path) -> list[Path]:
    """What ladybug writes beside the file: its log and the pages of a checkpoint."""
    return [
        found
        for ending in (".wal", ".wal.checkpoint", ".shadow", ".tmp")
        if (found := path.with_name(path.name + ending)).exists()
    ]


def _create(path: Path, *, owner: str) -> None:
    """Make the file with all its tables beside `path` and rename it: a crash leaves no half schema."""
    import ladybug

    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    for leftover in path.parent.glob(fresh.name + "*"):
        leftover.unlink()
    database = ladybug.Database(fresh, backend="pybind")
    with ladybug.Connection(database) as connection:
        for statement in schema_statements():
            execute(connection, statement)
        execute(
            connection,
            "CREATE (:KgkitMeta {id: 'kgkit', workspace: $owner, version: $version, `schema`: $schema, state: ''})",
            {"owner": owner, "version": graph_spec().version, "schema": _schema_digest()},
        )
    database.close()
    fresh.rename(path)


def schema_statements() -> list[str]:
    """CREATE NODE TABLE and CREATE REL TABLE for every label and type of schemas/graph.yaml."""
    spec = graph_spec()
    statements = [
        "CREATE NODE TABLE IF NOT EXISTS KgkitMeta"
        "(id STRING PRIMARY KEY, workspace STRING, version INT64, `schema` STRING, state STRING)"
    ]
    for kind in check.node_kinds(spec):
        columns = ["id STRING PRIMARY KEY", *_columns(kind.columns)]
        statements.append(f"CREATE NODE TABLE IF NOT EXISTS `{kind.label}`({', '.join(columns)})")
    for type_, relationship in sorted(spec.relationships.items()):
        ends = [f"FROM `{start}` TO `{end}`" for start, end in sorted(relationship.ends)]
        key = _columns(dict.fromkeys(sorted(relationship.key), "string"))
        columns = [*ends, *key, *_columns(spec.edge_properties(type_))]
        statements.append(f"CREATE REL TABLE IF NOT EXISTS `{type_}`({', '.join(columns)})")
    return statements


def _columns(types: Mapping[str, str]) -> list[str]:
    return [f"`{name}` {_TYPES[type_]}" for name, type_ in types.items()]


def _schema_digest() -> str:
    return digest({"spec": graph_spec().model_dump(), "tables": schema_statements()})


def execute(
    connection: "ladybug.Connection", cypher: str, parameters: Mapping[str, Any] | None = None
) -> "ladybug.QueryResult":
    """The answer of the last statement. Raises KgkitError (CacheFullError) with ladybug's own words."""
    try:
        result = connection.execute(cypher, dict(parameters or {}))
    except _WORDS_OF_LADYBUG as error:
        said = f"query: {first_line(error)}; "
        if _CACHE_FULL.search(said):
            raise CacheFullError(f"{said}ask for less at a time") from error
        raise KgkitError(f"{said}check the statement and its parameters") from error
    return result[-1] if isinstance(result, list) else result


def rows_of(result: "ladybug.QueryResult") -> Iterator[list[Any]]:
    """The rows that are left in `result`."""
    while result.has_next():
        yield result.get_next()


def plain(cell: Any) -> object:  # noqa: ANN401 - whatever the database gives
    """A cell of an answer as JSON-able data; see Rows."""
    if isinstance(cell, dict):
        if "_NODES" in cell and "_RELS" in cell:
            return _path(cell["_NODES"], cell["_RELS"])
        if "_LABEL" in cell and "_ID" in cell:
            name = "_type" if "_SRC" in cell else "_label"
            hidden = ("_ID", "_LABEL", "_SRC", "_DST")
            kept = {key: plain(value) for key, value in cell.items() if key not in hidden}
            return {name: cell["_LABEL"], **{k: v for k, v in kept.items() if v not in (None, [])}}
        return {str(key): plain(value) for key, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [plain(item) for item in cell]
    if cell is None or isinstance(cell, (str, int, float, bool)):
        return cell
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _path(nodes: list[Any], relationships: list[Any]) -> list[object]:
    steps = [plain(nodes[0])] if nodes else []
    for relationship, node in zip(relationships, nodes[1:], strict=True):
        steps += [plain(relationship), plain(node)]
    return steps


def first_line(error: object) -> str:
    """What `error` says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
