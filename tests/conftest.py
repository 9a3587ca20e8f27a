"""Workspaces for tests: the starter tables loaded once, copied for each test that asks."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kgkit import derive
from kgkit.derive import Derivation
from kgkit.graph.open import open_store
from kgkit.settings import Settings
from kgkit.splits import read_split
from kgkit.tables import read_tables
from kgkit.teacher.ledger import Ledger
from kgkit.workspace import Workspace
from tests.walk import kgkit

Open = Callable[[Path], Derivation]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests: those on Neo4j go to one, which starts one server, and those of a file to one, for its fixtures."""
    for item in items:
        on_neo4j = item.get_closest_marker("neo4j")
        item.add_marker(pytest.mark.xdist_group("neo4j" if on_neo4j else item.location[0]))


@pytest.fixture(scope="session")
def starter_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("starter") / "w"
    kgkit("load", workspace=path)
    return path


@pytest.fixture
def starter(starter_template: Path, tmp_path: Path) -> Path:
    """A workspace of the test's own with the starter tables in it."""
    path = tmp_path / "w"
    shutil.copytree(starter_template, path)
    return path


@pytest.fixture
def open_workspace() -> Iterator[Open]:
    """Opens a workspace on ladybug inside this process; all are closed after the test."""
    with ExitStack() as stack:

        def open_it(path: Path, split: str = "default") -> Derivation:
            workspace = Workspace(path)
            workspace.create()
            choices = workspace.choices()
            graph = open_store("ladybug", workspace=path, owner=choices.id, settings=Settings())
            stack.callback(graph.close)
            ledger = stack.enter_context(Ledger.open(workspace.ledger))
            return Derivation(
                workspace=workspace, ledger=ledger, graph=graph, split=read_split(split)
            )

        yield open_it


def take(derivation: Derivation, *paths: Path, then_derive: bool = True) -> None:
    """Load tables as `kgkit load` does."""
    derive.take(
        derivation,
        read_tables(paths),
        layout=None,
        role="source",
        sheet=None,
        tiers=frozenset("AB"),
        starter=False,
    )
    if then_derive:
        derive.bring_up_to_date(derivation)
