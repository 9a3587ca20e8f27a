"""Find the larger model whose probabilities of the next token a stage learns, and see that it can be learned from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kgkit.errors import UsageError
from kgkit.finetune.recipe import Recipe, Stage
from kgkit.settings import read_settings
from kgkit.teacher.pull import model_directory


def teacher_of(stage: Stage) -> Path | None:
    """The directory of the stage's teacher; None where it has none. Raises KgkitError where there is no such model."""
    if stage.distillation is None:
        return None
    return model_directory(stage.distillation.teacher, cache_dir=read_settings().cache_dir)


def teachers_of(recipe: Recipe, model: Path) -> Iterator[Path]:
    """The teachers of all stages. Raises KgkitError where one is missing, UsageError where it has another vocabulary than `model`."""
    from transformers import AutoTokenizer

    for stage in recipe.stages:
        if directory := teacher_of(stage):
            first, second = (
                AutoTokenizer.from_pretrained(one, local_files_only=True).get_vocab()
                for one in (model, directory)
            )
            if first != second:
                raise UsageError(
                    f"stage {stage.name}: {directory.name} has another vocabulary than {model.name}, so that their next tokens cannot be compared; "
                    "take a teacher of the same family of models"
                )
            yield directory


def as_messages(data: Any) -> Any:  # noqa: ANN401 - a dataset of datasets
    """Prompts with their completions as whole chats, which is what TRL's GKD reads."""
    return data.map(
        lambda row: {"messages": [*row["prompt"], *row["completion"]]},
        remove_columns=data.column_names,
    )
