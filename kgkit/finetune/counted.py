"""How many tokens a row puts through the model, with what the chat template puts around it, and whether the context has room for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.finetune.recipe import Recipe, Stage
from kgkit.finetune.recipe_files import template
from kgkit.finetune.rows import Row

_SILENT = {"verbose": False}


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of a row that are trained on, 0 where its question alone fills the context; `cut`: whether the context is too short for it."""

    tokens: int
    cut: bool


class TokenCounter:
    """Measures the rows of a stage: what is packed goes on in the next pack, all else is cut off at the context."""

    def __init__(self, recipe: Recipe, stage: Stage, model: Path) -> None:
        from transformers import AutoTokenizer

        self._recipe, self._stage, self._model = recipe, stage, model
        self._tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        if recipe.chat_template:
            path = template(recipe.chat_template)
            self._tokenizer.chat_template = path.read_text(encoding="utf-8")

    def __call__(self, row: Row) -> Length:
        """A row's length. Raises UsageError for a chat where neither model nor recipe has a chat template."""
        context, sequences = self._recipe.context, self._sequences(row)
        if self._stage.packing or max(sequences) <= context:
            return Length(sum(sequences), cut=False)
        if row.prompt and self._chat(row.prompt) >= context:
            return Length(0, cut=True)  # it is left out
        return Length(sum(min(each, context) for each in sequences), cut=True)

    def _sequences(self, row: Row) -> list[int]:
        if not row.completion:
            ids = self._tokenizer(row.text, **_SILENT)["input_ids"]
            return [len(ids) + 1]  # and its end
        answers = [row.completion, row.rejected] if row.rejected else [row.completion]
        return [self._chat([*row.prompt, *answer]) for answer in answers]

    def _chat(self, turns: Sequence[Mapping[str, str]]) -> int:
        if not self._tokenizer.chat_template:
            raise UsageError(
                f"{self._model.name} has no chat template to put questions with: name one of finetune/templates/ in the recipe (--set chat_template=chatml)"
            )
        found = self._tokenizer.apply_chat_template(
            list(turns),
            add_generation_prompt=turns[-1]["role"] != "assistant",
            tokenizer_kwargs=_SILENT,
        )
        return len(found["input_ids"])
