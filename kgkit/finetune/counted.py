"""How many tokens a row puts through the model, with what the chat template puts around it, and what lies beyond the context."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.finetune.recipe import Recipe, Stage
from kgkit.finetune.recipe_files import template
from kgkit.finetune.rows import Row


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of a row that are trained on; `cut`: whether its end is not, since the context is too short for it."""

    tokens: int
    cut: bool


def token_counter(recipe: Recipe, stage: Stage, model: Path) -> Callable[[Row], Length]:
    """Measures the rows of a stage: what is packed goes on in the next pack, all else is cut off at the context.

    Its result raises UsageError for a chat where neither model nor recipe has a chat template.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    if recipe.chat_template:
        tokenizer.chat_template = template(recipe.chat_template).read_text(encoding="utf-8")

    def whole(row: Row) -> list[int]:
        if not row.completion:
            return [len(tokenizer(row.text, verbose=False)["input_ids"]) + 1]  # and its end
        if not tokenizer.chat_template:
            raise UsageError(
                f"{model.name} has no chat template to put questions with: name one of finetune/templates/ in the recipe (--set chat_template=chatml)"
            )
        answers = [row.completion, row.rejected] if row.rejected else [row.completion]
        chats = [[*row.prompt, *answer] for answer in answers]
        found = tokenizer.apply_chat_template(
            chats, tokenize=True, return_dict=True, tokenizer_kwargs={"verbose": False}
        )
        return [len(ids) for ids in found["input_ids"]]

    def count(row: Row) -> Length:
        sequences = whole(row)
        if stage.packing:
            return Length(sum(sequences), cut=False)
        return Length(
            sum(min(each, recipe.context) for each in sequences),
            cut=max(sequences) > recipe.context,
        )

    return count
