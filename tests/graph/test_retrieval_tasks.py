"""The nine retrieval tasks are the same from both stores, query by query."""

from pathlib import Path

from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.records import Edge, Node, Subgraph
from kgkit.retrieval.pose import pose_all
from kgkit.retrieval.tasks import read_tasks
from kgkit.settings import Settings
from kgkit.splits import read_split
from kgkit.workspace import Workspace
from tests.walk import kgkit

FMEA = "Equipment,Component,Failure mode,Cause\nMixer,gearbox,gear wear,no oil\nMixer,shaft,unbalance,dirt\n"
CLASSES = "failure_mode_code,failure_mode,failure_class,description\nGWR,gear wear,mechanical,teeth are worn\n"


def test_tasks_are_the_same_on_both_stores(
    starter: Path, tmp_path: Path, store: GraphStore
) -> None:
    for name, text in (("mixer.csv", FMEA), ("classes.csv", CLASSES)):
        (tmp_path / name).write_text(text)
    kgkit("load", tmp_path / "mixer.csv", tmp_path / "classes.csv", workspace=starter)
    owner = Workspace(starter).choices().id
    loaded = open_store(
        "ladybug", workspace=starter, owner=owner, settings=Settings(), read_only=True
    )
    try:
        items = list(loaded.dump())
        wanted = _digests(loaded)
    finally:
        loaded.close()
    store.merge(
        Subgraph(
            nodes=tuple(item for item in items if isinstance(item, Node)),
            edges=tuple(item for item in items if isinstance(item, Edge)),
        )
    )
    assert _digests(store) == wanted


def _digests(graph: GraphStore) -> dict[str, str]:
    split = read_split("default")
    return {
        f"{task.name} {side}": posed.digest()
        for task in read_tasks()
        for side, posed in pose_all(task, graph, split).items()
    }
