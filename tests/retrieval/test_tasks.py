"""Laws of retrieval tasks: proven by the tables, divided like everything else, the same on both stores, open to a plant's own relation."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kgkit import content
from kgkit.doctor import check_content
from kgkit.errors import ContentError, UsageError
from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.questions.facts import facts
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph
from kgkit.retrieval.pose import SIDES, Posed, pose, pose_all, without_data
from kgkit.retrieval.tasks import read_tasks, task_names
from kgkit.retrieval.texts import query_prompt, stored_prompts
from kgkit.settings import Settings
from kgkit.splits import Side, read_split
from kgkit.workspace import Workspace
from tests.conftest import Open
from tests.walk import kgkit

SPLIT = read_split("default")
NINE = ["A2S", "C2FM", "E2CAT", "E2CLT", "EU2SU", "FM2CLS", "FM2CMP", "FM2S", "S2FM"]
FMEA = (
    "Equipment,Component,Failure mode,Cause\n"
    "Mixer,gearbox,gear wear,no oil\n"
    "Mixer,gearbox,oil leak,old seal\n"
    "Mixer,shaft,unbalance,dirt\n"
)
CLASSES = (
    "failure_mode_code,failure_mode,failure_class,description\n"
    "GWR,gear wear,mechanical,teeth are worn\nOIL,oil leak,leakage,\n"
)
Divided = dict[str, dict[Side, Posed]]


@pytest.fixture(scope="module")
def graph(starter_template: Path) -> Iterator[GraphStore]:
    owner = Workspace(starter_template).choices().id
    store = open_store(
        "ladybug", workspace=starter_template, owner=owner, settings=Settings(), read_only=True
    )
    yield store
    store.close()


@pytest.fixture(scope="module")
def divided(graph: GraphStore) -> Divided:
    return {task.name: pose_all(task, graph, SPLIT) for task in read_tasks()}


@pytest.fixture
def own_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of tasks in a copy of the content that is in force."""
    shutil.copytree(content.folder("evaluation"), tmp_path / "mine" / "evaluation")
    monkeypatch.setenv("KGKIT_CONTENT", str(tmp_path / "mine"))
    return tmp_path / "mine" / "evaluation" / "retrieval"


def test_the_starter_tables_give_all_nine_tasks(divided: Divided) -> None:
    assert list(divided) == NINE
    for name, sides in divided.items():
        task = sides["held_out"].task
        assert without_data(task, sides) is None, name
        assert sides["train"].queries, name


def test_what_is_relevant_is_what_the_matrices_tick(divided: Divided, graph: GraphStore) -> None:
    ticked = {(one.asset, one.left, one.right) for one in facts(graph, "relevance") if one.holds}
    posed = divided["FM2S"]["held_out"]
    found = {(*query.split("/"), item) for query, items in posed.relevant.items() for item in items}
    assert found == {one for one in ticked if SPLIT.side(one[0]) == "held_out"}
    turned = divided["S2FM"]["held_out"]
    assert found == {
        (query.split("/")[0], item, query.split("/")[1])
        for query, items in turned.relevant.items()
        for item in items
    }


def test_no_query_stands_on_two_sides(divided: Divided) -> None:
    for name, sides in divided.items():
        texts = [query.text for side in SIDES for query in sides[side].queries]
        assert len(set(texts)) == len(texts), name


def test_held_out_queries_about_assets_are_about_held_out_families_alone(
    divided: Divided,
) -> None:
    for name, sides in divided.items():
        for side, posed in sides.items():
            for family in posed.families:
                assert SPLIT.side(family) == side, (name, side, family)
    assert divided["FM2S"]["held_out"].families == set(SPLIT.held_out)


def test_training_names_no_held_out_asset(divided: Divided, graph: GraphStore) -> None:
    pattern = Assets(reading.assets(graph, role=None), SPLIT).held_out_pattern
    for sides in divided.values():
        for side in ("train", "dev"):
            for query in sides[side].queries:
                assert not pattern.search(query.text)
        for item in sides["train"].items:
            assert not pattern.search(item.text)
    assert divided["FM2S"]["train"].left_out["names a held-out asset"] > 0


def test_items_are_marked_as_trained_exactly_where_training_has_them(divided: Divided) -> None:
    for sides in divided.values():
        train = {item for items in sides["train"].relevant.values() for item in items}
        assert {item.id for item in sides["train"].items} == train
        for side in ("dev", "held_out"):
            items = sides[side].items
            assert {item.id for item in items if item.trained} == train
        assert sides["dev"].items == sides["held_out"].items
    assert not all(item.trained for item in divided["FM2S"]["held_out"].items)


def test_seen_counts_the_pairs_that_training_has(divided: Divided) -> None:
    train, held_out = divided["FM2S"]["train"], divided["FM2S"]["held_out"]
    pairs = {
        (query.shown["failure_mode"], item)
        for query in train.queries
        for item in train.relevant[query.id]
    }
    for query in held_out.queries:
        known = [
            (query.shown["failure_mode"], item) in pairs for item in held_out.relevant[query.id]
        ]
        wanted = "all" if all(known) else "some" if any(known) else "none"
        assert held_out.seen[query.id] == wanted
    assert set(held_out.seen.values()) == {"all", "some", "none"}
    assert set(divided["A2S"]["held_out"].seen.values()) == {"none"}


def test_a_query_without_an_asset_stays_on_its_side_whatever_else_is_loaded(
    starter: Path, open_workspace: Open, tmp_path: Path, divided: Divided
) -> None:
    path = tmp_path / "classes.csv"
    path.write_text("category,class_code,class_name\nMining equipment,MX,Mixers\n")
    kgkit("load", path, workspace=starter)
    derivation = open_workspace(starter)
    now = {
        query.id: side
        for side, posed in pose_all(read_tasks(["E2CAT"])[0], derivation.graph, SPLIT).items()
        for query in posed.queries
    }
    before = {query.id: side for side, one in divided["E2CAT"].items() for query in one.queries}
    assert before.items() < now.items()
    assert len(now) == len(before) + 1


def test_a_text_of_several_assets_is_in_training_if_one_of_them_is(
    tmp_path: Path, open_workspace: Open
) -> None:
    path = tmp_path / "modes.csv"
    rows = [
        "Compressors,Leak,drips", "Pumps,Leak,drips", "Pumps,Noise,rattles", "Compressors,Noise,howls",
    ]  # fmt: skip
    path.write_text("\n".join(["Equipment,Failure mode,Example", *rows]) + "\n")
    kgkit("load", path, workspace=tmp_path / "w")
    sides = pose_all(read_tasks(["FM2CLS"])[0], open_workspace(tmp_path / "w").graph, SPLIT)
    assert [query.text for query in sides["train"].queries] == [
        "Failure description: drips",
        "Failure description: rattles",
    ]
    assert [query.text for query in sides["held_out"].queries] == ["Failure description: howls"]
    assert sides["train"].families == {"pumps"}


def test_a_family_that_is_held_out_alone_leaves_all_others_to_training(graph: GraphStore) -> None:
    (task,) = read_tasks(["FM2S"])
    sides = pose_all(task, graph, SPLIT, holdout="pumps")
    assert sides["held_out"].families == {"pumps"}
    assert not sides["dev"].queries
    assert {"compressors", "electric-generators"} < sides["train"].families
    assert not any("pump" in query.text for query in sides["train"].queries)


def test_a_split_that_holds_nothing_out_has_nothing_to_measure(
    tmp_path: Path, open_workspace: Open
) -> None:
    path = tmp_path / "compressor.csv"
    path.write_text("Failure Mode,vibration,pressure\nunbalance,x,\nleak,,x\n")
    classes = tmp_path / "classes.csv"
    classes.write_text("category,class_code,class_name\nMining equipment,MX,Mixers\n")
    kgkit("load", path, classes, "--split", "none", workspace=tmp_path / "w")
    graph = open_workspace(tmp_path / "w").graph
    for task in read_tasks(["A2S", "E2CAT", "FM2S"]):
        sides = pose_all(task, graph, read_split("none"))
        assert sides["train"].queries
        assert without_data(task, sides) == "no query is held out by this split"


def test_what_a_teacher_said_is_in_no_task(starter: Path, open_workspace: Open) -> None:
    graph = open_workspace(starter).graph
    before = _digests(graph)
    said = {"origin": "teacher", "role": "source", "ask": "a" * 64}
    pump, sensor = NodeKey(label="Asset", id="pump"), NodeKey(label="Sensor", id="made-up")
    old, mode = (
        NodeKey(label="Sensor", id="oil-debris"),
        NodeKey(label="FailureMode", id="unbalance"),
    )
    of_pump = (("asset", "pump"),)
    edges = [
        EdgeKey(type="MONITORED_BY", start=pump, end=sensor),
        EdgeKey(
            type="EXPERIENCES",
            start=pump,
            end=NodeKey(label="FailureMode", id="air-inlet-blockage"),
        ),
        EdgeKey(type="RELEVANT_TO", start=sensor, end=mode, extra=of_pump),
        EdgeKey(
            type="RELEVANT_TO",
            start=old,
            end=NodeKey(label="FailureMode", id="air-inlet-blockage"),
            extra=of_pump,
        ),
    ]
    graph.merge(
        Subgraph(
            nodes=(Node(key=sensor, properties={"name": "made up", **said}),),
            edges=tuple(
                Edge(key=key, properties={**said, **({"label": "Yes"} if key.extra else {})})
                for key in edges
            ),
        )
    )
    assert graph.query("MATCH ()-[r]->() WHERE r.origin = 'teacher' RETURN count(r)").rows == (
        (4,),
    )
    assert _digests(graph) == before


def test_rows_for_evaluation_alone_are_tested_and_never_trained_on(
    tmp_path: Path, open_workspace: Open
) -> None:
    for name, role in (("pump", "source"), ("mixer", "evaluation")):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"Failure Mode,vibration,{name} level\nunbalance,x,\nleak,,x\n")
        kgkit("load", path, "--role", role, workspace=tmp_path / "w")
    graph = open_workspace(tmp_path / "w").graph
    (task,) = read_tasks(["FM2S"])
    sides = pose_all(task, graph, SPLIT)
    assert [query.text for query in sides["train"].queries] == [
        "Asset: pump, Fault: leak",
        "Asset: pump, Fault: unbalance",
    ]
    assert [query.text for query in sides["held_out"].queries] == [
        "Asset: mixer, Fault: leak",
        "Asset: mixer, Fault: unbalance",
    ]
    assert {item.text: item.trained for item in sides["held_out"].items} == {
        "mixer level": False,
        "pump level": True,
        "vibration": True,
    }


def test_a_class_that_a_table_for_evaluation_gives_is_not_trained_on(
    tmp_path: Path, open_workspace: Open
) -> None:
    for name, text, role in (("mixer.csv", FMEA, "source"), ("classes.csv", CLASSES, "evaluation")):
        (tmp_path / name).write_text(text)
        kgkit("load", tmp_path / name, "--role", role, workspace=tmp_path / "w")
    (task,) = read_tasks(["FM2CLS"])
    sides = pose_all(task, open_workspace(tmp_path / "w").graph, SPLIT)
    assert not sides["train"].queries
    assert {query.text for query in sides["held_out"].queries} >= {
        "Failure description: gear wear",
        "Failure description: oil leak",
    }


def test_a_workspace_that_lacks_a_tasks_data_says_so(tmp_path: Path, open_workspace: Open) -> None:
    path = tmp_path / "compressor.csv"
    path.write_text("Failure Mode,vibration,pressure\nunbalance,x,\nleak,,x\n")
    kgkit("load", path, workspace=tmp_path / "w")
    graph = open_workspace(tmp_path / "w").graph
    said = {task.name: without_data(task, pose_all(task, graph, SPLIT)) for task in read_tasks()}
    assert [name for name, why in said.items() if why is None] == ["A2S", "C2FM", "FM2S", "S2FM"]
    assert (
        said["E2CAT"]
        == "no data: nothing in the workspace comes from the taxonomy of the workspace"
    )


def test_an_fmea_gives_components_with_their_failure_modes_and_classes(
    tmp_path: Path, open_workspace: Open
) -> None:
    for name, text in (("mixer.csv", FMEA), ("classes.csv", CLASSES)):
        (tmp_path / name).write_text(text)
    kgkit("load", tmp_path / "mixer.csv", tmp_path / "classes.csv", workspace=tmp_path / "w")
    graph = open_workspace(tmp_path / "w").graph

    def pairs(name: str) -> dict[str, list[str]]:
        (task,) = read_tasks([name])
        posed = pose(task, graph, read_split("none"), side="train")
        texts = {item.id: item.text for item in posed.items}
        return {
            query.text: sorted(texts[item] for item in posed.relevant[query.id])
            for query in posed.queries
        }

    assert pairs("C2FM") == {
        "Component: Mixer": ["gear wear", "oil leak", "unbalance"],
        "Component: gearbox, Asset: mixer": ["gear wear", "oil leak"],
        "Component: shaft, Asset: mixer": ["unbalance"],
    }
    assert pairs("FM2CMP") == {
        "Asset: mixer, Failure mode: gear wear": ["gearbox"],
        "Asset: mixer, Failure mode: oil leak": ["gearbox"],
        "Asset: mixer, Failure mode: unbalance": ["shaft"],
    }
    assert pairs("FM2CLS") == {
        "Failure description: gear wear": ["mechanical"],
        "Failure description: oil leak": ["leakage"],
        "Failure description: teeth are worn": ["mechanical"],
    }


def test_a_plants_own_relation_is_a_tenth_task_by_a_file(
    own_content: Path, graph: GraphStore
) -> None:
    text = (own_content / "E2CLT.yaml").read_text().replace("name: E2CLT", "name: T2CLS")
    own = yaml.safe_load(text) | {
        "queries": ["MATCH (t:EquipmentType) RETURN t.id AS id, '' AS asset_id, t.name AS type"],
        "items": ["MATCH (a:Asset) RETURN a.id AS id, a.name AS name, a.origin AS origin"],
        "qrels": [
            "MATCH (a:Asset)-[r:HAS_TYPE]->(t) RETURN t.id AS query, a.id AS item, r.origin AS origin,"
            " r.role AS role, r.sources AS sources"
        ],
        "fields": {"type": "Type"},
        "key": "type",
    }
    (own_content / "T2CLS.yaml").write_text(yaml.safe_dump(own))
    assert task_names() == sorted([*NINE, "T2CLS"])
    (task,) = read_tasks(["T2CLS"])
    sides = pose_all(task, graph, SPLIT)
    assert sum(len(posed.queries) for posed in sides.values()) == 184
    assert all(posed.queries for posed in sides.values())
    assert check_content() == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("key: asset", "key: sensor", "sensor is none of the fields asset, category"),
        ("MATCH (:Asset)-[r", "CREATE (:Asset)-[r", "a read-only query starts with"),
        ("s.id AS item, r.origin", "s.id AS item, $x, r.origin", "parameter \\$x has no value"),
        ("name: A2S", "name: A2X", "call the file A2X.yaml"),
        ("  - Name the measurements that tell about the condition of this machine.\n", "", "paraphrases"),
        ("output_tag: Sensor", "output_tag: ''", "output_tag"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named_by_content_check(
    old: str, new: str, message: str, own_content: Path
) -> None:
    path = own_content / "A2S.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ContentError, match=message) as caught:
        read_tasks()
    assert str(path) in str(caught.value)
    assert str(caught.value) in check_content()


def test_cypher_that_returns_too_little_is_named(own_content: Path, graph: GraphStore) -> None:
    path = own_content / "A2S.yaml"
    path.write_text(path.read_text().replace(", r.role AS role", ""))
    with pytest.raises(ContentError, match=r"A2S.yaml: MATCH .* returns no role; it has to return"):
        pose_all(read_tasks(["A2S"])[0], graph, SPLIT)


def test_an_unknown_task_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no retrieval task X2Y; choose from A2S, C2FM"):
        read_tasks(["X2Y"])


def test_prompts_are_kept_under_the_names_that_mteb_looks_for() -> None:
    (task,) = read_tasks(["FM2S"])
    assert stored_prompts([task]) == {
        "FM2S-query": "Instruct: Which sensors and parameters show this fault of the asset? Query: ",
        "FM2S-document": "Sensor: ",
    }
    assert query_prompt(task, "Find it.") == "Instruct: Find it. Query: "


def _digests(graph: GraphStore) -> list[str]:
    return [
        posed.digest() for task in read_tasks() for posed in pose_all(task, graph, SPLIT).values()
    ]
