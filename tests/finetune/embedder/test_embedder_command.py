"""`kgkit finetune embedder` over a tiny random encoder: a directory that works alone, says what it learned, and can be made again."""

import csv
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from kgkit.finetune.embedder.mining import nearest
from kgkit.finetune.embedder.recipe import read_embedder
from kgkit.finetune.recipe_files import find
from kgkit.retrieval.tasks import read_tasks
from kgkit.retrieval.texts import stored_prompts
from tests.finetune.embedder.posed import FM2S, SENSORS
from tests.finetune.embedder.tiny import tiny_encoder
from tests.integration.models import need_local
from tests.walk import kgkit

pytestmark = [pytest.mark.local, pytest.mark.timeout(900)]
QUICK = {
    "tasks": "[A2S, FM2S]",
    "steps": "12",
    "batch": "8",
    "learning_rate": "5.0e-3",
    "evaluations": "2",
    "held_out": "false",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_local()
    for library in ("sentence_transformers", "datasets", "accelerate"):
        pytest.importorskip(library, reason='not installed: pip install "kgkit[finetune]"')
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


def line(model: Path, name: str, **changes: str) -> list[str | Path]:
    said = {**QUICK, **changes}
    pairs = [part for field, value in said.items() for part in ("--set", f"{field}={value}")]
    return ["finetune", "embedder", "--model", model, "--name", name, *pairs]


def scores(work: Path, name: str) -> list[list[float]]:
    """How the directory alone, in plain sentence-transformers, scores sensors for a fault."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(work / "models" / name), local_files_only=True, device="cpu")
    queries = model.encode_query(
        ["Asset: pump, Fault: bearing damage", "Asset: pump"], prompt_name="FM2S-query"
    )
    items = model.encode_document(["vibration", "oil debris"], prompt_name="FM2S-document")
    found: list[list[float]] = model.similarity(queries, items).tolist()
    return found


def test_a_recipe_becomes_a_directory_that_ranks_better_and_says_what_it_learned(
    tiny: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KGKIT_CACHE_DIR", str(tmp_path / "cache"))  # without MiniLM's baselines
    said = kgkit(*line(tiny, "mine", held_out="true", steps="24"), "--json", workspace=starter).json
    folder = starter / "models" / "mine"
    assert said["model"] == str(folder)
    assert len(said["losses"]) == 24
    assert sum(said["losses"][-5:]) < sum(said["losses"][:5])
    gains = {one["task"]: one for one in said["evaluation"]}
    assert list(gains) == [task.name for task in read_tasks()]
    assert gains["FM2S"]["queries"] == 20
    assert gains["FM2S"]["difference"] > 0.1
    assert gains["FM2S"]["ci_low"] < gains["FM2S"]["difference"] < gains["FM2S"]["ci_high"]
    assert gains["A2S"]["ci_low"] is None

    card = yaml.safe_load((folder / "kgkit-run.yaml").read_text(encoding="utf-8"))
    assert card["trained_on"]["corpora"] == ["A2S", "FM2S"]
    assert card["held_out"] == ["compressors", "electric-generators"]
    assert not {"compressors", "electric-generators", "fans-and-blowers"} & set(
        card["trained_on"]["families"]
    )
    rows = [json.loads(each) for each in (folder / "rows.jsonl").read_text("utf-8").splitlines()]
    assert {row["step"] for row in rows} == set(range(1, 25))
    assert sum(task["rows"] for task in card["data"]["tasks"].values()) == len(rows)
    assert [one["step"] for one in card["training"]["measured"]] == [12, 24]
    of_dev = {one["task"]: one for one in card["dev"]}
    kept_at = card["training"]["kept_step"]
    at_the_kept = next(one for one in card["training"]["measured"] if one["step"] == kept_at)
    assert of_dev["FM2S"]["after"] == at_the_kept["FM2S"] != of_dev["FM2S"]["before"]
    assert not (folder / "checkpoints").exists()
    said_of_each = (folder / "queries.csv").read_text(encoding="utf-8")
    queries = list(csv.DictReader(said_of_each.splitlines()))
    asked = [row for row in queries if (row["side"], row["task"]) == ("held-out", "FM2S")]
    asked_of_dev = [row for row in queries if (row["side"], row["task"]) == ("dev", "FM2S")]
    for found, told in ((asked, gains), (asked_of_dev, of_dev)):
        for when in ("before", "after"):
            mean = statistics.fmean(float(row[when]) for row in found)
            assert told["FM2S"][when] == pytest.approx(mean, abs=1e-4)
    assert {row["side"] for row in queries} == {"dev", "held-out"}
    assert "| FM2S | 20 |" in (folder / "README.md").read_text(encoding="utf-8")

    kept = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    assert stored_prompts(read_tasks(["A2S", "FM2S"])).items() <= kept["prompts"].items()
    assert len(scores(starter, "mine")) == 2
    kept = [
        json.loads(each.read_text(encoding="utf-8"))
        for each in (starter / "evaluations" / "retrieval").glob("*.json")
    ]
    assert {each["model"] for each in kept} == {tiny.name, "mine"}  # as `evaluate retrieval` does

    assert (
        "this very run, finished"
        in kgkit(*line(tiny, "mine", held_out="true", steps="24"), workspace=starter, code=2).err
    )


def test_the_same_seed_gives_the_same_scores_also_after_a_cut(tiny: Path, starter: Path) -> None:
    first = kgkit(*line(tiny, "one"), "--json", workspace=starter).json
    kgkit(*line(tiny, "two"), "--json", workspace=starter)
    assert scores(starter, "one") == scores(starter, "two")
    cut_short(starter, tiny, "cut", at=6)
    resumed = kgkit(*line(tiny, "cut"), "--resume", "--json", workspace=starter).json
    assert resumed["losses"] == first["losses"]
    assert scores(starter, "cut") == scores(starter, "one")


def cut_short(work: Path, model: Path, name: str, *, at: int) -> None:
    """Leave a run as a power cut after step `at` and its checkpoint would."""
    calls = 0

    def dies() -> int:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kgkit.finetune.embedder.train.peak_memory", dies)
        kgkit(*line(model, name), workspace=work, code=130)
    assert (work / "models" / name / "checkpoints" / f"checkpoint-{at}").is_dir()


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "{name: contrastive, margin: 1.0, positives: 0.5, hard: null}"},
        {"loss": "{name: contrastive, margin: 1.0, positives: 0.5, hard: {share: 0.5, depth: 3}}"},
        {"loss": "{name: in-batch, scale: 20.0, masked: true}"},
        {"loss": "{name: in-batch, scale: 20.0, masked: false}"},
        {"loss": "{name: cosent, scale: 20.0, positives: 0.5, hard: null}"},
        {"loss": "{name: angle, scale: 20.0, positives: 0.5, hard: null}"},
        {"patience": "1", "evaluations": "4"},
    ],
    ids=lambda changes: "-".join(changes.values())[:24],
)
def test_every_loss_trains(changes: dict[str, str], tiny: Path, starter: Path) -> None:
    short = {"tasks": "[FM2S]", "steps": "4", "evaluations": "1", **changes}
    said = kgkit(*line(tiny, "any", **short), "--json", workspace=starter).json
    assert all(loss >= 0 for loss in said["losses"])
    assert said["kept_step"] in (1, 2, 3, 4)
    assert len(scores(starter, "any")) == 2


def test_hard_negatives_are_what_the_untrained_model_takes_for_answers(tiny: Path) -> None:
    from sentence_transformers import SentenceTransformer

    hard = {"share": 0.5, "depth": 3}
    loss = {"name": "contrastive", "margin": 1.0, "positives": 0.5, "hard": hard}
    said = read_embedder(find("embedder"), {"loss": loss})
    found = nearest(tiny, said, {"FM2S": FM2S})
    model = SentenceTransformer(str(tiny), local_files_only=True, device="cpu")
    of_query, of_item = (prompt for _, prompt in stored_prompts([FM2S.task]).items())
    queries = model.encode([of_query + one.text for one in FM2S.queries])
    items = model.encode([of_item + one for one in SENSORS])
    for query, scores in zip(FM2S.queries, model.similarity(queries, items).tolist(), strict=True):
        order = sorted(range(len(SENSORS)), key=lambda at: -scores[at])
        wrong = [SENSORS[at] for at in order if SENSORS[at] not in FM2S.relevant[query.id]]
        assert found["FM2S", query.id] == wrong
    assert nearest(tiny, read_embedder(find("embedder")), {"FM2S": FM2S}) == {}


def test_a_plain_encoder_is_adapted_with_last_token_pooling_and_saved_whole(
    tiny: Path, starter: Path
) -> None:
    plain = tiny / "bare"
    said = kgkit(*line(plain, "bare"), workspace=starter, code=1).err
    assert "is no sentence-transformers directory" in said
    assert "--set pooling=mean" in said
    adapter = "{rank: 4, alpha: 8, dropout: 0.0, targets: all-linear, layers: [1, 1]}"
    last = line(plain, "bare", pooling="last", lora=adapter, steps="4", held_out="true")
    assert len(kgkit(*last, "--json", workspace=starter).json["evaluation"]) == 9
    folder = starter / "models" / "bare"
    assert not (folder / "untrained").exists()
    assert not list(folder.rglob("adapter_*"))
    from safetensors.torch import load_file

    before, after = (load_file(each / "model.safetensors") for each in (plain, folder))
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all(".layer.1." in name and name.endswith("weight") for name in changed)
    shutil.move(folder, starter / "models" / "elsewhere")
    assert len(scores(starter, "elsewhere")) == 2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(starter / "models" / "elsewhere")
    assert tokenizer("vibration")["input_ids"][-1] == tokenizer.eos_token_id


def test_what_cannot_be_trained_is_said_in_one_line(tiny: Path, starter: Path) -> None:
    def said(*more: Any, code: int = 2) -> str:
        err = kgkit(*line(tiny, "no"), *more, workspace=starter, code=code).err
        assert len(err.splitlines()) == 1, err
        return err

    assert "loss.scal is unknown; did you mean scale?" in said("--set", "loss.scal=3")
    assert "there is no retrieval task FM2X" in said("--set", "tasks=[FM2X]")
    typo = said("--set", "left_out={FM2SS: 0.5}")
    assert "left_out.FM2SS is no retrieval task; did you mean FM2S?" in typo
    assert "the workspace has none: set it to 0" in said("--set", "descriptions=0.5")
    wanted = said("--set", "teacher_paraphrases=true")
    assert "have them made: kgkit teacher paraphrase" in wanted
    assert "--merge is for language models" in said("--merge")
    assert not (starter / "models").exists()


def test_a_teachers_paraphrases_are_learned_and_the_card_says_whose(
    tiny: Path, starter: Path
) -> None:
    said = "By which measurements would this fault be noticed?"
    listed = {"FM2S": [{"text": said, "teacher": "editor", "ask": "a"}]}
    (starter / "paraphrases.yaml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    changes = {"teacher_paraphrases": "true", "paraphrased": "1.0"}
    kgkit(*line(tiny, "mine", **changes), workspace=starter)
    folder = starter / "models" / "mine"
    assert f"Instruct: {said} Query: " in (folder / "rows.jsonl").read_text(encoding="utf-8")
    card = yaml.safe_load((folder / "kgkit-run.yaml").read_text(encoding="utf-8"))
    assert card["data"]["teacher_paraphrases"] == {"editor": 1}
    assert "paraphrases as well: 1 of editor." in (folder / "README.md").read_text("utf-8")
    kgkit(*line(tiny, "own", paraphrased="1.0"), workspace=starter)
    assert said not in (starter / "models" / "own" / "rows.jsonl").read_text(encoding="utf-8")


def test_ablations_train_every_value_and_read_back_what_is_there(
    tiny: Path, starter: Path, tmp_path: Path
) -> None:
    said = yaml.safe_load(find("embedder-ablations").read_text(encoding="utf-8"))
    short = {"tasks": ["FM2S"], "steps": 2, "batch": 4, "model": str(tiny)}
    values = {"none": {"paraphrased": 0.0}, "all": {"paraphrased": 1.0}}
    sweep = {"title": "How often", "axis": "share", "base": "none", "seeds": [0], "values": values}
    said |= {"name": "mine", "sweeps": {"seen": sweep}}
    said["every_run"] |= short
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    plan = kgkit("finetune", path, "--plan", "--json", workspace=starter).json
    assert (plan["runs"], plan["steps"]) == (2, 4)
    assert not (starter / "models").exists()
    first = kgkit("finetune", path, "--json", workspace=starter).json
    assert [(one["value"], one["task"]) for one in first["scores"]] == [
        (value, task) for value in values for task in ("FM2S", "mean")
    ]
    none, all_ = (one for one in first["scores"] if one["task"] == "mean")
    assert all_["difference"] == pytest.approx(all_["mean"] - none["mean"])
    assert all_["interval"]["low"] <= all_["difference"] <= all_["interval"]["high"]
    folder = starter / "models" / "mine"
    assert {each.name for each in folder.iterdir()} == {
        "ablations.md",
        "scores.csv",
        "seen",
        "seen.png",
        "seen.svg",
    }
    assert "this very run, finished" in kgkit("finetune", path, workspace=starter, code=2).err
    again = kgkit("finetune", path, "--resume", "--json", workspace=starter).json
    assert again["scores"] == first["scores"]


def test_a_plan_counts_and_measures_and_leaves_nothing(tiny: Path, starter: Path) -> None:
    found = kgkit(*line(tiny, "mine"), "--plan", "--json", workspace=starter).json
    assert found["steps"] == sum(one["steps"] for one in found["tasks"]) == 12
    assert [one["task"] for one in found["tasks"]] == ["A2S", "FM2S"]
    assert found["seconds_here"] > 0
    assert not (starter / "models").exists()
