"""Recipes are complete, say what is wrong with them in one line, and change by dotted names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kgkit.errors import ContentError, UsageError
from kgkit.finetune.recipe_files import as_yaml, find, kind_of, names, read_recipe, settings


@pytest.mark.parametrize("name", [name for name in names() if kind_of(find(name)) == "recipe"])
def test_every_bundled_recipe_reads_and_writes_back_as_itself(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(find(name))
    copy = tmp_path / "copy.yaml"
    copy.write_text(as_yaml(recipe), encoding="utf-8")
    assert recipe.name == name
    assert read_recipe(copy) == recipe


def fields(said: Any, place: str = "") -> Iterator[str]:
    """Every field of what a recipe says, by its dotted name."""
    for name, value in said.items() if isinstance(said, dict) else enumerate(said):
        here = f"{place}{name}"
        if isinstance(said, dict):
            yield here
        if isinstance(value, dict | list):
            yield from fields(value, f"{here}.")


@pytest.mark.parametrize(
    "field", list(fields(yaml.safe_load(find("small-sft").read_text("utf-8"))))
)
def test_no_field_has_a_default(field: str, tmp_path: Path) -> None:
    raw = yaml.safe_load(find("small-sft").read_text(encoding="utf-8"))
    at = raw
    *way, last = field.split(".")
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    del at[last]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(ContentError, match=rf"mine\.yaml: .*({last} is missing|discriminator)"):
        read_recipe(path)


def test_a_bundled_file_is_found_by_its_name_or_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find("alia-sweep.yaml") == find("alia-sweep")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alia-sweep.yaml").write_text("name: mine", encoding="utf-8")
    assert find("alia-sweep.yaml") == Path("alia-sweep.yaml")  # one's own comes first
    with pytest.raises(UsageError, match=r"there is no file none\.yaml; name a recipe: alia-cpt"):
        find("none.yaml")


def test_a_misspelt_field_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = find("small-sft").read_text(encoding="utf-8").replace("rank:", "rnk:")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContentError) as error:
        read_recipe(path)
    assert str(error.value) == "mine.yaml: lora.rnk is unknown; did you mean rank? (and 1 more)"


def test_a_change_is_taken_or_refused_by_name() -> None:
    changes = settings(["lora.rank=4", "stages.0.epochs=0.5", "lora.targets=[q_proj]", "seed=7"])
    recipe = read_recipe(find("small-sft"), changes)
    assert recipe.lora is not None
    assert (recipe.lora.rank, recipe.lora.targets, recipe.seed) == (4, ["q_proj"], 7)
    assert recipe.stages[0].epochs == 0.5
    with pytest.raises(UsageError, match=r"lora\.rnk is unknown; did you mean rank\?"):
        read_recipe(find("small-sft"), {"lora.rnk": 4})
    with pytest.raises(UsageError, match=r"stages\.7 is unknown|stages\.7\.epochs is unknown"):
        read_recipe(find("small-sft"), {"stages.7.epochs": 4})
    with pytest.raises(ContentError, match=r"lora\.rank: Input should be greater than 0"):
        read_recipe(find("small-sft"), {"lora.rank": 0})
    sharper = {"stages.0.distillation": {"teacher": "larger", "beta": 0.5}}
    assert read_recipe(find("small-sft"), sharper).stages[0].distillation is not None
    once = {"benchmark": "fmsr", "by": "options", "limit": None}
    with pytest.raises(ContentError, match="fmsr by options is asked twice"):
        read_recipe(find("small-sft"), {"evaluate": [once, {**once, "limit": 5}]})
    with pytest.raises(UsageError, match="say NAME=VALUE"):
        settings(["lora.rank"])


def test_four_bits_want_an_adapter() -> None:
    with pytest.raises(ContentError, match="name a lora, or set quantized to false"):
        read_recipe(find("small-sft"), {"quantized": True, "lora": None})
    with pytest.raises(ContentError, match=r"lora\.targets: name a module, or all-linear"):
        read_recipe(find("small-sft"), {"lora.targets": []})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_one_that_every_library_takes(seed: int) -> None:
    with pytest.raises(ContentError, match="seed: Input should be"):
        read_recipe(find("small-sft"), {"seed": seed})


def test_two_stages_of_one_name_are_refused() -> None:
    stage = read_recipe(find("small-sft")).stages[0].model_dump()
    with pytest.raises(ContentError, match="two stages are called answers"):
        read_recipe(find("small-sft"), {"stages": [stage, stage]})


def test_a_recipe_that_is_not_there_is_named_with_a_near_one() -> None:
    with pytest.raises(UsageError, match="there is no recipe smal-sft; did you mean small-sft"):
        find("smal-sft")
    with pytest.raises(UsageError, match=r"there is no file nowhere/mine\.yaml"):
        find("nowhere/mine.yaml")
