"""Of every explained cell the right answer is preferred to a wrong one, away from the weights that the stage began with."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgkit.errors import ContentError, UsageError
from kgkit.finetune.cells import statement_rows
from kgkit.finetune.counted import TokenCounter
from kgkit.finetune.engine import train
from kgkit.finetune.mixture import mix
from kgkit.finetune.preferences import NO_CONTRARY, preference_rows
from kgkit.finetune.reasons import UNEXPLAINED
from kgkit.finetune.recipe import PreferencesPart, Stage, StatementsPart
from kgkit.finetune.recipe_files import find, read_recipe
from kgkit.finetune.rows import Row, turn
from tests.conftest import Open
from tests.finetune.jobs import job
from tests.integration.models import WORDS
from tests.walk import kgkit

PART = {"source": "preferences", "benchmark": "fmsr", "share": None}
STATED = {"source": "statements", "benchmark": "fmsr", "wordings": 1, "unnamed": 0.0, "explained": True, "share": None}  # fmt: skip


def stage(**changes: Any) -> dict[str, Any]:
    said = read_recipe(find("industrygpt-dpo")).stages[2].model_dump(mode="json")
    return {**said, "tokens": None, "batch": 4, "accumulation": 1, "learning_rate": 0.02, **changes}


def test_the_worse_answer_is_the_contrary_with_a_reason_of_a_neighbour(
    starter: Path, open_workspace: Open
) -> None:
    kgkit("expand", "--asset", "pump", "--describe-no", workspace=starter)
    derivation = open_workspace(starter)
    graph, split, left_out = derivation.graph, derivation.split, Counter[str]()
    part = PreferencesPart.model_validate(PART)
    rows = list(preference_rows(part, graph, split, seed=0, left_out=left_out))
    explained = list(
        statement_rows(
            StatementsPart.model_validate(STATED), graph, split, seed=0, left_out=Counter()
        )
    )
    right = {row.prompt[0]["content"]: row.completion for row in explained}
    reasons = {row.why for row in explained}
    assert rows == list(preference_rows(part, graph, split, seed=0, left_out=Counter()))
    assert len(rows) > 50
    said = Counter[str]()
    for row in rows:
        assert row.completion == right[row.prompt[0]["content"]]
        (good, _), (bad, wrong) = (
            turns[0]["content"].split("\n", 1) for turns in (row.completion, row.rejected)
        )
        assert {good, bad} == {"Answer: True", "Answer: False"}
        assert wrong not in reasons  # it is said of this cell, of which it is not right
        said[good] += 1
        trained = {"prompt": row.prompt, "chosen": row.completion, "rejected": row.rejected}
        assert row.as_trained() == {name: list(turns) for name, turns in trained.items()}
        assert wrong in row.words  # so that the guard reads it
    assert len(said) == 2
    assert set(left_out) <= {UNEXPLAINED, NO_CONTRARY}
    assert len(explained) == len(rows) + left_out[NO_CONTRARY]


def test_a_recipe_keeps_choices_apart_from_answers() -> None:
    good = stage()
    Stage.model_validate(good)
    for changes, said in (
        ({"preference": None}, "want a stage of their own"),
        ({"data": [PART, STATED]}, "want a stage of their own"),
        ({"data": [STATED]}, "learns from parts `preferences` alone"),
        ({"packing": True}, "packing: false"),
    ):
        with pytest.raises(ContentError, match=said):
            read_recipe(find("small-sft"), {"stages": [{**good, **changes}]})


@pytest.mark.local
def test_both_answers_count_as_tokens_and_choices_do_not_mix_with_answers(model: Path) -> None:
    recipe = read_recipe(find("small-sft"), {"chat_template": None, "context": 64})
    count = TokenCounter(recipe, recipe.stages[0], model)
    better, worse = turn("assistant", "yes"), turn("assistant", "no no no")
    chat = Row(id="c", part="p", prompt=turn("user", "pump"), completion=better)
    other = replace(chat, completion=worse)
    choice = replace(chat, rejected=worse)
    assert count(choice).tokens == count(chat).tokens + count(other).tokens
    of_both = recipe.stages[0].model_copy(update={"data": recipe.stages[0].data * 2})
    with pytest.raises(UsageError, match="mixes"):
        mix(of_both, [[chat], [choice]], count=count, seed=0)


@pytest.mark.local
def test_what_is_preferred_becomes_likelier_than_in_the_weights_of_the_stage_before(
    model: Path, tmp_path: Path
) -> None:
    first = job(tmp_path / "first", model, changes={"stages.0.learning_rate": 0.02})
    train(first, rows=24, on_step=lambda _: None)
    lines = [
        {
            "prompt": turn("user", one),
            "chosen": turn("assistant", "yes"),
            "rejected": turn("assistant", "no"),
        }
        for one in WORDS[:8]
    ]
    losses = {}
    for name, adapter in (("alone", None), ("after", first.weights)):
        made = job(tmp_path / name, model, changes={"stages": [stage(epochs=10)]})
        (made.data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        losses[name] = train(replace(made, adapter=adapter), rows=8, on_step=lambda _: None).losses
    for found in losses.values():
        # before the first step both are as likely as in the reference, which is the stage before
        assert found[0] == pytest.approx(math.log(2), abs=1e-4)
        assert len(found) == 20
        assert found[-1] < 0.9 * found[0]
    assert losses["alone"] != losses["after"]
