"""What a trained model says of itself: kgkit-run.yaml for programs, README.md for people and hubs."""

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kgkit.errors import ContentError
from kgkit.evaluation.intervals import wilson
from kgkit.evaluation.models import CARD
from kgkit.finetune import gradient_report
from kgkit.finetune.recipe import Recipe
from kgkit.teacher.pull import sha256_of
from kgkit.workspace import write_atomically

MODEL_CARD = "README.md"
COMPARED = ("benchmark", "questions", "before", "after", "difference", "p", "undecided after")
"""The columns of a benchmark before and after, each number with its 95 % interval."""
_LIBRARIES = ("kgkit", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes", "deepspeed")  # fmt: skip


def versions() -> dict[str, str]:
    """What the run was made with."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def base(model: Path) -> dict[str, object]:
    """The model that a run begins with: its name, where it lies, and the sha256 of each file of weights."""
    weights = {file.name: sha256_of(file) for file in sorted(model.glob("*.safetensors"))}
    return {"name": model.name, "directory": str(model), "weights": weights}


def hardware() -> dict[str, object]:
    """The machine: processor by name, its cores, memory in GB, GPUs by name."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    gpus = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory, 1),
        "gpus": gpus,
    }


def _processor() -> str:
    """Its name as Linux tells it, else the architecture."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        return named.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read(folder: Path) -> dict[str, Any]:
    """The card of a run. Raises ContentError."""
    try:
        card: dict[str, Any] = yaml.safe_load((folder / CARD).read_text(encoding="utf-8"))
        for name in ("recipe", "stages", "evaluation"):
            card[name]
        return card
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise ContentError(f"{folder / CARD} is no card of a run: {error}") from None


def is_finished(folder: Path, recipe: Recipe) -> bool:
    """Whether a folder holds the recipe's model, measured. Raises ContentError for a card that cannot be read."""
    if not (folder / CARD).exists():
        return False
    card = read(folder)
    measured = len(recipe.evaluate) + recipe.retain
    return (
        bool(card["recipe"] == recipe.model_dump(mode="json"))
        and len(card["evaluation"]) == measured
    )


def write(folder: Path, card: Mapping[str, Any], recipe: Recipe) -> Path:
    """Write both cards; the path of the first."""
    path = folder / CARD
    text = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True)
    write_atomically(path, text.encode())
    write_atomically(folder / MODEL_CARD, _model_card(card, recipe).encode())
    return path


def compared(one: Mapping[str, Any]) -> tuple[str, ...]:
    """A benchmark before and after, as cells under COMPARED."""
    interval = "" if one["ci_low"] is None else f" [{one['ci_low']:+.3f}, {one['ci_high']:+.3f}]"
    return (
        one["benchmark"],
        str(one["questions"]),
        _share(one["before"], one["questions"]),
        _share(one["after"], one["questions"]),
        f"{one['difference']:+.3f}{interval}",
        f"{one['p']:.2g}",
        str(one["undecided"]),
    )


def _share(value: float, questions: int) -> str:
    """A share of questions with its own interval (Wilson)."""
    found = wilson(round(value * questions), questions)
    return f"{value:.3f}" + (f" [{found.low:.3f}, {found.high:.3f}]" if found else "")


def _model_card(card: Mapping[str, Any], recipe: Recipe) -> str:
    """The card that Hugging Face's hub and people read."""
    head = {
        "library_name": "peft" if recipe.lora else "transformers",
        "base_model": card["model"]["name"],
        "pipeline_tag": "text-generation",
        "tags": ["kgkit", "reliability", recipe.name],
    }
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).strip(),
        "---",
        "",
        f"# {recipe.name}",
        "",
        f"{recipe.title}. {recipe.source}.",
        "",
        f"Trained from {card['model']['name']} under the protocol `{recipe.protocol}`, on the asset families "
        f"{', '.join(card['trained_on']['families']) or '(none)'}; held out were {', '.join(card['held_out']) or '(none)'}.",
        "",
        "| stage | rows | tokens of an epoch | steps | seconds | tokens/s | first loss | last loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage in card["stages"]:
        cells = [
            stage["name"],
            sum(stage["data"]["rows"].values()),
            sum(stage["data"]["tokens"].values()),
            stage["steps"],
            f"{stage['seconds']:.0f}",
            f"{stage['tokens_per_second']:.0f}",
            f"{stage['first_loss']:.3f}",
            f"{stage['last_loss']:.3f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += gradient_report.lines(card["stages"])
    if card["evaluation"]:
        lines += [
            "",
            f"| {' | '.join(COMPARED)} |",
            "|" + "---|" * len(COMPARED),
            *(f"| {' | '.join(compared(one))} |" for one in card["evaluation"]),
            "",
            "Intervals (95 %) of a share are Wilson's, of a difference drawn by whole assets; p is of McNemar's test.",
            "",
            *(f"- {line}" for line in card["verdict"]),
        ]
    lines += [
        "",
        "The recipe, the data's digests, versions and all losses stand in `kgkit-run.yaml`.",
        "",
    ]
    return "\n".join(lines)
