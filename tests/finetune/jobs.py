"""A small stage over a tiny random model, for tests of the engine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kgkit.finetune.job import Job
from kgkit.finetune.recipe_files import find, read_recipe
from tests.integration.models import WORDS

CHATML = (
    "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)
QUESTIONS = {"source": "questions", "benchmark": "fmsr", "rows": 2200, "answer": "letters", "wordings": 2, "share": None}  # fmt: skip
SMALL: dict[str, Any] = {
    "chat_template": None,
    "context": 64,
    "lora.rank": 4,
    "lora.layers": None,
    "stages.0.data": [QUESTIONS],
    "stages.0.epochs": 1,
    "stages.0.learning_rate": 7.0e-4,
    "stages.0.batch": 4,
    "stages.0.accumulation": 1,
    "evaluate": [{"benchmark": "fmsr", "by": "letters", "limit": None}],
}


def recipe_file(path: Path, **changes: Any) -> Path:
    """small-sft made small, on questions with letters, as a file of one's own."""
    recipe = read_recipe(find("small-sft"), {**SMALL, **changes})
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    return path


def job(
    folder: Path, model: Path, *, rows: int = 24, changes: Mapping[str, Any] | None = None
) -> Job:
    """A stage with `rows` chats on disk, ready to be trained."""
    recipe = read_recipe(find("small-sft"), {**SMALL, **(changes or {})})
    made = Job(
        name="answers",
        folder=folder,
        model=model,
        adapter=None,
        recipe=recipe,
        stage=recipe.stages[0],
    )
    made.data.mkdir(parents=True)
    lines = []
    for number in range(rows):
        asked, answered = (WORDS[(number * step) % len(WORDS)] for step in (1, 3))
        row = {
            "prompt": [{"role": "user", "content": f"{asked} {answered}"}],
            "completion": [{"role": "assistant", "content": answered}],
        }
        lines.append(json.dumps(row) + "\n")
    (made.data / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    made.write(rows=rows)
    return made
