"""Answers and explanations measured apart: torch's own numbers, and nothing of the training changed by it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kgkit.errors import ContentError
from kgkit.finetune.engine import train
from kgkit.finetune.gradient_report import draw, lines, summary
from kgkit.finetune.gradients import Measure, apart, measure, spans
from kgkit.finetune.job import Job
from kgkit.finetune.measuring import EXPLAINED, MEASURES, STEPS, keep_rows, measures
from kgkit.finetune.recipe_files import find, read_recipe
from kgkit.finetune.rows import Row, turn
from tests.finetune.jobs import SMALL, job
from tests.integration.models import WORDS

pytestmark = [
    pytest.mark.local,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # what peft still calls of transformers
]
OFTEN = {"gradients": {"every": 2, "rows": 3}}
TIMED = ("seconds",)


@pytest.fixture
def loaded(model: Path) -> tuple[Any, Any]:
    """The model with a fresh adapter that has dropout, and its tokenizer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    adapter = LoraConfig(
        r=4,
        lora_dropout=0.5,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, adapter).train(), AutoTokenizer.from_pretrained(model)


def explained(number: int) -> Row:
    """A question with its answer and the reason why, all of different words."""
    one, two, three = (WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 7))
    why = " ".join([two, one, three, two, WORDS[number % len(WORDS)]])
    return Row(
        id=str(number),
        part="questions",
        prompt=turn("user", f"{one} {two} {three}"),
        completion=turn("assistant", f"{three}\n{why}"),
        why=why,
    )


def as_kept(row: Row) -> dict[str, Any]:
    return {"prompt": list(row.prompt), "completion": list(row.completion), "why": row.why}


def explained_job(folder: Path, model: Path, *, changes: Mapping[str, Any], plain: int = 0) -> Job:
    """A stage of 20 explained rows, and so many that are not, ready to be measured."""
    made = job(folder, model, rows=plain, changes=changes)
    rows = [explained(number) for number in range(20)]
    with (made.data / "train.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row.as_trained()) + "\n" for row in rows)
    keep_rows([made], rows)
    return made


def untimed(found: Measure) -> dict[str, Any]:
    return {
        name: getattr(found, name) for name in Measure.__dataclass_fields__ if name not in TIMED
    }


def test_answer_and_explanation_are_what_they_say(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    for number in range(20):
        row = explained(number)
        found = spans(as_kept(row), tokenizer, context=64)
        answer = tokenizer.decode(found.ids[found.answer : found.explanation])
        rest = tokenizer.decode(found.ids[found.explanation :])
        assert answer == row.completion[0]["content"].partition("\n")[0]
        assert rest == f"{row.why} <end>"


def test_a_row_that_is_cut_off_is_cut_where_training_cuts_it(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    whole, cut = (spans(as_kept(explained(1)), tokenizer, context=context) for context in (64, 9))
    assert cut.ids == whole.ids[:9]
    assert (cut.answer, cut.explanation) == (whole.answer, whole.explanation)


def test_gradients_are_those_of_two_backward_passes(loaded: tuple[Any, Any]) -> None:
    import torch

    adapted, tokenizer = loaded
    rows = [spans(as_kept(explained(number)), tokenizer, context=64) for number in (0, 3, 5)]
    found = measure(adapted, rows, step=6)

    def gradient(part: str) -> tuple[float, Any]:
        """Row by row, without padding, by backward()."""
        adapted.zero_grad()
        total = torch.zeros(())
        for row in rows:
            ids = torch.tensor([row.ids])
            begin, end = (row.answer, row.explanation) if part == "answer" else (row.explanation, len(row.ids))  # fmt: skip
            logits = adapted(ids).logits[0, begin - 1 : end - 1]
            total = total + torch.nn.functional.cross_entropy(logits, ids[0, begin:end], reduction="sum")  # fmt: skip
        (total / len(rows)).backward()
        parts = [one.grad.flatten() for one in adapted.parameters() if one.grad is not None]
        return total.item() / len(rows), torch.cat(parts).clone()

    adapted.eval()
    answer_loss, answer = gradient("answer")
    explanation_loss, explanation = gradient("explanation")
    assert untimed(found) == pytest.approx(
        {
            "step": 6,
            "rows": 3,
            "answer_tokens": 3,
            "explanation_tokens": 18,
            "answer_loss": answer_loss,
            "explanation_loss": explanation_loss,
            "answer_norm": float(answer.norm()),
            "explanation_norm": float(explanation.norm()),
            "cosine": float(torch.nn.functional.cosine_similarity(answer, explanation, dim=0)),
        },
        rel=1e-4,
    )


def test_measuring_leaves_the_model_and_every_draw_as_they_were(loaded: tuple[Any, Any]) -> None:
    import torch

    adapted, tokenizer = loaded
    rows = [spans(as_kept(explained(number)), tokenizer, context=64) for number in range(4)]
    weights = {name: value.clone() for name, value in adapted.state_dict().items()}
    drawn = torch.random.get_rng_state()
    first, again = (measure(adapted, rows, step=0) for _ in range(2))
    assert untimed(first) == untimed(again)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(weights[name], value) for name, value in adapted.state_dict().items())
    assert all(one.grad is None for one in adapted.parameters())
    assert all(module.training for module in adapted.modules())


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_parts_of_a_batch_are_its_whole_loss(loaded: tuple[Any, Any], side: str) -> None:
    import torch

    adapted, tokenizer = loaded
    rows = [spans(as_kept(explained(number)), tokenizer, context=64) for number in range(3)]
    known = {row.ids: row for row in rows[:2]}
    longest = max(len(row.ids) for row in rows) + 2
    ids, mask = torch.zeros(3, longest, dtype=torch.long), torch.zeros(3, longest, dtype=torch.long)
    labels = torch.full((3, longest), -100)
    for at, row in enumerate(rows):
        begin = longest - len(row.ids) if side == "left" else 0
        ids[at, begin : begin + len(row.ids)] = torch.tensor(row.ids)
        mask[at, begin : begin + len(row.ids)] = 1
        labels[at, begin + row.answer : begin + len(row.ids)] = torch.tensor(row.ids[row.answer :])
    adapted.eval()
    given = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    output = adapted(**given)
    found = apart(given, output, known)
    tokens = {name: found[f"{name}_tokens"] for name in ("answer", "explanation", "other")}
    assert tokens == {"answer": 2, "explanation": 12, "other": 7}
    total = sum(found[f"{name}_loss"] for name in tokens)
    assert total / 21 == pytest.approx(output.loss.item(), rel=1e-5)


def test_training_with_measures_is_training_without_them(model: Path, tmp_path: Path) -> None:
    changes = {"lora.dropout": 0.1, "stages.0.epochs": 2}
    plain = train(
        explained_job(tmp_path / "plain", model, changes=changes, plain=8),
        rows=28,
        on_step=lambda _: None,
    )
    watched = explained_job(tmp_path / "watched", model, changes={**changes, **OFTEN}, plain=8)
    found = train(watched, rows=28, on_step=lambda _: None)
    assert found.losses == plain.losses
    assert not (tmp_path / "plain" / STEPS).exists()

    steps = [json.loads(line) for line in (watched.folder / STEPS).read_text().splitlines()]
    assert [one["step"] for one in steps] == list(range(1, 15))
    assert sum(one["answer_tokens"] for one in steps) == 2 * 20
    assert sum(one["explanation_tokens"] for one in steps) == 2 * 20 * 6
    for one, loss in zip(steps, found.losses, strict=True):
        parts = [(one[f"{name}_loss"], one[f"{name}_tokens"]) for name in ("answer", "explanation", "other")]  # fmt: skip
        mean = sum(total for total, _ in parts) / sum(tokens for _, tokens in parts)
        assert mean == pytest.approx(loss, rel=1e-3)
    assert [one.step for one in measures(watched.folder)] == list(range(0, 15, 2))
    assert {one.rows for one in measures(watched.folder)} == {3}


def test_what_was_measured_after_the_checkpoint_gone_on_from_is_measured_again(
    model: Path, tmp_path: Path
) -> None:
    changes = {"stages.0.epochs": 6, "lora.dropout": 0.1, **OFTEN}
    whole = explained_job(tmp_path / "whole", model, changes=changes)
    train(whole, rows=20, on_step=lambda _: None)
    cut = explained_job(tmp_path / "cut", model, changes=changes)
    shutil.rmtree(cut.folder)
    shutil.copytree(whole.folder, cut.folder)
    shutil.rmtree(cut.weights / "checkpoint-30")
    with (cut.folder / STEPS).open("a") as file:
        file.write('{"step": 31, "answer_lo')
    assert train(cut, rows=20, on_step=lambda _: None).resumed_at == 27
    for name in (STEPS, MEASURES):
        one, other = (
            [json.loads(line) for line in (each.folder / name).read_text().splitlines()]
            for each in (whole, cut)
        )
        assert [said["step"] for said in other] == [said["step"] for said in one]
        for said, again in zip(one, other, strict=True):
            assert {**again, "seconds": 0} == pytest.approx({**said, "seconds": 0}, abs=1e-4)


def test_a_trial_of_a_few_steps_and_a_run_that_explains_nothing_measure_nothing(
    model: Path, tmp_path: Path
) -> None:
    bare = job(tmp_path / "bare", model, rows=8, changes=OFTEN)
    keep_rows([bare], [Row(id="1", part="x", prompt=turn("user", "a"), completion=turn("assistant", "b"))])  # fmt: skip
    train(bare, rows=8, on_step=lambda _: None)
    assert not (bare.folder / EXPLAINED).exists()
    assert summary(bare.folder, seconds=1.0) is None
    assert lines([{"name": "answers", "gradients": None}]) == []


def test_a_stage_is_said_in_few_numbers(tmp_path: Path) -> None:
    common: dict[str, Any] = {"rows": 2, "answer_tokens": 4, "explanation_tokens": 20, "answer_norm": 1.0, "explanation_norm": 2.0}  # fmt: skip
    said = [
        Measure(step=0, answer_loss=3.0, explanation_loss=9.0, cosine=-0.5, seconds=1.0, **common),
        Measure(step=2, answer_loss=1.0, explanation_loss=4.0, cosine=0.1, seconds=2.0, **common),
    ]
    text = "".join(json.dumps({**untimed(one), "seconds": one.seconds}) + "\n" for one in said)
    (tmp_path / MEASURES).write_text(text)
    found = summary(tmp_path, seconds=60.0)
    assert found == {
        "measures": 2,
        "rows": 4,
        "answer_loss": [3.0, 1.0],
        "explanation_loss": [9.0, 4.0],
        "answer_norm": [1.0, 1.0],
        "explanation_norm": [2.0, 2.0],
        "loss_share": 0.775,
        "cosine": -0.2,
        "cosine_ends": [-0.5, 0.1],
        "cosine_below_zero": 1,
        "share_of_time": 0.05,
    }
    assert lines([{"name": "explained", "gradients": found}])[-1] == (
        "| explained | 3.000 -> 1.000 | 9.000 -> 4.000 | 0.78 | -0.200 | 1 of 2 |"
    )
    drawn = draw({"answers": said[:1], "explained": said}, tmp_path)
    assert {path.name for path in drawn} == {"gradients.svg", "gradients.png"}
    assert all(
        word in (tmp_path / "gradients.svg").read_text()
        for word in ("answers", "explained", "cosine")
    )


def test_packed_rows_are_not_measured_one_by_one() -> None:
    with pytest.raises(ContentError, match="set packing of stage answers to false"):
        read_recipe(find("small-sft"), {**SMALL, **OFTEN, "stages.0.packing": True})
