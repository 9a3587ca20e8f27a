"""A study's file becomes the recipes of its arms: the same tokens for each, and nothing but what the file says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kgkit.errors import ContentError, KgkitError, UsageError
from kgkit.finetune.arms import Study, read_arm, read_plain, read_study
from kgkit.finetune.recipe_files import find, kind_of, names, read_recipe

STUDIES = [name for name in names() if kind_of(find(name)) == "study"]
FIELDS: dict[str, Any] = {
    "name": "mine",
    "version": 1,
    "title": "mine",
    "source": "mine",
    "recipe": "small-sft",
    "seeds": [0, 1],
    "every_arm": {},
    "tokens": None,
    "base": "base",
    "arms": {"base": None, "long": {"stages.0.epochs": 3}},
    "plots": [],
}


def study(path: Path, **changes: Any) -> Study:
    path.write_text(yaml.safe_dump({**FIELDS, **changes}), encoding="utf-8")
    return read_study(path)


def given(found: Study, arm: str) -> float:
    """The tokens that an arm is given in all."""
    recipe = read_arm(found, arm, seed=0)
    assert recipe is not None
    return sum((stage.tokens or 0) * stage.epochs for stage in recipe.stages)


@pytest.mark.parametrize("name", STUDIES)
def test_every_arm_of_every_study_is_a_recipe_measured_alike(name):
    found = read_study(find(name))
    plain = read_plain(found)
    assert found.arms[found.base] is None
    for arm in found.arms:
        recipe = read_arm(found, arm, seed=7)
        if recipe is not None:
            assert (recipe.seed, recipe.name) == (7, f"{name}-{arm}-seed7")
            assert (recipe.evaluate, recipe.retain, recipe.protocol) == (
                plain.evaluate,
                plain.retain,
                plain.protocol,
            )


def test_the_five_arms_of_the_ablation_have_the_same_tokens_and_as_much_general_text():
    found = read_study(find("industrygpt-ablation"))
    assert list(found.arms) == [
        "base",
        "answers-only",
        "explained-only",
        "single-stage",
        "two-stage",
    ]
    assert found.tokens == 200_000
    for arm in list(found.arms)[1:]:
        assert given(found, arm) == pytest.approx(found.tokens, abs=10)
        recipe = read_arm(found, arm, seed=0)
        assert recipe is not None
        for stage in recipe.stages:
            shares = {part.source: part.share for part in stage.data if part.source == "general"}
            assert shares == {"general": 0.02}


def test_tokens_are_parted_as_the_stages_say(tmp_path):
    stage = read_recipe(find("small-sft")).stages[0].model_dump(mode="json")
    stages = [
        {**stage, "name": "one", "tokens": 100, "epochs": 2},
        {**stage, "name": "two", "tokens": 200, "epochs": 3},
    ]
    found = study(
        tmp_path / "mine.yaml", tokens=80_000, arms={"base": None, "both": {"stages": stages}}
    )
    recipe = read_arm(found, "both", seed=1)
    assert recipe is not None
    assert [(one.name, one.tokens, one.epochs) for one in recipe.stages] == [
        ("one", 10_000, 2),
        ("two", 20_000, 3),
    ]


def test_reading_an_arm_leaves_the_study_as_it_was(tmp_path):
    found = study(tmp_path / "mine.yaml")
    before = found.model_dump()
    first = read_arm(found, "long", seed=0, changes={"lora.rank": 2})
    assert read_arm(found, "long", seed=0, changes={"lora.rank": 2}) == first
    assert first is not None
    assert (first.lora and first.lora.rank, first.stages[0].epochs) == (2, 3)
    assert found.model_dump() == before


def test_what_differs_in_every_arm_gives_way_to_what_is_set_and_that_to_the_arm(tmp_path):
    found = study(tmp_path / "mine.yaml", every_arm={"retain": False, "stages.0.epochs": 5, "lora.rank": 7})  # fmt: skip
    plain = read_plain(found, {"lora.rank": 8})
    arm = read_arm(found, "long", seed=0, changes={"lora.rank": 8})
    assert plain.lora is not None
    assert arm is not None
    assert arm.lora is not None
    assert (plain.retain, plain.stages[0].epochs, plain.lora.rank) == (False, 5, 8)
    assert (arm.retain, arm.stages[0].epochs, arm.lora.rank) == (False, 3, 8)


def test_a_whole_part_of_a_list_can_be_replaced(tmp_path):
    part = {"source": "general", "form": "chat", "path": None, "rows": None, "share": None}
    found = study(tmp_path / "mine.yaml", arms={"base": None, "other": {"stages.0.data.0": part}})
    recipe = read_arm(found, "other", seed=0)
    assert recipe is not None
    assert [one.source for one in recipe.stages[0].data] == ["general"]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"base": "bse"}, ContentError, "there is no arm bse; did you mean base?"),
        ({"seeds": [1, 1]}, ContentError, "seeds: one stands there twice"),
        ({"sedes": [1]}, ContentError, "mine.yaml: sedes is unknown; did you mean seeds?"),
        (
            {"plots": [{"file": "p", "title": "p", "along": "epochs", "logarithmic": False, "lines": {"a": ["log"]}}]},
            ContentError,
            "there is no arm log; did you mean long?",
        ),
        ({"arms": {"base": None, "long": {"lora.rnk": 2}}}, UsageError, "mine, arm long: small-sft.yaml: lora.rnk is unknown; did you mean rank?"),
        ({"arms": {"base": None, "long": {"context": -1}}}, ContentError, "mine, arm long: small-sft.yaml: context"),
        ({"tokens": 1000}, UsageError, "mine, arm long: each stage must say its tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, changes: dict[str, Any], error: type[KgkitError], said: str
) -> None:
    with pytest.raises(error) as found:
        read_arm(study(tmp_path / "mine.yaml", **changes), "long", seed=0)
    assert said in str(found.value)
    assert "\n" not in str(found.value)
