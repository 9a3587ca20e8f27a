"""`kgkit finetune`: data, training, card and verdict in one command, over a tiny random model."""

import importlib.util
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kgkit.evaluation.models import CARD
from kgkit.evaluation.pose import pose
from kgkit.finetune import memory
from kgkit.finetune.engine import TooLittleMemoryError, last_checkpoint
from kgkit.finetune.job import adapted
from kgkit.finetune.recipe import Lora
from kgkit.finetune.recipe_files import find, read_recipe
from kgkit.finetune.run import LAUNCHED
from kgkit.finetune.worker import launcher
from kgkit.questions.files import write_jsonl
from tests.conftest import Open
from tests.finetune.jobs import SMALL, recipe_file
from tests.walk import MATRIX, kgkit

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]
EXPLAINED = [{"source": "statements", "benchmark": "fmsr", "wordings": 1, "unnamed": 0.0, "explained": True, "share": None}]  # fmt: skip
QUICK: dict[str, Any] = {
    "stages.0.data.0.rows": 24,
    "stages.0.data.0.wordings": 1,
    "evaluate.0.limit": 6,
    "retain": False,
}


def without_questions(**changes: Any) -> dict[str, Any]:
    """The quick recipe, of which nothing is asked."""
    return {**{key: one for key, one in QUICK.items() if key != "evaluate.0.limit"}, "evaluate": [], **changes}  # fmt: skip


def two_stages(path: Path, **second: Any) -> Path:
    """The small recipe with its stage twice, the second one changed."""
    recipe = read_recipe(find("small-sft"), {**SMALL, **QUICK}).model_dump(mode="json")
    recipe["stages"].append({**recipe["stages"][0], "name": "again", **second})
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def test_a_recipe_becomes_a_model_that_says_what_it_learned(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    line = ("finetune", recipe_file(tmp_path / "mine.yaml", **QUICK), "--model", model)
    said = kgkit(*line, "--json", workspace=starter).json
    folder = starter / "models" / "small-sft"
    assert said["model"] == str(folder)
    assert said["run_card"] == str(folder / "kgkit-run.yaml")
    assert said["tokens"] > 0
    assert said["seconds"] > 0
    (compared,) = said["evaluation"]
    assert compared["benchmark"] == "fmsr"
    assert compared["questions"] == 6

    written = (folder / "kgkit-run.yaml").read_text(encoding="utf-8")
    card = yaml.safe_load(written)
    assert card["trained_on"]["protocol"] == "transfer"
    assert card["held_out"] == ["compressors", "electric-generators"]
    assert not {"compressors", "electric-generators", "fans-and-blowers"} & set(
        card["trained_on"]["families"]
    )
    rows = sum(card["stages"][0]["data"]["rows"].values())
    assert 10 < rows <= 24
    left_out = card["left_out"]["questions fmsr"]["tells of the evaluation"]
    assert card["contamination"] == {"rows_searched": rows + left_out, "rows_left_out": left_out}
    assert [len(losses) for losses in said["losses"]] == [-(-rows // 4)]
    assert card["verdict"]
    assert not list(folder.glob("*.pt"))
    assert not list(folder.rglob("*.bin"))  # no pickle, in no checkpoint
    assert card["model"]["weights"].keys() == {"model.safetensors"}

    compared_with = kgkit("evaluate", "fmsr", "--limit", "6", "--compare", workspace=starter).out
    assert "local:small-sft" in compared_with  # as README goes on: both, beside what needs no model
    assert "pair lookup" in compared_with

    family = card["trained_on"]["families"][0]
    evaluate = ("evaluate", "fmsr", "--plain", "--limit", "4", "--model", f"local:{folder}")
    refused = kgkit(*evaluate, "--holdout", family, workspace=starter, code=2).err
    assert f"has learned from {family}" in refused

    assert "this very run, finished: add --resume" in kgkit(*line, workspace=starter, code=2).err
    kgkit(
        "load", "--remove", "iso17359/pump.csv", workspace=starter
    )  # what it learned from is gone
    again = kgkit(*line, "--resume", "--merge", "--json", workspace=starter).json
    assert again == said
    assert (folder / "kgkit-run.yaml").read_text(encoding="utf-8") == written  # as it was
    assert (folder / "merged" / "model.safetensors").exists()
    other = kgkit(*line, "--set", "seed=3", workspace=starter, code=2).err
    assert "holds a run of another recipe; name this one with --name" in other


def test_what_the_model_has_learned_before_is_learned(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    """Else who trains twice, the second time with other families held out, would be told of a gain that is none."""
    base = shutil.copytree(model, tmp_path / "base")
    learned = {"protocol": "transfer", "families": ["tanks"], "corpora": ["lectures"]}
    card = base / "kgkit-run.yaml"
    card.write_text(yaml.safe_dump({"trained_on": learned}), encoding="utf-8")
    mine = recipe_file(tmp_path / "mine.yaml", **QUICK)
    rows = [{"text": "The gas turbine vibrates, and its seal leaks."}] * 4
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part = {"source": "files", "path": str(data), "config": None, "share": None}
    clean = recipe_file(
        tmp_path / "clean.yaml", **{**QUICK, "stages.0.data.0": part, "protocol": "alia"}
    )
    said = kgkit("finetune", clean, "--model", base, "--json", workspace=starter).json
    found = yaml.safe_load(Path(said["run_card"]).read_text(encoding="utf-8"))["trained_on"]
    assert found["families"] == ["gas-turbines", "tanks"]  # also of what no column names
    assert found["corpora"] == ["lectures", "mine.jsonl"]
    assert found["protocol"] == "transfer"  # what was learned stays learned

    card.write_text(yaml.safe_dump({"trained_on": learned | {"protocol": "alia"}}), "utf-8")
    said = kgkit(
        "finetune", mine, "--model", base, "--name", "third", "--json", workspace=starter
    ).json
    assert said["evaluation"][0]["questions"] == 6  # documents first, then cells: compared as well

    learned["families"] = ["compressors", "tanks"]
    card.write_text(yaml.safe_dump({"trained_on": learned}), encoding="utf-8")
    teacher = f"stages.0.distillation.teacher={base}"
    for line in (
        ("finetune", mine, "--model", base, "--name", "again"),
        (
            "finetune",
            "distillation",
            "--model",
            model,
            "--set",
            teacher,
            "--set",
            "lora.layers=null",
        ),
        ("finetune", "embedder", "--model", base, "--set", "pooling=last", "--name", "embedder"),
    ):
        refused = kgkit(*line, workspace=starter, code=3).err
        assert "base: it has learned from compressors, which this workspace holds out" in refused
    assert {each.name for each in (starter / "models").iterdir()} == {"small-sft", "third"}


@pytest.mark.parametrize(
    ("whole", "file"), [(False, "adapter_model.safetensors"), (True, "model.safetensors")]
)
def test_a_stage_begins_with_the_weights_of_the_one_before(
    whole: bool, file: str, model: Path, starter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    recipe = two_stages(tmp_path / "two.yaml", learning_rate=1e-12)
    line = ("finetune", recipe, "--model", model, *(("--set", "lora=null") if whole else ()))
    assert len(kgkit(*line, "--plan", "--json", workspace=starter).json["stages"]) == 2
    kgkit(*line, workspace=starter)
    stages = starter / "models" / "small-sft" / "stages"
    first, second = (
        load_file(stages / name / "weights" / file) for name in ("1-answers", "2-again")
    )
    assert first.keys() == second.keys()
    assert all((first[name] - second[name]).abs().max() < 1e-8 for name in first)
    # TRL's command goes on from no adapter
    assert [(stages / name / "trl.yaml").exists() for name in ("1-answers", "2-again")] == [True, whole]  # fmt: skip
    before = {} if not whole else load_file(model / file)
    assert any(
        (tensor - before.get(name, 0)).abs().max() > 1e-4
        for name, tensor in first.items()
        if whole or "lora_B" in name
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")  # what peft still calls of transformers
def test_merged_is_the_same_model(model: Path, starter: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    kgkit(
        "finetune",
        recipe,
        "--model",
        model,
        "--merge",
        "--set",
        "precision=float32",
        workspace=starter,
    )
    folder = starter / "models" / "small-sft"
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        plain = base(ids).logits.clone()
        adapted = PeftModel.from_pretrained(base, folder)(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.float32)(
            ids
        ).logits
    assert (adapted - plain).abs().max() > 1e-4
    assert (adapted - merged).abs().max() < 1e-4
    assert (folder / "merged" / "kgkit-run.yaml").read_bytes() == (
        folder / "kgkit-run.yaml"
    ).read_bytes()


def test_a_plan_counts_and_measures_and_leaves_nothing(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    found = kgkit("finetune", recipe, "--model", model, "--plan", "--json", workspace=starter).json
    (stage,) = found["stages"]
    assert stage["steps"] == -(-stage["rows"] // 4)
    assert stage["hours_here"] > 0
    assert found["trained_parameters"] < found["parameters"]
    assert set(found["estimated_hours"]) == {"one H200", "2 x A100"}
    each = found["estimated_hours"]["one H200"] * 3600 / stage["steps"]
    assert each > 0.05, "a GPU's step takes time, however small the model is"
    assert found["estimated_gpu_memory_gb"] > 0
    assert not (starter / "models").exists()


def test_rows_that_are_cut_off_are_told(model: Path, starter: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "pump", "completion": " ".join(["leak"] * times)} for times in (2, 3, 90)]
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part = {"source": "files", "path": str(data), "config": None, "share": None}
    recipe = recipe_file(tmp_path / "mine.yaml", **{**QUICK, "stages.0.data.0": part})
    said = kgkit("finetune", recipe, "--model", model, "--plan", workspace=starter).err
    assert "1 of 3 rows of mine.jsonl are longer than the context of 64 tokens" in said


def test_data_of_a_held_out_asset_is_refused_before_anything_is_trained(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": "a", "completion": "b", "asset": asset} for asset in ("pump", "compressor")]
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part = {"source": "files", "path": str(data), "config": None, "share": None}
    recipe = recipe_file(tmp_path / "mine.yaml", **{**QUICK, "stages.0.data.0": part})
    said = kgkit("finetune", recipe, "--model", model, workspace=starter, code=3).err
    assert said.startswith("kgkit: mine.jsonl, row 2: ")
    assert "is about compressor, which is held out" in said
    assert len(said.splitlines()) == 1
    assert not (starter / "models" / "small-sft" / "stages").exists()


def test_questions_that_will_be_asked_are_refused_in_files(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    """Also the general ones, which say whether the rest was kept, and those beyond a limit."""
    data = tmp_path / "mine.jsonl"
    asked = "Question: What is the capital of Portugal? A. Madrid B. Lisbon"
    data.write_text(json.dumps({"prompt": asked, "completion": "B"}) + "\n", encoding="utf-8")
    part = {"source": "files", "path": str(data), "config": None, "share": None}
    recipe = recipe_file(tmp_path / "mine.yaml", **{**QUICK, "stages.0.data.0": part})
    said = kgkit("finetune", recipe, "--model", model, workspace=starter, code=3).err
    assert "asks what the evaluation asks: What is the capital of Portugal?" in said


def test_a_benchmark_asked_in_two_ways_has_two_verdicts(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    """And is searched for in both: a way that is none for its questions is refused before the data is gathered."""
    ways = [{"benchmark": "fmsr", "by": by, "limit": 6} for by in ("letters", "minimal-pairs")]
    changes = {**QUICK, "evaluate": ways, "retain": True}
    del changes["evaluate.0.limit"]
    mine = recipe_file(tmp_path / "mine.yaml", **changes)
    line = ("finetune", mine, "--model", model)
    said = kgkit(*line, "--json", workspace=starter).json
    names = [one["benchmark"] for one in said["evaluation"]]
    assert names == ["fmsr-by-letters", "fmsr-by-minimal-pairs", "general"]
    card = yaml.safe_load(Path(said["run_card"]).read_text(encoding="utf-8"))
    *_, letters, pairs, rest = card["verdict"]
    assert "gained on fmsr-by-letters:" in letters
    assert "gained on fmsr-by-minimal-pairs:" in pairs
    assert "kept on general" in rest
    other = 'evaluate=[{"benchmark": "fmsr-mix", "by": "minimal-pairs", "limit": 6}]'
    said = kgkit(*line, "--set", other, "--name", "other", workspace=starter, code=2).err
    assert "not every question of fmsr-mix has one right option" in said


def test_a_recipe_without_benchmarks_ends_with_its_verdict(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    line = ("finetune", recipe, "--model", model)
    kgkit("load", "--split", "none", workspace=starter)
    said = kgkit(*line, workspace=starter, code=2).err
    assert "benchmark fmsr gives no question" in said
    assert "to train without benchmarks: --set 'evaluate=[]'" in said
    bare = (*line, "--set", "evaluate=[]", "--set", "retain=true")
    found = kgkit(*bare, workspace=starter)
    assert "general" in found.out
    assert "next: " not in found.err


def test_a_benchmark_about_what_is_learned_is_refused_before_anything_is_trained(
    model: Path, starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    derivation = open_workspace(starter)
    graph, split = derivation.graph, derivation.split
    mine = tmp_path / "mine.jsonl"
    write_jsonl(pose("fmsr", graph=graph, split=split, holdout="pumps", limit=5).questions, mine)
    measured = [{"benchmark": str(mine), "by": "letters", "limit": None}]
    recipe = recipe_file(tmp_path / "mine.yaml", **{**QUICK, "evaluate": measured})
    said = kgkit("finetune", recipe, "--model", model, workspace=starter, code=2).err
    assert "its data tells of pumps, which mine asks about" in said
    assert not (starter / "models").exists()


def test_a_run_that_trained_nothing_is_not_in_the_way(
    model: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    with monkeypatch.context() as patched:
        patched.setattr("kgkit.finetune.run.train", stopped)
        said = kgkit("finetune", recipe, "--model", model, workspace=starter, code=130).err
        assert "run the same command again with --resume to go on" in said
    assert (starter / "models" / "small-sft" / "recipe.yaml").exists()
    line = ("finetune", recipe, "--set", "seed=3", "--model", model, "--json")
    assert kgkit(*line, workspace=starter).json["tokens"] > 0


def test_a_run_that_is_stopped_while_it_is_measured_goes_no_further(
    model: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    recipe = recipe_file(tmp_path / "mine.yaml", **{**QUICK, "evaluate.0.limit": 200})
    with monkeypatch.context() as patched:
        patched.setattr("kgkit.cli.finetune._Told.event", stop)
        said = kgkit("finetune", recipe, "--model", model, workspace=starter, code=130).err
    assert "run the same command again with --resume to go on" in said
    stages = starter / "models" / "small-sft" / "stages"
    assert not list(stages.glob("*/weights"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "lora.targets=[q_proj, k_prj]",
            "has no linear module k_prj below its output head; it has down_proj, gate_proj, ",
        ),
        ("lora.targets=[q_proj, lm_head]", "has no linear module lm_head below its output head"),
        ("lora.layers=[7, 9]", "has the layers 0 to 1, and none of (7, 9) to adapt"),
    ],
)
def test_an_adapter_for_what_the_model_does_not_have_is_refused(
    change: str, said: str, model: Path, starter: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    line = ("finetune", recipe, "--model", model, "--set", change)
    assert said in kgkit(*line, workspace=starter, code=2).err
    assert not (starter / "models" / "small-sft" / "stages").exists()


def test_one_kind_of_module_can_be_adapted(model: Path, starter: Path, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    line = ("finetune", recipe, "--model", model, "--set", "lora.targets=[q_proj]")
    kgkit(*line, "--set", "evaluate=[]", workspace=starter)
    folder = starter / "models" / "small-sft"
    adapter = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert len(adapter["target_modules"]) == 2
    assert all(name.endswith("q_proj") for name in adapter["target_modules"])


def test_modules_are_named_by_their_ends(model: Path) -> None:
    lora = Lora(rank=2, alpha=4, dropout=0.0, targets=["self_attn.q_proj"], layers=None)
    names = [f"model.layers.{at}.self_attn.q_proj" for at in (0, 1)]
    assert sorted(adapted(lora, model)) == names
    assert sorted(adapted(lora.model_copy(update={"layers": (1, 1)}), model)) == names[1:]


def test_pythons_reference_is_no_file_of_ones_own(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    """Where it names a held-out asset, as *generator*, the row is left out: nobody could take it out."""
    part = {"source": "general", "form": "text", "path": None, "rows": None, "share": None}
    changes = {"stages.0.data": [part], "evaluate": [], "retain": False}
    recipe = recipe_file(tmp_path / "mine.yaml", **changes)
    kgkit("content", "copy", tmp_path / "own", workspace=starter)
    splits = tmp_path / "own" / "corpora" / "splits.yaml"
    text = splits.read_text(encoding="utf-8")
    assert "[electric generator," in text
    splits.write_text(text.replace("[electric generator,", "[generator,"), encoding="utf-8")
    (tmp_path / "generator.csv").write_text(MATRIX, encoding="utf-8")
    line = ("finetune", recipe, "--model", model, "--plan", "--json")
    (every,) = kgkit(*line, workspace=starter).json["stages"]
    env = {"KGKIT_CONTENT": str(tmp_path / "own")}
    kgkit("load", tmp_path / "generator.csv", workspace=tmp_path / "w", env=env)
    (some,) = kgkit(*line, workspace=tmp_path / "w", env=env).json["stages"]
    assert 0 < some["rows"] < every["rows"]


def test_a_command_killed_in_mid_training_goes_on_to_the_same_losses(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    """Killed as nothing can catch it, on a terminal, where a bar shows how far it has come."""
    changes = without_questions(**{"stages.0.epochs": 60})
    recipe = recipe_file(tmp_path / "mine.yaml", **changes)
    line = ("finetune", recipe, "--model", model)
    (whole,) = kgkit(*line, "--name", "whole", "--json", workspace=starter).json["losses"]

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kgkit", *map(str, line), "--workspace", str(starter)]
    weights = starter / "models" / "small-sft" / "stages" / "1-answers" / "weights"
    shown = b""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as run:
        os.close(theirs)
        while last_checkpoint(weights) is None or b"tokens/s" not in shown:
            assert run.poll() is None, shown.decode()
            if select.select([ours], [], [], 0.05)[0]:
                shown += os.read(ours, 1 << 16)
        run.kill()
    os.close(ours)
    assert re.search(r"answers .*━.* step \d+ of \d+, loss \d", shown.decode())
    assert re.search(r"tokens/s, \d\.\d GB, about \d:\d\d:\d\d", shown.decode())
    assert not (starter / "models" / "small-sft" / "kgkit-run.yaml").exists()

    resumed = kgkit(*line, "--resume", "--json", workspace=starter).json
    card = yaml.safe_load(Path(resumed["run_card"]).read_text(encoding="utf-8"))
    assert 0 < card["stages"][0]["resumed_at"] < len(whole)
    assert resumed["losses"][0] == pytest.approx(whole, abs=1e-6)


def test_a_general_corpus_of_ones_own_is_drawn_from_and_searched(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    """Web text names everything: what tells of the evaluation is left out and counted, not refused."""
    texts = [f"The leak number {n} of the pump." for n in range(20)]
    texts[3:3] = ["A compressor vibrates.", "What is the capital of Portugal? Lisbon.", " "]
    data = tmp_path / "web.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    part = {"source": "general", "form": "text", "path": str(data), "rows": None, "share": None}
    changes = {"stages.0.data": [part], "evaluate": [], "retain": False}
    recipe = recipe_file(tmp_path / "mine.yaml", **changes)
    line = ("finetune", recipe, "--model", model, "--plan", "--json")
    planned = kgkit(*line, workspace=starter)
    assert planned.json["stages"][0]["rows"] == 20
    assert "left out: 1 is empty, 2 tells of the evaluation" in planned.err
    some = (*line, "--set", "stages.0.data.0.rows=5")
    assert 3 <= kgkit(*some, workspace=starter).json["stages"][0]["rows"] <= 5
    chat = (*line, "--set", "stages.0.data.0.form=chat")
    said = kgkit(*chat, workspace=starter, code=3).err
    assert "web.jsonl: row 1: is a text, and the part says form: chat" in said
    kgkit(*line[:-2], workspace=starter)
    card = yaml.safe_load((starter / "models" / "small-sft" / CARD).read_text(encoding="utf-8"))
    assert card["trained_on"]["families"] == ["pumps"]  # no later run may measure the model on them


def test_a_run_goes_on_in_as_many_processes_as_it_began_with(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    line = ("finetune", recipe, "--model", model, "--set", "evaluate=[]")
    kgkit(*line, workspace=starter)
    folder = starter / "models" / "small-sft"
    (folder / CARD).unlink()  # as if it had been stopped after its last step
    elsewhere = (*line, "--resume", "--launch", "cpu-2")
    said = kgkit(*elsewhere, workspace=starter, code=2).err
    assert "was begun without --launch: go on with it so, or train it anew with --name" in said
    shutil.copy(launcher("cpu-2"), folder / LAUNCHED)
    said = kgkit(*line, "--resume", workspace=starter, code=2).err
    assert f"was begun with --launch and what {folder / LAUNCHED} says" in said
    kgkit(*elsewhere, workspace=starter)
    card = yaml.safe_load((folder / CARD).read_text(encoding="utf-8"))
    assert card["seconds"] >= card["stages"][0]["seconds"] > 0  # the first process's, too


def test_a_run_begins_with_a_whole_model(model: Path, starter: Path, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    kgkit("finetune", recipe, "--model", model, "--merge", workspace=starter)
    folder = starter / "models" / "small-sft"
    line = ("finetune", recipe, "--name", "next")
    said = kgkit(*line, "--model", folder, workspace=starter, code=2).err
    assert "is an adapter, and a run begins with a whole model: merge it" in said
    assert f"--model {folder / 'merged'}" in said
    kgkit(*line, "--model", folder / "merged", workspace=starter)


def test_what_this_machine_cannot_train_is_said_before(
    model: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    line = ("finetune", recipe, "--model", model)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    four_bits = kgkit(*line, "--set", "quantized=true", workspace=starter, code=2).err
    planned = kgkit(*line, "--set", "quantized=true", "--plan", workspace=starter).out
    assert "here: more memory is wanted than is free for answers (" in planned
    assert ": 0.0 GB), or CUDA for 4 bits" in planned
    assert "quantized is true, which needs a GPU with CUDA and bitsandbytes" in four_bits
    whole = kgkit(*line, "--set", "lora=null", "--merge", workspace=starter, code=2).err
    assert "--merge is for adapters" in whole
    study = kgkit("finetune", "industrygpt-ablation", "--merge", workspace=starter, code=2).err
    assert "--merge is for one model" in study
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    two = kgkit(*line, workspace=starter, code=2).err
    assert "2 GPUs are at hand: add --launch ddp" in two


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max": "1000", "memory.current": "400", "memory.stat": "anon 5\ninactive_file 100\n"},
        {"memory.limit_in_bytes": "1000", "memory.usage_in_bytes": "400", "memory.stat": "inactive_file 1\ntotal_inactive_file 100\n"},
    ],
    ids=["version 2", "version 1"],
)  # fmt: skip
def test_a_containers_memory_is_what_its_limit_leaves(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    named = next(names for names in memory._CGROUPS.values() if names[0] in files)
    monkeypatch.setattr(memory, "_CGROUPS", {tmp_path: named})
    assert memory.free_bytes() > 1000
    for name, said in files.items():
        (tmp_path / name).write_text(said, encoding="ascii")
    assert memory.free_bytes() == 700
    (tmp_path / named[0]).write_text("max", encoding="ascii")
    assert memory.free_bytes() > 1000


def test_a_launcher_that_cannot_start_is_refused_before_anything_is_gathered(
    model: Path, starter: Path, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    broken = tmp_path / "broken.yaml"
    broken.write_text("num_processes: [2", encoding="utf-8")
    line = ("finetune", recipe, "--model", model, "--launch")
    assert "broken.yaml: is no YAML" in kgkit(*line, broken, workspace=starter, code=2).err
    for said in ("", "- 2", "num_processes: auto"):
        broken.write_text(said, encoding="utf-8")
        refused = kgkit(*line, broken, workspace=starter, code=2).err
        assert "broken.yaml: is no configuration of accelerate" in refused
    if importlib.util.find_spec("deepspeed") is None:
        said = kgkit(*line, "deepspeed", workspace=starter, code=2).err
        assert "pip install deepspeed" in said
    assert not (starter / "models").exists()


def test_what_a_device_holds_is_its_part_of_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)  # deepspeed, for one
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    held = {name: memory.share_of_device(launcher(name)) for name in ("cpu-2", "ddp", "fsdp")}
    assert set(held.values()) == {2.0}  # without a GPU both processes share one memory
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    held = {name: memory.share_of_device(launcher(name)) for name in ("ddp", "fsdp", "deepspeed")}
    assert held == {"ddp": 1.0, "fsdp": 0.5, "deepspeed": 1.0}  # its second stage parts no weights
    third = tmp_path / "third.yaml"
    third.write_text(launcher("deepspeed").read_text().replace("zero_stage: 2", "zero_stage: 3"))
    assert memory.share_of_device(third) == 0.5
    assert memory.share_of_device(None) == 1.0


def test_a_teachers_and_a_references_way_count_as_operations(model: Path) -> None:
    small = {**SMALL, "model": str(model)}
    plain = read_recipe(find("small-sft"), small)
    taught = {"stages.0.distillation": {"teacher": str(model), "beta": 0.5}}
    distilled = read_recipe(find("small-sft"), {**small, **taught})
    preferring = read_recipe(find("industrygpt-dpo"), {"lora.layers": None})
    each = 2.0 * memory.size_of(plain, model).parameters
    for recipe, number, ways in ((plain, 0, 2), (distilled, 0, 3), (preferring, 2, 3)):
        size = memory.size_of(recipe, model)
        found = memory.operations_per_token(recipe, recipe.stages[number], size)
        assert found == ways * each


def test_a_plan_says_where_a_step_does_not_fit(
    model: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise TooLittleMemoryError("too little memory")

    monkeypatch.setattr("kgkit.finetune.plan.train", full)
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    said = kgkit("finetune", recipe, "--model", model, "--plan", workspace=starter).out
    assert "here: more memory is wanted than is free" in said
    assert "one H200: about " in said


def test_what_cannot_be_trained_is_said_in_one_line(
    model: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    nowhere = kgkit("finetune", recipe, "--model", tmp_path / "none", workspace=starter, code=1).err
    assert "none: no such model directory" in nowhere
    typo = kgkit("finetune", recipe, "--set", "lora.rnk=3", workspace=starter, code=2).err
    assert typo == "kgkit: mine.yaml: lora.rnk is unknown; did you mean rank?\n"
    where = kgkit("finetune", recipe, "--report-to", "trackio", workspace=starter, code=1).err
    assert where == "kgkit: --report-to trackio needs it: pip install trackio\n"
    monkeypatch.setattr("kgkit.finetune.memory.free_bytes", lambda: 10_000)
    little = kgkit("finetune", recipe, "--model", model, workspace=starter, code=2).err
    assert "needs 0.0 GB for weights, gradients and optimizer alone, and 0.0 GB are free" in little
    larger = kgkit("finetune", recipe, "--model", model, "--plan", workspace=starter).out
    assert "here: more memory is wanted than is free" in larger
    assert re.search(r"one H200: about .*, 0\.\d GB of 141 on each GPU", larger)
    assert not (starter / "models").exists()


def test_what_may_not_fit_is_said_before_it_is_trained(
    model: Path, starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without memory ends a process without a word."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    recipe = recipe_file(tmp_path / "mine.yaml", **QUICK)
    line = ("finetune", recipe, "--model", model, "--set", "evaluate=[]", "--set", "retain=false")
    assert "may take about" not in kgkit(*line, workspace=starter).err
    monkeypatch.setattr("kgkit.finetune.memory.free_bytes", lambda: 500_000_000)
    little = kgkit(*line, "--name", "little", workspace=starter).err
    assert re.search(r"may take about 0\.6 GB of memory, and 0\.5 GB are free: the system", little)


def test_data_that_the_workspace_does_not_have_is_named_with_what_makes_it(
    model: Path, starter: Path
) -> None:
    two = ("finetune", "industrygpt-two-stage", "--model", model)
    unread = kgkit(*two, workspace=starter, code=2).err
    assert "no row of kd_qa for training: run `kgkit expand --all`, then `kgkit extend`" in unread
    unread = kgkit(
        *two, "--set", f"stages.0.data={json.dumps(EXPLAINED)}", workspace=starter, code=2
    ).err
    assert "its part statements fmsr explained has no row; left out: " in unread
    assert ": run `kgkit expand --all --describe-no` for the reasons of its cells" in unread
