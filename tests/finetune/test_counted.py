"""A row counts as many tokens as training reads of it; what is cut off is known, and packing cuts nothing off."""

import json
from pathlib import Path

import pytest

from kgkit.finetune.counted import TokenCounter
from kgkit.finetune.engine import train
from kgkit.finetune.recipe_files import read_recipe
from kgkit.finetune.rows import Row, turn
from tests.finetune.jobs import SMALL, job, recipe_file

pytestmark = pytest.mark.local
CONTEXT = 64


@pytest.mark.parametrize(("packing", "tokens", "cut"), [(True, 101, False), (False, 64, True)])
def test_a_long_text_is_cut_off_at_the_context_unless_it_is_packed(
    model: Path, tmp_path: Path, packing: bool, tokens: int, cut: bool
) -> None:
    recipe = read_recipe(recipe_file(tmp_path / "one.yaml", **{"stages.0.packing": packing}), {})
    count = TokenCounter(recipe, recipe.stages[0], model)
    found = count(Row(id="t", part="p", text=" ".join(["pump"] * 100)))
    assert (found.tokens, found.cut) == (tokens, cut)  # with its end
    short = count(Row(id="s", part="p", text=" ".join(["pump"] * (CONTEXT - 1))))
    assert (short.tokens, short.cut) == (CONTEXT, False)


def test_a_chat_is_cut_where_its_answer_goes_beyond_the_context(
    model: Path, tmp_path: Path
) -> None:
    recipe = read_recipe(recipe_file(tmp_path / "one.yaml"), {})
    count = TokenCounter(recipe, recipe.stages[0], model)
    chat = Row(
        id="c",
        part="p",
        prompt=turn("user", "pump"),
        completion=turn("assistant", " ".join(["yes"] * CONTEXT)),
    )
    assert (count(chat).tokens, count(chat).cut) == (CONTEXT, True)


def test_packed_training_reads_long_texts_to_their_end(model: Path, tmp_path: Path) -> None:
    changes = {**SMALL, "stages.0.packing": True, "stages.0.batch": 1}
    made = job(tmp_path, model, changes=changes)
    texts = [" ".join(["pump", "seal", "leak"] * 50), " ".join(["fan"] * 40), "motor yes"]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (made.data / "train.jsonl").write_text(lines, encoding="utf-8")
    count = TokenCounter(made.recipe, made.stage, model)
    counted = sum(count(Row(id="t", part="p", text=text)).tokens for text in texts)
    trained = train(made, rows=4, on_step=lambda _: None)
    assert trained.tokens == counted == 151 + 41 + 3


def test_a_chat_whose_question_fills_the_context_counts_nothing_and_is_not_trained_on(
    model: Path, tmp_path: Path
) -> None:
    made = job(tmp_path, model, rows=4)
    whole = train(made, rows=4, on_step=lambda _: None).tokens
    asked, answered = turn("user", " ".join(["pump"] * CONTEXT)), turn("assistant", "yes")
    count = TokenCounter(made.recipe, made.stage, model)
    row = Row(id="c", part="p", prompt=asked, completion=answered)
    taught = {"stages.0.distillation": {"teacher": str(model), "beta": 0.5}}
    distilled = read_recipe(recipe_file(tmp_path / "one.yaml", **taught), {})
    for found in (count(row), TokenCounter(distilled, distilled.stages[0], model)(row)):
        assert (found.tokens, found.cut) == (0, True)
    more = job(tmp_path / "more", model, rows=4)
    with (more.data / "train.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"prompt": asked, "completion": answered}) + "\n")
    assert train(more, rows=5, on_step=lambda _: None).tokens == whole
