"""`kgkit finetune STUDY`: every arm with every seed in one command, over a tiny random model; and again without a step."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.finetune.jobs import CHATML, recipe_file
from tests.integration.models import need_local, tiny_model
from tests.walk import kgkit

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]
QUICK: dict[str, Any] = {
    "stages.0.data": [
        {
            "source": "questions",
            "benchmark": "fmsr",
            "rows": 8,
            "answer": "options",
            "wordings": 1,
            "share": None,
        }
    ],
    "stages.0.tokens": 100,
    "evaluate": [{"benchmark": "fmsr", "by": "options", "limit": 6}],
    "retain": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_local()
    pytest.importorskip("trl", reason='not installed: pip install "kgkit[finetune]"')
    return tiny_model(tmp_path_factory.mktemp("tiny"), template=CHATML, context=512)


def study_file(folder: Path, **changes: Any) -> Path:
    """A study of two trained arms, the second of two epochs, beside the model as it is."""
    fields = {
        "name": "mine",
        "version": 1,
        "title": "Does a second epoch help?",
        "source": "ours",
        "recipe": str(recipe_file(folder / "small.yaml", **QUICK)),
        "seeds": [0, 1],
        "every_arm": {},
        "tokens": 120,
        "base": "base",
        "arms": {"base": None, "once": {}, "twice": {"stages.0.epochs": 2}},
        "plots": [
            {
                "file": "epochs",
                "title": "Epochs",
                "along": "epochs",
                "lines": {"both": ["once", "twice"]},
                "logarithmic": False,
            }
        ],
        **changes,
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return path


def test_a_study_becomes_one_table_and_is_read_back_without_a_step(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    line = ("finetune", study_file(tmp_path), "--model", model, "--json")
    begun = kgkit(*line, workspace=starter)
    assert begun.err.startswith("5 runs, 4 of them to train: ")
    found, folder = begun.json, starter / "models" / "mine"
    assert list(found["arms"]) == ["base", "once", "twice"]
    assert [found["arms"][arm]["trained"] for arm in found["arms"]] == [False, True, True]
    assert [len(score["by_run"]) for score in found["scores"]] == [1, 2, 2]
    assert {score["n"] for score in found["scores"]} == {6}
    assert [(one["arm"], one["against"]) for one in found["to_base"]] == [
        ("once", "base"),
        ("twice", "base"),
    ]
    assert [(one["arm"], one["against"]) for one in found["between"]] == [("twice", "once")]
    longest = 14  # tokens of a row with its template
    for arm, epochs in (("once", 1), ("twice", 2)):
        assert 0 <= found["arms"][arm]["tokens_trained"] - 120 < longest * epochs

    assert json.loads((folder / "study.json").read_text()) == {
        name: value for name, value in found.items() if name != "folder"
    }
    page = (folder / "study.md").read_text(encoding="utf-8")
    assert "every trained arm was given 120 tokens in all" in page
    assert "| twice | 2 | " in page
    runs = list(csv.DictReader((folder / "runs.csv").read_text(encoding="utf-8").splitlines()))
    assert [(run["arm"], run["seed"]) for run in runs] == [
        ("base", ""),
        ("once", "0"),
        ("once", "1"),
        ("twice", "0"),
        ("twice", "1"),
    ]
    assert {path.name for path in folder.glob("*.[sp][vn]g")} == {
        "study.svg",
        "study.png",
        "epochs.svg",
        "epochs.png",
    }

    for card in folder.glob("*/kgkit-run.yaml"):
        (stage,) = yaml.safe_load(card.read_text(encoding="utf-8"))["stages"]
        epochs = 2 if card.parent.name.startswith("twice") else 1
        assert stage["tokens"] == epochs * sum(stage["data"]["tokens"].values())
        (said,) = [run for run in found["runs"] if run["folder"] == card.parent.name]
        assert said["data"] == {stage["name"]: stage["data"]["sha256"]}
        assert said["versions"]["trl"]

    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = kgkit(*line, workspace=starter)
    assert again.err.startswith("5 runs, 0 of them to train: 0 tokens in 0 steps")
    assert again.json == found
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == written

    card = folder / "once-seed1" / "kgkit-run.yaml"
    card.unlink()
    unfinished = kgkit(*line, workspace=starter, code=2).err
    assert "once-seed1 holds this very run, not finished: add --resume" in unfinished
    resumed = kgkit(*line, "--resume", workspace=starter)
    assert resumed.err.startswith("5 runs, 1 of them to train: ")
    assert resumed.json["scores"] == found["scores"]
    other = kgkit(*line, "--set", "lora.rank=2", workspace=starter, code=2).err
    assert "holds a run of another recipe; name this one with --name" in other

    data = folder / "once-seed0" / "stages" / "1-answers" / "data.json"
    said = json.loads(data.read_text(encoding="utf-8"))
    data.write_text(json.dumps({**said, "sha256": "other"}), encoding="utf-8")
    refused = kgkit(*line, workspace=starter, code=2).err
    assert "the workspace has changed since this run began" in refused


def test_a_benchmark_that_is_asked_in_two_ways_stands_twice(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    ways = [{"benchmark": "fmsr", "by": by, "limit": 6} for by in ("options", "letters")]
    study = study_file(
        tmp_path, seeds=[0], arms={"base": None, "once": {}}, plots=[], every_arm={"evaluate": ways}
    )
    found = kgkit("finetune", study, "--model", model, "--json", workspace=starter).json
    names = ["fmsr-by-options", "fmsr-by-letters"]
    assert [one["benchmark"] for one in found["to_base"]] == names
    scores = {(one["arm"], one["benchmark"]): one["value"] for one in found["scores"]}
    assert len(scores) == 4
    folder = starter / "models" / "mine"
    card = yaml.safe_load((folder / "once-seed0" / "kgkit-run.yaml").read_text(encoding="utf-8"))
    assert {one["benchmark"]: one["after"] for one in card["evaluation"]} == {
        name: pytest.approx(scores["once", name], abs=1e-4) for name in names
    }
    page = (folder / "study.md").read_text(encoding="utf-8")
    for name in names:
        assert f"| {scores['once', name]:.3f}" in page
        assert f"{name}, of 6" in page
        assert (starter / "evaluations" / name / "table.md").exists()


def test_the_plan_of_a_study_counts_every_arm_and_leaves_nothing(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    line = ("finetune", study_file(tmp_path), "--model", model, "--plan", "--json")
    found = kgkit(*line, workspace=starter).json
    assert found["runs"] == 5
    assert list(found["arms"]) == ["once", "twice"]
    assert found["hours_here"] > 0
    steps = sum(stage["steps"] for arm in found["arms"].values() for stage in arm["stages"])
    assert found["steps"] == 2 * steps
    assert not (starter / "models").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"every_arm": {"evaluate": []}}, "mine measures nothing, so that its arms cannot be compared"),
        (
            {"arms": {"base": None, "blind": {"retain": True}}},
            "mine, arm blind changes retain: arms that are not measured alike cannot be compared",
        ),
        (
            {"tokens": 10_000_000},
            "mine, arm once: its data has",
        ),
    ],
)  # fmt: skip
def test_what_would_be_no_fair_comparison_is_refused_before_anything_is_trained(
    model: Path, starter: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = study_file(tmp_path, **{"plots": [], **changes})
    refused = kgkit("finetune", path, "--model", model, workspace=starter, code=2).err
    assert said in refused
    assert len(refused.splitlines()) == 1
    assert not list(starter.rglob("adapter_model.safetensors"))
