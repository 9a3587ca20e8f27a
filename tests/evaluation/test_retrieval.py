"""`kgkit evaluate retrieval`: what arithmetic says is what is scored; formulas are those of the questions; what would be no measurement is refused."""

import csv
import importlib.util
import itertools
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgkit.errors import UsageError
from kgkit.evaluation.intervals import clustered, percentiles, resampled_means
from kgkit.evaluation.models import open_model
from kgkit.evaluation.rankers import RANKERS, Ranker, Rankings, ranked, rates
from kgkit.evaluation.retrieval_bench import (
    EACH,
    PosedTasks,
    RetrievalResult,
    TaskRankings,
    pose_tasks,
    rank_without_model,
)
from kgkit.evaluation.retrieval_metrics import Found, blind, by_query, retrieval
from kgkit.evaluation.retrieval_table import MEAN, RetrievalTable, retrieval_table
from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.questions.baselines import Baseline, Rates
from kgkit.questions.facts import Fact
from kgkit.retrieval import embedder as embedders
from kgkit.retrieval.tasks import read_tasks
from kgkit.settings import Settings, read_settings
from kgkit.splits import read_split
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.pull import pull
from kgkit.workspace import Workspace
from tests import plant
from tests.evaluation.embedders import words
from tests.walk import kgkit

SPLIT = read_split("default")


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Whether this machine has MiniLM must not matter; the tests that want it say so."""
    if "local" not in request.keywords:
        monkeypatch.setattr("kgkit.teacher.local_embedding.encoder", lambda _: None)


@pytest.fixture(scope="module")
def posed(starter_template: Path) -> Iterator[PosedTasks]:
    owner = Workspace(starter_template).choices().id
    store = open_store(
        "ladybug", workspace=starter_template, owner=owner, settings=Settings(), read_only=True
    )
    yield pose_tasks(store, SPLIT)
    store.close()


@pytest.fixture(scope="module")
def small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return plant.load(folder / "w", tables=folder / "tables")


@pytest.fixture
def small(small_template: Path, tmp_path: Path) -> Path:
    """A workspace of four assets, one of them held out, that has the data of four tasks."""
    shutil.copytree(small_template, tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose embedder counts words."""
    found = words(tmp_path / "counted")
    monkeypatch.setattr(embedders, "open_embedder", lambda *_, **__: found)
    return found.directory


def unit_vectors(texts: Any) -> list[list[float]]:
    """The same for the same text, near for texts with the same letters."""
    found = np.array(
        [[1.0 + text.lower().count(letter) for letter in "abcdefghi"] for text in texts]
    )
    unit: list[list[float]] = (found / np.linalg.norm(found, axis=1)[:, None]).tolist()
    return unit


@pytest.mark.parametrize(("relevant", "items"), [(1, 1), (2, 5), (3, 12), (2, 120)])
def test_a_blind_ranking_is_expected_to_find_what_all_orders_find_on_average(
    relevant: int, items: int
) -> None:
    names = [f"{place:03}" for place in range(items)]
    found: list[Found] = []
    for chosen in itertools.combinations(names, relevant):
        found += by_query({"q": names}, {"q": chosen}).values()
    expected = blind(relevant, items)
    for metric in ("hit_at_1", "map_at_100", "ndcg_at_10"):
        mean = math.fsum(getattr(one, metric) for one in found) / len(found)
        assert getattr(expected, metric) == pytest.approx(mean, abs=1e-12)


def test_draws_of_rows_give_the_intervals_of_scipy() -> None:
    values = np.random.default_rng(3).random((40, 2))
    (low, high), _ = [(one.low, one.high) for one in percentiles(resampled_means(values, seed=1))]
    wanted = clustered(values[:, 0].tolist(), [""] * 40, seed=1)
    assert wanted is not None
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=0.005)
    assert (resampled_means(values, seed=1) == resampled_means(values, seed=1)).all()


@pytest.mark.parametrize("name", ["popularity", "pair lookup", "token kernel", "semantic kernel"])
def test_rates_are_those_of_the_question_benchmarks(name: Ranker, posed: PosedTasks) -> None:
    one = posed.tasks["S2FM"]
    train, test = one.folds[0].train, one.folds[0].test
    facts = [
        Fact(
            left=query.key,
            left_name=query.key,
            right=item.id,
            right_name=item.text,
            asset="a",
            holds=item.id in train.relevant[query.id],
            sources=(),
        )
        for query in train.queries
        for item in train.items
    ]
    names = {
        "left": {query.key: query.key for query in (*train.queries, *test.queries)},
        "right": {item.id: item.text for item in test.items},
    }
    said = sorted({name for side in names.values() for name in side.values()})
    vectors = dict(zip(said, unit_vectors(said), strict=True))
    theirs = Rates(facts, names=names, vectors=vectors)
    ours = rates(name, train, test, embed=unit_vectors)
    baseline: Baseline = name  # type: ignore[assignment]
    for row, query in zip(ours, test.queries, strict=True):
        for value, item in zip(row, test.items, strict=True):
            wanted = theirs.rate(baseline, (query.key, item.id), option_is="right")
            assert value == pytest.approx(wanted, abs=1e-9)


def test_what_needs_no_model_finds_more_the_more_it_looks_at(posed: PosedTasks) -> None:
    one = posed.tasks["FM2S"]
    found = {
        name: retrieval(
            ranked(name, one.folds[0].train, one.folds[0].test, embed=unit_vectors), one.relevant
        ).map_at_100
        for name in RANKERS
    }
    assert found["BM25"] < found["popularity"] < found["pair lookup"] < found["token kernel"]
    assert found["pair lookup"] == pytest.approx(0.823, abs=0.001)


def test_perfect_and_worst_rankings_score_one_and_nearly_nothing(posed: PosedTasks) -> None:
    def ordered(*, best: bool) -> dict[str, dict[str, list[str]]]:
        return {
            name: {
                query: sorted(
                    (item.id for item in one.items), key=lambda id_: (id_ in items) != best
                )
                for query, items in one.relevant.items()
            }
            for name, one in posed.tasks.items()
        }

    table = retrieval_table(
        posed, {"perfect": ordered(best=True), "worst": ordered(best=False)}, []
    )
    by_name = {(one.model, one.task, one.metric, one.slice): one for one in table.scores}
    for task in (*posed.tasks, MEAN):
        for metric in ("HIT@1", "MAP@100", "NDCG@10"):
            assert by_name["perfect", task, metric, ""].value == pytest.approx(1.0)
            worst = by_name["worst", task, metric, ""]
            assert worst.value == 0.0 if metric == "HIT@1" else worst.value < 0.2
    assert by_name["perfect", "FM2CLS", "MAP@100", ""].ci_low == 1.0
    assert by_name["perfect", "A2S", "MAP@100", ""].ci_low is None


def test_slices_of_a_task_are_its_queries_divided(posed: PosedTasks) -> None:
    table = retrieval_table(posed, {}, [])
    for task, one in posed.tasks.items():
        n = {
            score.slice: score.n
            for score in table.scores
            if (score.task, score.metric) == (task, "HIT@1")
        }
        whole = n.pop("")
        assert whole == len(one.relevant)
        for kind in ("pairs", "items"):
            assert sum(value for name, value in n.items() if name.startswith(kind)) == whole
    assert {score.slice for score in table.scores if score.task == "FM2S"} == {
        "", "pairs=all", "pairs=some", "pairs=none", "items=trained", "items=new",
    }  # fmt: skip


def test_the_prompts_that_a_directory_keeps_stand_before_its_texts(tmp_path: Path) -> None:
    (fm2s, s2fm) = read_tasks(["FM2S", "S2FM"])
    kept = {"FM2S-query": "Find: ", "Retrieval-document": "Item: ", "query": "q: "}
    model = words(tmp_path / "m", prompts=kept)
    model.scores(fm2s, ["a"], ["b"])
    model.scores(s2fm, ["c"], ["d"])
    assert model.model.read == ["Find: a", "Item: b", "q: c", "Item: d"]
    assert words(tmp_path / "n").prompt(fm2s, "query") == ""


def test_the_command_shows_every_ranker_on_every_task_beside_the_paper(starter: Path) -> None:
    found = kgkit("evaluate", "retrieval", "--json", workspace=starter).json
    assert list(found["tasks"]) == [task.name for task in read_tasks()]
    assert found["left_out"] == {}
    assert found["tasks"]["FM2S"] == {
        "queries": 106,
        "tested": 20,
        "items": 53,
        "items_in_tests_only": 6,
        "items_per_query": 4.0,
    }
    models = {score["model"] for score in found["scores"]}
    assert models == {"random (expected)", *RANKERS}
    assert set(found["scores"][0]) == {
        "model", "task", "metric", "value", "n", "ci_low", "ci_high", "slice",
    }  # fmt: skip
    assert [one["table"] for one in found["published"]] == ["Table 1", "Table 3"]
    assert {one["standing"] for one in found["published"]} == {"published, other split and data"}
    folder = starter / "evaluations" / "retrieval"
    assert "| FM2S | pair lookup | 95.0 [" in (folder / "table.md").read_text()
    assert any(one.startswith("figure: table.svg") for one in found["remarks"])
    svg = (folder / "table.svg").read_text()
    for text in ("FM2S: 20 queries", "mean of all tasks", "token kernel", "MAP@100"):
        assert text in svg, text
    with (folder / "scores.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found["scores"])


def test_an_embedder_is_ranked_kept_and_compared(small: Path, model: Path) -> None:
    found = kgkit("evaluate", "retrieval", "--model", model, "--json", workspace=small).json
    assert {score["model"] for score in found["scores"]} >= {"counted"}
    assert set(found["verdicts"]["counted"]) == {*found["tasks"], "mean"}
    (kept,) = (small / "evaluations" / "retrieval").glob("counted-*.json")
    card = json.loads(kept.read_text())
    assert card["split"] == "default"
    assert {"python", "kgkit"} <= card["versions"].keys()
    queries = sum(len(one["rankings"]) for one in card["tasks"].values())
    assert queries == sum(one["tested"] for one in found["tasks"].values())
    again = kgkit("evaluate", "retrieval", "--compare", "--json", workspace=small).json
    assert _of("counted", again) == _of("counted", found)
    assert again["returned_sets"] == found["returned_sets"]


def test_sets_are_returned_by_what_dev_queries_taught(starter: Path, model: Path) -> None:
    found = kgkit("evaluate", "retrieval", "--model", model, "--json", workspace=starter).json
    sets = {(one["task"], one["rule"]): one for one in found["returned_sets"]}
    rules = {"first 10", "first k", "score", "distance"}
    assert set(sets) == {(task, rule) for task in (*found["tasks"], "mean") for rule in rules}
    for task in found["tasks"]:
        assert sets[task, "first k"]["value"] == int(sets[task, "first k"]["value"]) >= 1
        assert sets[task, "first k"]["gain"] == 0
    shown = kgkit("evaluate", "retrieval", "--model", model, workspace=starter).out
    assert "F1 less that of first k" in shown


def test_a_verdict_names_the_strongest_that_is_surely_beaten(posed: PosedTasks) -> None:
    table = _with_result(posed, "token kernel")
    verdict = table.verdicts["copy"]["FM2CLS"]
    assert verdict.against["token kernel"].value == 0.0
    assert verdict.best == "BM25"
    beaten = verdict.against["BM25"]
    assert beaten.interval is not None
    assert 0 < beaten.interval.low < beaten.value < beaten.interval.high
    assert table.verdicts["copy"]["A2S"].best is None
    assert "copy, A2S: too few queries to be sure of anything" in table.remarks


def test_a_model_that_has_learned_from_held_out_families_is_refused(
    small: Path, model: Path
) -> None:
    trained = "trained_on: {protocol: transfer, families: [pumps, compressors], corpora: [x]}\n"
    (model / "kgkit-run.yaml").write_text(trained)
    line = ("evaluate", "retrieval", "--model", f"embedder:{model}")
    said = kgkit(*line, workspace=small, code=2).err
    assert "counted has learned from compressors, which retrieval asks about" in said
    marked = kgkit(*line, "--allow-contaminated", "--json", workspace=small).json
    assert "counted (contaminated)" in {score["model"] for score in marked["scores"]}
    (model / "kgkit-run.yaml").write_text(trained.replace(", compressors", ""))
    kgkit(*line, workspace=small)


def test_every_family_in_turn_tests_every_query_once_beside_training_without_its_family(
    tmp_path: Path,
) -> None:
    work = plant.load(tmp_path / "w", tables=tmp_path / "tables")
    with _graph(work) as graph:
        found = pose_tasks(graph, SPLIT, holdout=EACH)
    one = found.tasks["FM2S"]
    assert [sorted(fold.test.families) for fold in one.folds] == [
        ["compressors"], ["fans-and-blowers"], ["pumps"], ["steam-turbines"],
    ]  # fmt: skip
    for fold in one.folds:
        assert not fold.test.families & fold.train.families
        assert len(fold.train.families) == 3
    queries = [query.id for fold in one.folds for query in fold.test.queries]
    assert len(set(queries)) == len(queries) == one.queries == 10
    rankings = rank_without_model(found, embed=None)
    table = retrieval_table(found, rankings, [])
    n = {score.n for score in table.scores if (score.task, score.slice) == ("FM2S", "")}
    assert n == {10}


def test_what_no_family_decides_about_is_tested_once(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    rows = [f"Category {n},{chr(65 + n)}X,Machine {chr(65 + n)}s" for n in range(12)]
    path.write_text("\n".join(["category,class_code,class_name", *rows]) + "\n")
    kgkit("load", path, workspace=tmp_path / "w")
    with _graph(tmp_path / "w") as graph:
        once, each = (pose_tasks(graph, SPLIT, holdout=holdout) for holdout in (None, EACH))
    assert 0 < len(once.tasks["E2CAT"].relevant) < 12
    assert each.tasks["E2CAT"].relevant == once.tasks["E2CAT"].relevant


def test_another_hold_out_is_another_measurement(small: Path, model: Path, tmp_path: Path) -> None:
    line = ("evaluate", "retrieval", "--json")
    kgkit(*line, "--model", model, workspace=small)
    found = kgkit(*line, "--holdout", "pumps", "--compare", workspace=small).json
    assert found["holdout"] == "pumps"
    assert "counted" not in {score["model"] for score in found["scores"]}
    assert (
        "no asset of the graph is of the family x"
        in kgkit(*line, "--holdout", "x", workspace=small, code=2).err
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--limit", "3"), "--limit is for questions"),
        (("--case-study", "x.md"), "--case-study is for questions"),
        (("--model", "no/such/dir"), "no/such/dir is no sentence-transformers directory"),
        (("--model", "embedder:"), "the empty name is no sentence-transformers directory"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_is_ranked(
    arguments: tuple[str, ...], message: str, small: Path
) -> None:
    assert message in kgkit("evaluate", "retrieval", *arguments, workspace=small, code=2).err
    assert not (small / "evaluations").exists()


def test_a_workspace_without_held_out_queries_says_why(tmp_path: Path) -> None:
    work = plant.load(tmp_path / "w", "pump.csv", tables=tmp_path / "tables")
    said = kgkit("evaluate", "retrieval", workspace=work, code=2).err
    assert "no retrieval task can be measured" in said
    assert "A2S: no query is held out by this split" in said
    assert "E2CAT: no data: nothing in the workspace comes from the taxonomy" in said


@pytest.mark.parametrize("missing", ["bm25s", "sentence_transformers"])
def test_a_library_that_is_missing_is_named_with_what_installs_it(
    missing: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = words(tmp_path / "counted").directory
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else there(name)
    )
    said = kgkit("evaluate", "retrieval", "--model", folder, workspace=small, code=1).err
    assert f"needs {missing.replace('_', '-')}: pip install" in said


def test_what_lm_eval_asks_needs_a_language_model(starter: Path, tmp_path: Path) -> None:
    folder = words(tmp_path / "counted").directory
    graph = open_store(
        "ladybug", workspace=starter, owner=Workspace(starter).choices().id, settings=Settings()
    )
    with (
        closing(graph),
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
        pytest.raises(UsageError, match="is an embedder, which ranks options"),
    ):
        open_model(str(folder), settings=Settings(), ledger=ledger, graph=graph, questions=[])


@pytest.mark.local
def test_a_directory_of_sentence_transformers_scores_what_its_weights_score(tmp_path: Path) -> None:
    pull("minilm", cache_dir=read_settings().cache_dir)
    work = plant.load(tmp_path / "w", tables=tmp_path / "tables")
    found = kgkit(
        "evaluate", "retrieval", "--model", "embedder:minilm", "--json", workspace=work
    ).json
    ours, theirs = _of("minilm", found), _of("MiniLM, untuned", found)
    assert ours
    assert [one["value"] for one in ours] == pytest.approx([one["value"] for one in theirs])


def _graph(work: Path) -> closing[GraphStore]:
    owner = Workspace(work).choices().id
    return closing(open_store("ladybug", workspace=work, owner=owner, settings=Settings()))


def _of(model: str, found: Any) -> list[dict[str, Any]]:
    return [score for score in found["scores"] if score["model"] == model]


def _with_result(posed: PosedTasks, copied: Ranker) -> RetrievalTable:
    """A table in which a model ranks as a baseline does."""
    baselines: dict[str, dict[str, Rankings]] = {
        name: {
            task: ranked(name, one.folds[0].train, one.folds[0].test, embed=None)
            for task, one in posed.tasks.items()
        }
        for name in RANKERS
    }
    tasks = {
        task: TaskRankings(
            version=1,
            posed=posed.tasks[task].digest(),
            query_prompt="",
            item_prompt="",
            rankings={query: list(items) for query, items in rankings.items()},
        )
        for task, rankings in baselines[copied].items()
    }
    result = RetrievalResult(
        model="copy",
        identity="copy",
        trained_on=None,
        contaminated=[],
        benchmark="retrieval",
        split="default",
        holdout=None,
        versions={},
        tasks=tasks,
    )
    return retrieval_table(posed, baselines, [result])
