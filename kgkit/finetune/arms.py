"""Turn a study of finetune/ into the recipes of its arms; list and check all that the folder holds."""

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kgkit import content
from kgkit.errors import ContentError, UsageError
from kgkit.finetune.embedder.ablations import Ablations, read_ablations, runs_of
from kgkit.finetune.embedder.recipe import EmbedderRecipe, read_embedder
from kgkit.finetune.recipe import NAME, Recipe
from kgkit.finetune.recipe_files import (
    Kind,
    find,
    kind_of,
    meant,
    names,
    read_as,
    read_recipe,
    template,
)


class Plot(BaseModel):
    """One line chart of a study: the score of arms along what they are given of something."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=NAME)
    title: str
    along: Literal["epochs", "tokens", "documents"]
    """`tokens`: that went through the model; `documents`: rows of one epoch, without general ones."""
    lines: dict[str, list[str]] = Field(min_length=1)
    """Line -> its arms."""
    logarithmic: bool


class Study(BaseModel):
    """Arms of a recipe, each with some settings of its own, for each seed: what makes the difference?"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    version: int
    title: str
    source: str
    recipe: str
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(min_length=1)
    every_arm: dict[str, Any]
    """What differs from the recipe in every arm, also where the model is taken as it is."""
    tokens: int | None = Field(gt=0)
    """What every trained arm is given in all, parted as its stages say. null: what they say."""
    base: str
    """The arm that all others are compared with."""
    arms: dict[Annotated[str, Field(pattern=NAME)], dict[str, Any] | None] = Field(min_length=1)
    """Arm -> what differs from the recipe besides, by dotted names. null: the model as it is."""
    plots: list[Plot]

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Raises ValueError for arms that are not there, and seeds that stand there twice."""
        named = [
            self.base,
            *(arm for plot in self.plots for line in plot.lines.values() for arm in line),
        ]
        if unknown := [arm for arm in named if arm not in self.arms]:
            raise ValueError(f"there is no arm {unknown[0]}{meant(unknown[0], list(self.arms))}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one stands there twice")
        return self


def listed(name: str) -> tuple[str, str]:
    """A recipe or study with its title. Raises ContentError."""
    path = content.path("finetune", f"{name}.yaml")
    readers: dict[Kind, Callable[[Path], Study | Recipe | EmbedderRecipe | Ablations]] = {
        "recipe": read_recipe,
        "study": read_study,
        "embedder": read_embedder,
        "ablations": read_ablations,
    }
    return name, readers[kind_of(path)](path).title


def check_recipes() -> None:
    """Read every recipe and study. Raises ContentError, UsageError."""
    for name in names():
        listed(name)
        path = content.path("finetune", f"{name}.yaml")
        if kind_of(path) == "ablations":
            runs_of(read_ablations(path), folder=Path())
        for recipe in _recipes(path):
            if recipe.chat_template:
                template(recipe.chat_template)


def read_study(path: Path) -> Study:
    """The study in a file. Raises ContentError."""
    return read_as(path, Study)


def read_plain(study: Study, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a study, as all its arms have it. Raises ContentError, UsageError."""
    return _of_study(study, "every_arm", {**study.every_arm, **(changes or {})})


def read_arm(
    study: Study, arm: str, *, seed: int, changes: Mapping[str, Any] | None = None
) -> Recipe | None:
    """The recipe of an arm for a seed, its stages with their part of the study's tokens; None for the model as it is.

    Raises ContentError, UsageError, with the arm named.
    """
    differs = study.arms[arm]
    if differs is None:
        return None
    mine = {"name": f"{study.name}-{arm}-seed{seed}", "seed": seed}
    recipe = _of_study(
        study, f"arm {arm}", {**study.every_arm, **(changes or {}), **differs, **mine}
    )
    if study.tokens is None:
        return recipe
    given = [stage.tokens for stage in recipe.stages]
    said = [each for each in given if each is not None]
    if len(said) < len(given):
        raise UsageError(
            f"{study.name}, arm {arm}: each stage must say its tokens, for the {study.tokens} of every arm are parted as these are"
        )
    whole = sum(each * stage.epochs for each, stage in zip(said, recipe.stages, strict=True))
    stages = [
        stage.model_copy(update={"tokens": max(1, round(each * study.tokens / whole))})
        for each, stage in zip(said, recipe.stages, strict=True)
    ]
    return recipe.model_copy(update={"stages": stages})


def _of_study(study: Study, where: str, changes: Mapping[str, Any]) -> Recipe:
    try:
        return read_recipe(find(study.recipe), copy.deepcopy(dict(changes)))
    except (ContentError, UsageError) as error:
        raise type(error)(f"{study.name}, {where}: {error}") from None


def _recipes(path: Path) -> Iterator[Recipe]:
    """The recipe of a language model in a file; of a study those of its arms."""
    kind = kind_of(path)
    if kind == "recipe":
        yield read_recipe(path)
    if kind != "study":
        return
    study = read_study(path)
    yield read_plain(study)
    for arm in study.arms:
        if recipe := read_arm(study, arm, seed=study.seeds[0]):
            yield recipe
