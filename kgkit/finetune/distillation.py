"""Find the larger model whose probabilities of the next token a stage learns, and see that it can be learned from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kgkit.errors import UsageError
from kgkit.finetune.recipe import Recipe, Stage
from kgkit.settings import read_settings
from kgkit.teacher.pull import adapter_base, model_directory


def teacher_of(stage: Stage) -> Path | None:
    """The directory of the stage's teacher; None where it has none. Raises KgkitError where there is no such model."""
    if stage.distillation is None:
        return None
    return model_directory(stage.distillation.teacher, cache_dir=read_settings().cache_dir)


def teachers_of(recipe: Recipe, model: Path) -> Iterator[Path]:
    """The teachers of all stages. Raises KgkitError where one is missing, UsageError where its vocabulary is not that of `model`."""
    from transformers import AutoConfig, AutoTokenizer

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
            base = adapter_base(directory, cache_dir=read_settings().cache_dir) or directory
            mine, its = (
                AutoConfig.from_pretrained(one, local_files_only=True).get_text_config().vocab_size
                for one in (model, base)
            )
            if mine != its:
                raise UsageError(
                    f"stage {stage.name}: {directory.name} gives {its} probabilities for each next token and {model.name} {mine}, so that TRL cannot compare them; "
                    "take a teacher with as many"
                )
            yield directory


def as_tokens(data: Any, tokenizer: Any, context: int) -> Any:  # noqa: ANN401 - a dataset of datasets
    """Prompts with their completions as TRL's GKD reads them: the beginning of what the context is too short for, none whose prompt alone fills it.

    GKD's own reading of chats keeps the end, so that a question would lose its beginning, and stops at an answer as long as the context.
    """

    def read(row: Mapping[str, Any]) -> dict[str, Any]:
        asked, whole = (
            tokenizer.apply_chat_template(turns, add_generation_prompt=not at, return_dict=True)["input_ids"]
            for at, turns in enumerate((row["prompt"], [*row["prompt"], *row["completion"]]))
        )  # fmt: skip
        answered = [int(place >= len(asked)) for place in range(len(whole))]
        ids, mask = whole[:context], answered[:context]
        return {"prompt": "", "input_ids": ids, "completion_mask": mask}

    made = data.map(read, remove_columns=data.column_names)
    return made.filter(lambda row: any(row["completion_mask"]))
