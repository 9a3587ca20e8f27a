"""Turn a store's URI into an open GraphStore."""

from pathlib import Path

from kgkit.errors import UsageError
from kgkit.graph.store import GraphStore
from kgkit.settings import Settings

NEO4J_SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


def open_store(
    uri: str, *, workspace: Path, owner: str, settings: Settings, read_only: bool = False
) -> GraphStore:
    """The store that `uri` names: `ladybug` (a file in `workspace`) or neo4j://host, bolt://host, ...

    `owner` is the id of the workspace: a Neo4j database that holds another workspace's graph is refused.
    User, password and database of Neo4j come from `settings`. Raises UsageError (unknown scheme, foreign
    graph), ServiceError (no server, wrong password) and KgkitError (file in use or broken).
    """
    if uri == "ladybug":
        from kgkit.graph.ladybug_file import FILE_NAME
        from kgkit.graph.ladybug_store import LadybugStore

        return LadybugStore(workspace / FILE_NAME, owner=owner, read_only=read_only)
    scheme, separator, _ = uri.partition("://")
    if separator and scheme in NEO4J_SCHEMES:
        from kgkit.graph.neo4j_store import Neo4jStore

        return Neo4jStore(uri, owner=owner, settings=settings, read_only=read_only)
    shown = f"{scheme}://..." if separator else repr(uri)
    raise UsageError(
        f"store {shown} is unknown; use ladybug, neo4j://host:7687 or bolt://host:7687 "
        f"(schemes: {', '.join(NEO4J_SCHEMES)})"
    )
