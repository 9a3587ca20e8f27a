"""Of every token of an answer the student learns all of the teacher's probabilities."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kgkit.errors import ContentError, KgkitError, UsageError
from kgkit.finetune.counted import Length
from kgkit.finetune.distillation import as_tokens, teachers_of
from kgkit.finetune.engine import Step, train
from kgkit.finetune.mixture import mix
from kgkit.finetune.recipe import Recipe, Stage
from kgkit.finetune.recipe_files import find, read_recipe
from kgkit.finetune.rows import Row
from tests.finetune.jobs import job

CHAT = {"source": "statements", "benchmark": "fmsr", "wordings": 1, "unnamed": 0.0, "explained": False, "share": None}  # fmt: skip


def stage(teacher: Path | str, **changes: Any) -> dict[str, Any]:
    said = read_recipe(find("distillation")).stages[0].model_dump(mode="json")
    small = {"tokens": None, "epochs": 1, "batch": 4, "accumulation": 1, "learning_rate": 0.02}
    return {**said, **small, "distillation": {"teacher": str(teacher), "beta": 0.0}, **changes}


@pytest.fixture
def teacher(model: Path, tmp_path: Path) -> Path:
    """The model with other weights."""
    import torch
    from transformers import AutoModelForCausalLM

    directory = shutil.copytree(model, tmp_path / "teacher")
    found = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in found.parameters():
            weights += 0.1 * torch.randn_like(weights)
    found.save_pretrained(directory)
    return directory


def divergence(model: Path, teacher: Path, rows: list[dict[str, Any]]) -> float:
    """The mean of KL(teacher || model) over the tokens of all answers, by hand."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    student, larger = (
        AutoModelForCausalLM.from_pretrained(one, dtype=torch.float32) for one in (model, teacher)
    )
    found = []
    for row in rows:
        asked = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_dict=True
        )
        whole = tokenizer.apply_chat_template(
            [*row["prompt"], *row["completion"]], return_dict=True
        )
        ids = torch.tensor([whole["input_ids"]])
        with torch.no_grad():
            own, other = (one(ids).logits[0].log_softmax(-1) for one in (student, larger))
        kl = (other.exp() * (other - own)).sum(-1)
        found += kl[len(asked["input_ids"]) - 1 : -1].tolist()
    return sum(found) / len(found)


@pytest.mark.local
def test_a_student_that_is_its_teacher_has_nothing_to_learn(model: Path, tmp_path: Path) -> None:
    made = job(tmp_path / "job", model, rows=4, changes={"stages": [stage(model)]})
    assert train(made, rows=4, on_step=lambda _: None).losses == pytest.approx([0.0], abs=1e-5)


@pytest.mark.local
def test_the_loss_is_how_far_the_answers_are_from_the_teachers_and_falls(
    model: Path, teacher: Path, tmp_path: Path
) -> None:
    short = stage(teacher, epochs=12, schedule="constant", warmup=0.0)
    made = job(tmp_path / "job", model, rows=4, changes={"stages": [short]})
    rows = [json.loads(line) for line in (made.data / "train.jsonl").read_text().splitlines()]
    seen: list[Step] = []
    trained = train(made, rows=4, on_step=seen.append)
    assert trained.losses[0] == pytest.approx(divergence(model, teacher, rows), rel=1e-3)
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    assert trained.tokens == seen[-1].tokens > 12 * 4 * 4
    assert (made.weights / "adapter_model.safetensors").exists()
    assert not (made.folder / "trl.yaml").exists()


@pytest.mark.local
def test_a_teacher_that_cannot_be_learned_from_is_refused(model: Path, tmp_path: Path) -> None:
    def recipe(directory: Path) -> Recipe:
        return read_recipe(find("small-sft"), {"stages": [stage(directory)]})

    with pytest.raises(KgkitError, match="nowhere: no such model directory"):
        list(teachers_of(recipe(tmp_path / "nowhere"), model))
    other = shutil.copytree(model, tmp_path / "other")
    said = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    said["model"]["vocab"]["turbine"] = len(said["model"]["vocab"])
    (other / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(UsageError, match="other has another vocabulary"):
        list(teachers_of(recipe(other), model))
    assert list(teachers_of(recipe(model), model)) == [model]


def test_a_recipe_distils_answers_alone_and_prefers_nothing_beside() -> None:
    good = stage("larger", data=[CHAT])
    for changes, said in (
        ({"preference": {"beta": 0.1}}, "`preference`"),
        ({"packing": True}, "`distillation` has packing: false"),
        ({"distillation": {"teacher": "larger", "beta": 2.0}}, "less than or equal to 1"),
    ):
        with pytest.raises(ContentError, match=said):
            read_recipe(find("small-sft"), {"stages": [{**good, **changes}]})
    with pytest.raises(ContentError, match="set quantized to false"):
        read_recipe(find("small-sft"), {"stages": [good], "quantized": True})
    row = Row(id="t", part="p", text="pump")
    with pytest.raises(UsageError, match="`distillation` is of answers"):
        mix(Stage.model_validate(good), [[row]], count=lambda _: Length(1, cut=False), seed=0)


@pytest.mark.local
def test_what_the_context_is_too_short_for_is_cut_off_at_its_end(
    model: Path, teacher: Path, tmp_path: Path
) -> None:
    """As everywhere else: an answer as long as the context keeps its question, and a question as long teaches nothing."""
    made = job(tmp_path / "job", model, rows=2, changes={"stages": [stage(teacher)]})
    rows = [json.loads(line) for line in (made.data / "train.jsonl").read_text().splitlines()]
    long = " ".join(["leak"] * 200)
    rows[0]["completion"][0]["content"] = long
    asked = {"prompt": [{"role": "user", "content": long}], "completion": rows[1]["completion"]}
    text = "".join(json.dumps(row) + "\n" for row in (*rows, asked))
    (made.data / "train.jsonl").write_text(text, encoding="utf-8")
    import datasets
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    data = datasets.load_dataset(str(made.data), split="train", cache_dir=str(tmp_path / "cache"))
    found = as_tokens(data, tokenizer, made.recipe.context)
    prompt = tokenizer.apply_chat_template(rows[0]["prompt"], add_generation_prompt=True)
    assert len(found) == 2
    assert len(found[0]["input_ids"]) == made.recipe.context == 64
    assert found[0]["input_ids"][: len(prompt["input_ids"])] == prompt["input_ids"]
    assert found[0]["completion_mask"].index(1) == len(prompt["input_ids"])
    assert train(made, rows=3, on_step=lambda _: None).losses[0] > 0


@pytest.mark.local
def test_a_teacher_with_more_places_for_tokens_is_refused(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    said = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps({**said, "vocab_size": said["vocab_size"] + 8}))
    with pytest.raises(UsageError, match=r"other gives \d+ probabilities for each next token"):
        list(teachers_of(read_recipe(find("small-sft"), {"stages": [stage(other)]}), model))


@pytest.mark.local
def test_what_kgkit_trained_can_teach(model: Path, tmp_path: Path) -> None:
    learned = job(tmp_path / "job", model, rows=4)
    train(learned, rows=4, on_step=lambda _: None)
    recipe = read_recipe(find("small-sft"), {"stages": [stage(learned.weights)]})
    assert list(teachers_of(recipe, model)) == [learned.weights]
