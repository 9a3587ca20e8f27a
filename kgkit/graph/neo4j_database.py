"""Make a Neo4j database ready for kgkit: its address, its constraints, its owner; and its errors in our words."""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kgkit.errors import KgkitError, ServiceError, UsageError
from kgkit.schemas import graph_spec

if TYPE_CHECKING:
    import neo4j

BOLT_PORT = 7687
DEFAULT_DATABASE = "neo4j"


def shown_address(uri: str, *, database: str) -> str:
    """`uri` in one spelling: small letters, the port always there, the database if it is not the default one.

    Raises UsageError when `uri` holds a password or a path, or is no address at all.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or BOLT_PORT
    except ValueError as error:
        raise UsageError(f"store address: {error}; write neo4j://host:7687") from error
    if "@" in parts.netloc:
        raise UsageError(
            "a store URI holds no user or password; set NEO4J_USERNAME and NEO4J_PASSWORD instead"
        )
    if not host:
        raise UsageError(f"store {uri} names no host; write neo4j://host:7687")
    if path := parts.path.strip("/"):
        raise UsageError(
            f"store {uri}: an address names no database; set NEO4J_DATABASE={path} instead"
        )
    name = database.lower()
    place = f"[{host}]" if ":" in host else host
    return (
        f"{parts.scheme}://{place}:{port}"
        + (f"/{name}" if name != DEFAULT_DATABASE else "")
        + (f"?{parts.query}" if parts.query else "")
    )


def make_schema(session: "neo4j.Session") -> None:
    """Make the constraints and indexes that are missing, and wait until they can be used."""
    wanted = schema_statements()
    shown = [
        *session.run("SHOW CONSTRAINTS YIELD name RETURN name"),
        *session.run("SHOW INDEXES YIELD name RETURN name"),
    ]
    there = {record["name"] for record in shown}
    missing = [statement for name, statement in wanted.items() if name not in there]
    for statement in missing:
        session.run(statement).consume()
    if missing:
        session.run("CALL db.awaitIndexes(300)").consume()


def check_owner(session: "neo4j.Session", owner: str, *, uri: str) -> str | None:
    """The workspace that the database is stamped with, if any.

    Raises UsageError if that is not `owner` and the database holds nodes of the labels of schemas/graph.yaml.
    """
    found = session.run("MATCH (m:KgkitMeta {id: 'kgkit'}) RETURN m.workspace AS owner").single()
    holder: str | None = found["owner"] if found else None
    if holder == owner:
        return holder
    for label in sorted(graph_spec().nodes):
        if session.run(f"MATCH (n:`{label}`) RETURN 1 LIMIT 1").single() is None:
            continue
        held = f"the graph of workspace {holder}" if holder else f"{label} nodes of its own"
        raise UsageError(
            f"{uri} holds {held}, not of this workspace ({owner}); use that workspace, another server "
            "or NEO4J_DATABASE, or empty it first in Neo4j Browser"
        )
    return holder


def stamp(session: "neo4j.Session", owner: str) -> None:
    """Make the (empty) database `owner`'s."""
    session.run(
        "MERGE (m:KgkitMeta {id: 'kgkit'}) "
        "SET m.workspace = $owner, m.version = $version, m.state = ''",
        owner=owner,
        version=graph_spec().version,
    ).consume()


def schema_statements() -> dict[str, str]:
    """CREATE CONSTRAINT per label and CREATE INDEX per relationship key of schemas/graph.yaml, by name."""
    spec = graph_spec()
    statements = {}
    for label in ["KgkitMeta", *sorted(spec.nodes)]:
        name = f"kgkit_{_snake(label)}_id"
        statements[name] = (
            f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:`{label}`) REQUIRE n.id IS UNIQUE"
        )
    for type_, relationship in sorted(spec.relationships.items()):
        for key in sorted(relationship.key):
            name = f"kgkit_{type_.lower()}_{key}"
            statements[name] = (
                f"CREATE INDEX {name} IF NOT EXISTS FOR ()-[r:`{type_}`]-() ON (r.`{key}`)"
            )
    return statements


def _snake(label: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", label).lower()


@contextlib.contextmanager
def explained(uri: str, *, user: str, database: str = "") -> Iterator[None]:
    """Turn the driver's errors into ours."""
    from neo4j import exceptions

    try:
        yield
    except exceptions.AuthError as error:
        raise ServiceError(
            f"{uri} refuses user {user}: set NEO4J_USERNAME and NEO4J_PASSWORD to what the server knows"
        ) from error
    except exceptions.Neo4jError as error:
        if str(error.code).startswith("Neo.ClientError.Database"):
            raise ServiceError(
                f"{uri} has no database {database}; set NEO4J_DATABASE to one of its own"
            ) from error
        if str(error.code).startswith(("Neo.ClientError.Security", "Neo.TransientError")):
            raise ServiceError(f"{uri}: {first_line(error.message)}; try again") from error
        raise KgkitError(
            f"query: {first_line(error.message)}; check the statement and its parameters"
        ) from error
    except exceptions.ConfigurationError as error:
        raise UsageError(f"store {uri}: {first_line(error)}; write neo4j://host:7687") from error
    except (exceptions.DriverError, OSError) as error:
        raise ServiceError(
            f"{uri} does not answer ({first_line(error)}); start the server (`make neo4j` runs one "
            "on this machine) or check the address"
        ) from error


@contextlib.contextmanager
def parameters_explained() -> Iterator[None]:
    """Turn what the driver says of a query's parameters, before anything is sent, into a UsageError."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"query: {first_line(error)}; check its parameters") from error


def first_line(error: object) -> str:
    """What `error` says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
