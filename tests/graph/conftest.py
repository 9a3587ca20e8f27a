"""Both stores behind one fixture: a test that takes `store` or `open_again` runs on ladybug and on Neo4j."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.settings import Settings
from tests.integration import neo4j_server as servers

OWNER = "workspace-of-the-tests"
Open = Callable[..., GraphStore]


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A Neo4j server of this test run alone, on free loopback ports."""
    directory = tmp_path_factory.mktemp("neo4j")
    try:
        server = servers.start(directory, port=0)
    except servers.NoServerError as error:
        reason = f"Neo4j cannot start: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield server
    finally:
        servers.stop(directory)


def settings_for(server: servers.Server) -> Settings:
    return Settings(neo4j_username="neo4j", neo4j_password=SecretStr(server.password))


@pytest.fixture
def neo4j_settings(neo4j_server: servers.Server) -> Settings:
    """Settings that open the server, whose database is empty again."""
    import neo4j

    settings = settings_for(neo4j_server)
    auth = ("neo4j", neo4j_server.password)
    with neo4j.GraphDatabase.driver(neo4j_server.uri, auth=auth) as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n", database_="neo4j")
    return settings


@pytest.fixture
def open_ladybug(tmp_path: Path) -> Iterator[Open]:
    """Opens the ladybug store of one workspace; closes what is left open."""
    with ExitStack() as opened:

        def open_it(*, owner: str = OWNER, read_only: bool = False) -> GraphStore:
            store = open_store(
                "ladybug", workspace=tmp_path, owner=owner, settings=Settings(), read_only=read_only
            )
            return opened.enter_context(closing(store))

        yield open_it


@pytest.fixture
def open_neo4j(
    neo4j_server: servers.Server, neo4j_settings: Settings, tmp_path: Path
) -> Iterator[Open]:
    """Opens the same (emptied) Neo4j database; closes what is left open."""
    with ExitStack() as opened:

        def open_it(*, owner: str = OWNER, read_only: bool = False) -> GraphStore:
            store = open_store(
                neo4j_server.uri,
                workspace=tmp_path,
                owner=owner,
                settings=neo4j_settings,
                read_only=read_only,
            )
            return opened.enter_context(closing(store))

        yield open_it


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def open_again(request: pytest.FixtureRequest) -> Open:
    """Opens the test's graph, again and again if asked, in each of the two stores."""
    opener: Open = request.getfixturevalue(f"open_{request.param}")
    return opener


@pytest.fixture
def store(open_again: Open) -> GraphStore:
    """An empty graph in each of the two stores."""
    return open_again()


@pytest.fixture(scope="module", params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def one_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GraphStore]:
    """An empty graph in each of the two stores, for all tests of a module: what one writes the next one finds."""
    settings, uri = Settings(), "ladybug"
    if request.param == "neo4j":
        server = request.getfixturevalue("neo4j_server")
        settings, uri = settings_for(server), server.uri
    root = tmp_path_factory.mktemp("store")
    with closing(open_store(uri, workspace=root, owner=OWNER, settings=settings)) as store:
        store.clear()
        yield store
