"""What an embedder says of itself: kgkit-run.yaml for programs, README.md for people and hubs."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kgkit.evaluation.models import CARD
from kgkit.finetune.card import MODEL_CARD, hardware, versions
from kgkit.finetune.embedder.rows import TEXTS
from kgkit.workspace import write_atomically


def machine() -> dict[str, Any]:
    """What the run was made on and with."""
    library = "sentence-transformers"
    return {
        "hardware": hardware(),
        "versions": {**versions(), library: importlib.metadata.version(library)},
    }


def write(folder: Path, card: Mapping[str, Any]) -> Path:
    """Write both cards; the path of the first."""
    path = folder / CARD
    write_atomically(path, yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True).encode())
    write_atomically(folder / MODEL_CARD, _model_card(card).encode())
    return path


def _model_card(card: Mapping[str, Any]) -> str:
    recipe, learned = card["recipe"], card["trained_on"]
    first = next(iter(card["data"]["tasks"]))
    head = {
        "library_name": "sentence-transformers",
        "base_model": card["model"]["name"],
        "pipeline_tag": "sentence-similarity",
        "tags": ["kgkit", "reliability", "sentence-transformers", recipe["name"]],
    }
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).strip(),
        "---",
        "",
        f"# {recipe['name']}",
        "",
        f"{recipe['title']}. {recipe['source']}.",
        "",
        f"Trained from {card['model']['name']} on {_learned(card)}, on the asset families "
        f"{', '.join(learned['families']) or '(none)'}; held out were {', '.join(card['held_out']) or '(none)'}.",
        f"{_descriptions(card)}",
        *_paraphrases(card),
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        'model = SentenceTransformer("THIS-DIRECTORY")',
        f'queries = model.encode_query(["..."], prompt_name="{first}-query")',
        f'items = model.encode_document(["..."], prompt_name="{first}-document")',
        "```",
        "",
        *_table(card["evaluation"]),
        "The recipe, the data's digest, versions, losses and what was measured on the way stand in `kgkit-run.yaml`.",
        "",
    ]
    return "\n".join(lines)


def _learned(card: Mapping[str, Any]) -> str:
    corpora = card["trained_on"]["corpora"]
    if corpora == [TEXTS]:
        return f"texts of {card['recipe']['loss']['texts'].get('corpus') or 'files'}, with words hidden"
    return f"the retrieval tasks {', '.join(corpora)}"


def _descriptions(card: Mapping[str, Any]) -> str:
    share = card["recipe"]["descriptions"]
    if not share:
        return "Queries carry no descriptions."
    return f"With probability {share} a value in a query was followed by its description; {card['data']['descriptions']} values have one, none of them speaks of a held-out asset."


def _paraphrases(card: Mapping[str, Any]) -> list[str]:
    teachers = card["data"]["teacher_paraphrases"]
    if not teachers:
        return []
    said = ", ".join(f"{count} of {teacher}" for teacher, count in teachers.items())
    return [f"Instructions were drawn among a teacher's paraphrases as well: {said}."]


def _table(evaluation: list[Mapping[str, Any]]) -> list[str]:
    if not evaluation:
        return []
    rows = [
        f"| {one['task']} | {one['queries']} | {_percent(one['before'])} | {_percent(one['after'])} | {_gain(one)} |"
        for one in evaluation
    ]
    head = "| task | held-out queries | MAP@100 before, % | after, % | difference (95 % interval) |"
    return [head, "|---|---|---|---|---|", *rows, ""]


def _gain(one: Mapping[str, Any]) -> str:
    gain = f"{100 * one['difference']:+.1f}"
    if one["ci_low"] is None:
        return gain
    return f"{gain} [{100 * one['ci_low']:+.1f}, {100 * one['ci_high']:+.1f}]"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
