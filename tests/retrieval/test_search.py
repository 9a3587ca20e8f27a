"""Laws of a search: the same order for the same question, each item read once, by the prompts of the task; on the real MiniLM too."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgkit.errors import KgkitError, UsageError
from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.retrieval.embedder import Embedder, Found, open_embedder
from kgkit.retrieval.pose import items_of
from kgkit.retrieval.tasks import read_tasks
from kgkit.retrieval.texts import stored_prompts
from kgkit.settings import Settings, read_settings
from kgkit.teacher.pull import pull
from kgkit.workspace import Workspace
from tests.evaluation.embedders import words
from tests.integration.models import missing, need_local
from tests.walk import kgkit, matrix_file

[FM2S] = read_tasks(["FM2S"])
ITEMS = {"c": "oil debris", "b": "vibration", "a": "vibration", "d": "bearing temperature"}


@pytest.fixture(scope="module")
def graph(starter_template: Path) -> Iterator[GraphStore]:
    owner = Workspace(starter_template).choices().id
    store = open_store(
        "ladybug", workspace=starter_template, owner=owner, settings=Settings(), read_only=True
    )
    yield store
    store.close()


@pytest.fixture
def embedder(tmp_path: Path) -> Embedder:
    return words(tmp_path / "words", prompts=stored_prompts([FM2S]))


@pytest.fixture(scope="module")
def minilm() -> Path:
    need_local()
    try:
        return pull("minilm", cache_dir=read_settings().cache_dir)
    except KgkitError as error:
        missing(str(error))


def test_equal_scores_are_ordered_by_id_whatever_the_order_of_the_candidates(
    embedder: Embedder,
) -> None:
    found = embedder.search("FM2S", "Fault: high vibration", ITEMS, k=3)
    assert [one.id for one in found][:2] == ["a", "b"]
    assert found[0].score == found[1].score > found[2].score
    backwards = dict(reversed(ITEMS.items()))
    assert embedder.search(FM2S, "Fault: high vibration", backwards, k=3) == found
    alone = embedder.search(FM2S, "Fault: high vibration", {"a": ITEMS["a"]})
    assert alone == [Found(id="a", text="vibration", score=found[0].score)]


def test_each_item_is_read_once_and_by_the_prompts_of_its_task(embedder: Embedder) -> None:
    embedder.search("FM2S", {"failure_mode": "unbalance", "asset": "fan"}, ITEMS)
    instruction = f"Instruct: {FM2S.instruction} Query: Asset: fan, Fault: unbalance"
    items = [f"Sensor: {text}" for text in dict.fromkeys(ITEMS.values())]
    assert sorted(embedder.model.read) == sorted([instruction, *items])
    embedder.model.read.clear()
    embedder.search("FM2S", "leak", {**ITEMS, "e": "level"}, k=1)
    assert sorted(embedder.model.read) == [
        f"Instruct: {FM2S.instruction} Query: leak",
        "Sensor: level",
    ]
    embedder.model.read.clear()
    embedder.search("A2S", "fan", ITEMS)
    assert len(embedder.model.read) == 4  # another task has prompts of its own


@pytest.mark.parametrize(
    ("task", "query", "k", "said"),
    [
        ("FM2X", "a", 1, "no retrieval task FM2X"),
        ("FM2S", " ", 1, "the query of FM2S is empty"),
        ("FM2S", {"sensor": "vibration"}, 1, "FM2S has no field sensor"),
        ("FM2S", "a", 0, "k=0"),
        ("FM2S", "a", 1, "give candidates"),
    ],
)
def test_what_cannot_be_searched_is_said(
    embedder: Embedder, task: str, query: str | dict[str, str], k: int, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        embedder.search(task, query, None if said == "give candidates" else ITEMS, k=k)
    assert embedder.search("FM2S", "a", {}) == []


@pytest.mark.local
def test_minilm_ranks_all_items_of_the_graph_as_its_scores_do(
    graph: GraphStore, minilm: Path
) -> None:
    embedder = open_embedder(str(minilm), cache_dir=Path(), graph=graph)
    query = {"asset": "electric motor", "failure_mode": "bearing damage"}
    found = embedder.search("FM2S", query, k=1_000)
    items = items_of(FM2S, graph)
    assert {one.id: one.text for one in found} == items
    [scores] = embedder.scores(
        FM2S, ["Asset: electric motor, Fault: bearing damage"], [*items.values()]
    )
    wanted = dict(zip(items, scores, strict=True))
    assert {one.id: one.score for one in found} == pytest.approx(wanted, abs=2e-6)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert embedder.search("FM2S", query) == found[:10]
    assert embedder.search("FM2S", query, {found[7].id: found[7].text}) == [found[7]]


@pytest.mark.local
def test_load_embeddings_with_minilm_as_a_user_runs_it(minilm: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path), workspace=workspace)
    kgkit("expand", "--asset", "mixer", workspace=workspace)
    before = kgkit("rebuild", "--json", workspace=workspace).json["after"]
    first, again = (
        kgkit("load-embeddings", str(minilm), "--json", workspace=workspace).json for _ in range(2)
    )
    assert first["written"] == first["vectors"] == sum(first["by_label"].values()) > 10
    assert (again["written"], again["unchanged"]) == (0, first["vectors"])
    assert (first["dimensions"], first["replaced"]) == (384, None)
    text = (Path(__file__).resolve().parents[2] / "docs" / "vectors.md").read_text("utf-8")
    query = text.split("```cypher\n")[1].split("```")[0]
    asked = ("query", query, "--param", "id=Sensor/vibration", "--json")
    rows = kgkit(*asked, workspace=workspace).json["rows"]
    assert [len(rows), len({id_ for id_, *_ in rows})] == [10, 10]
    shutil.copytree(workspace, tmp_path / "other")
    report = kgkit("rebuild", "--json", workspace=tmp_path / "other").json
    assert (report["equal"], report["after"]) == (True, before)
    assert json.dumps(kgkit(*asked, workspace=tmp_path / "other").json["rows"]) == "[]"
    error = kgkit("load-embeddings", tmp_path, workspace=workspace, code=2).err
    assert "is no sentence-transformers directory" in error
