"""How many tokens a row puts through the model: with what the chat template puts around it, cut off where training cuts."""

from collections.abc import Callable
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.finetune.recipe import Recipe
from kgkit.finetune.recipe_files import template
from kgkit.finetune.rows import Row


def token_counter(recipe: Recipe, model: Path) -> Callable[[Row], int]:
    """Counts the tokens of a row. Its result raises UsageError for a chat where neither model nor recipe has a chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    if recipe.chat_template:
        tokenizer.chat_template = template(recipe.chat_template).read_text(encoding="utf-8")

    def count(row: Row) -> int:
        if not row.completion:
            ids = tokenizer(row.text, truncation=True, max_length=recipe.context)["input_ids"]
            return min(len(ids) + 1, recipe.context)  # and its end
        if not tokenizer.chat_template:
            raise UsageError(
                f"{model.name} has no chat template to put questions with: name one of finetune/templates/ in the recipe (--set chat_template=chatml)"
            )
        cut = {"truncation": True, "max_length": recipe.context}
        answers = [row.completion, row.rejected] if row.rejected else [row.completion]
        chats = [[*row.prompt, *answer] for answer in answers]
        found = tokenizer.apply_chat_template(chats, tokenize=True, return_dict=True, **cut)
        return sum(map(len, found["input_ids"]))

    return count
