"""One stage as what TRL is given: the same values train it here, under accelerate's launcher, and with `trl sft --config`."""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from kgkit.errors import UsageError
from kgkit.finetune.recipe import Lora, Recipe, Stage
from kgkit.finetune.recipe_files import template

TRL = "trl.yaml"
_BY_TRL = "trl"
WEIGHTS = "weights"
JOB = "job.json"
_SAVES = 10
"""How often a stage is saved on its way."""


_ADAMW = {"optim": "adamw_torch", "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}
"""What `learning_rate` and `weight_decay` of a recipe are of, whatever the libraries' defaults become."""
_PLAIN_LORA = {"use_rslora": False, "use_dora": False}
_FOUR_BITS = {"bnb_4bit_quant_type": "nf4", "use_bnb_nested_quant": False}
"""What `lora` and `quantized` of a recipe mean, as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A stage on disk. `adapter`: the one of the stage before, which is trained on; None to begin one, or without LoRA.

    `folder` holds `data/`, the trainer's checkpoints and at last the weights. `steps`: at most so many, of which nothing is
    saved, and `weights_in`, elsewhere: for a trial.
    """

    name: str
    folder: Path
    model: Path
    adapter: Path | None
    recipe: Recipe
    stage: Stage
    steps: int | None = None
    weights_in: Path | None = None

    @property
    def data(self) -> Path:
        """The dataset that is trained on."""
        return self.folder / "data"

    @property
    def weights(self) -> Path:
        """Where the trained weights are left, with the checkpoints."""
        return self.weights_in or self.folder / WEIGHTS

    def arguments(self, *, rows: int, report_to: str) -> dict[str, Any]:
        """What `SFTConfig` is given, `DPOConfig` or `GKDConfig`; `rows`: sequences of one epoch, about."""
        stage, recipe = self.stage, self.recipe
        steps = self.steps or steps_of(stage, rows)
        return {
            "output_dir": str(self.weights),
            "max_length": recipe.context,
            "num_train_epochs": stage.epochs,
            "max_steps": self.steps or -1,
            "per_device_train_batch_size": stage.batch,
            "gradient_accumulation_steps": stage.accumulation,
            "learning_rate": stage.learning_rate,
            "lr_scheduler_type": stage.schedule,
            "warmup_steps": stage.warmup,
            "weight_decay": stage.weight_decay,
            "max_grad_norm": stage.max_grad_norm,
            **_ADAMW,
            "train_sampling_strategy": "random",
            "activation_checkpointing": recipe.checkpointing,
            "bf16": number_format(recipe) == "bfloat16",
            "seed": recipe.seed,
            "data_seed": recipe.seed,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "save_strategy": "no" if self.steps else "steps",
            "save_steps": max(1, steps // _SAVES),
            "save_total_limit": 2,
            "report_to": report_to,
            "project": self.recipe.name,
            "run_name": self.name,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            **self._of_the_way(),
        }

    def _of_the_way(self) -> dict[str, Any]:
        """What only one of TRL's trainers knows."""
        if preference := self.stage.preference:
            return {"beta": preference.beta, "loss_type": ["sigmoid"], "label_smoothing": 0.0}
        if distillation := self.stage.distillation:
            return {
                "beta": distillation.beta,
                "lmbda": 0.0,  # the rows as they are; nothing is sampled from the student
                "disable_dropout": False,
                "include_num_input_tokens_seen": "non_padding",
            }
        said = self.recipe.chat_template
        return {
            "chat_template_path": str(template(said)) if said else None,
            "loss_type": "nll",
            "packing": self.stage.packing,
            "packing_strategy": "bfd_split",  # what is longer than the context goes on in another pack
        }

    def model_arguments(self) -> dict[str, Any]:
        """What TRL's `ModelConfig` is given: the model, its number format, the adapter."""
        lora = self.recipe.lora
        adapter = {
            "use_peft": True,
            "lora_r": lora.rank,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "lora_target_modules": targets(lora, self.model),
            **_PLAIN_LORA,
        } if lora else {}  # fmt: skip
        return {
            "model_name_or_path": str(self.model),
            "dtype": number_format(self.recipe) if lora else "float32",
            "load_in_4bit": self.recipe.quantized,
            **_FOUR_BITS,
            **adapter,
        }

    def write(self, *, rows: int) -> None:
        """Leave the stage for processes of its own, and as a configuration of TRL's own command line, where that can do it.

        There is no `trl gkd`, `trl dpo` is given no template, and neither goes on from an adapter.
        """
        job = {
            "model": str(self.model),
            "adapter": str(self.adapter) if self.adapter else None,
            "recipe": self.recipe.model_dump(mode="json"),
            "stage": self.recipe.stages.index(self.stage),
            "rows": rows,
        }
        (self.folder / JOB).write_text(json.dumps(job, indent=1), encoding="utf-8")
        templated = self.stage.preference and self.recipe.chat_template
        if self.adapter or self.stage.distillation or templated:
            return
        said = {
            "dataset_name": str(self.data),
            **self.model_arguments(),
            **self.arguments(rows=rows, report_to="none"),
            "output_dir": str(self.folder / _BY_TRL),  # the weights of this run stay what they are
        }
        (self.folder / TRL).write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")


def steps_of(stage: Stage, rows: int) -> int:
    """Steps of the optimizer for so many sequences an epoch, as transformers takes them; a worker among several has its share of the rows."""
    batches = math.ceil(rows / (stage.batch * int(os.environ.get("WORLD_SIZE", "1"))))
    return math.ceil(math.ceil(batches / stage.accumulation) * stage.epochs)


def read_job(folder: Path) -> tuple[Job, int]:
    """The stage that `write` left in a folder, and its number of sequences."""
    said = json.loads((folder / JOB).read_text(encoding="utf-8"))
    recipe = Recipe.model_validate(said["recipe"])
    stage = recipe.stages[said["stage"]]
    job = Job(
        name=stage.name,
        folder=folder,
        model=Path(said["model"]),
        adapter=Path(said["adapter"]) if said["adapter"] else None,
        recipe=recipe,
        stage=stage,
    )
    return job, said["rows"]


def number_format(recipe: Recipe) -> Literal["float32", "bfloat16"]:
    """What the recipe's precision means on this machine."""
    if recipe.precision != "auto":
        return recipe.precision
    import torch

    from kgkit.teacher.local_model import placement

    return "bfloat16" if placement()[1] is torch.bfloat16 else "float32"


def targets(lora: Lora, model: Path) -> str | list[str]:
    """The modules that are adapted: all that are linear, or each one by its full name. Raises UsageError as `adapted`."""
    return (
        "all-linear"
        if lora.targets == "all-linear" and not lora.layers
        else [*adapted(lora, model)]
    )


def adapted(lora: Lora, model: Path) -> dict[str, tuple[int, int]]:
    """Each linear module that an adapter is for, with its rows and columns. Raises UsageError for a name or layers that the model does not have."""
    named = [] if lora.targets == "all-linear" else lora.targets
    every = linear_modules(model)
    for one in named:
        if not any(_is_called(name, one) for name in every):
            known = sorted({name.rpartition(".")[2] for name in every})
            raise UsageError(
                f"lora.targets: {model.name} has no linear module {one} below its output head; it has {', '.join(known)}"
            )
    first, last = lora.layers or (0, math.inf)
    found = {
        name: size
        for name, size in every.items()
        if (not named or any(_is_called(name, one) for one in named))
        and (lora.layers is None or first <= _layer_of(name, -1) <= last)
    }
    if not found:
        highest = max(map(_layer_of, every), default=0)
        raise UsageError(
            f"lora.layers: {model.name} has the layers 0 to {highest}, and none of {lora.layers} to adapt"
        )
    return found


def _is_called(name: str, target: str) -> bool:
    """As peft sees it: by its whole name or the end of it."""
    return f".{name}".endswith(f".{target}")


def _layer_of(name: str, otherwise: int = 0) -> int:
    """The number of the layer that a module is in, counted from 0."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else otherwise


def linear_modules(model: Path) -> dict[str, tuple[int, int]]:
    """All linear modules of a model but its output head, which TRL adapts none of, by name, with the two sides of their weights; no weight is read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(model, local_files_only=True)
        )
    head = empty.get_output_embeddings()
    return {
        name: (module.weight.shape[0], module.weight.shape[1])
        for name, module in empty.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
