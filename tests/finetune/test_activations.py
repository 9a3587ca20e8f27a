"""What is told of a GPU's memory is what autograd keeps in truth: counted beside a model with data and PyTorch's own fused attention."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgkit.finetune.activations import activation_bytes, step_bytes
from kgkit.finetune.job import Job
from kgkit.finetune.recipe import Distillation, Preference
from tests.finetune.jobs import job

pytestmark = [
    pytest.mark.local,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # what peft still calls of transformers
]
TOKENS = 256


def really_kept(made: Job, *, autocast: bool = False) -> int:
    """Bytes of the tensors that a forward pass on this machine saves."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import ModelConfig, get_peft_config

    dtype = torch.bfloat16 if made.recipe.lora else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(
        made.model, dtype=dtype, attn_implementation="sdpa"
    )
    if made.recipe.lora:
        adapter = get_peft_config(ModelConfig(**made.model_arguments()))
        model = get_peft_model(model, adapter).get_base_model()
    model.train()
    weights = {one.data_ptr() for one in model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.arange(TOKENS)[None] % 8
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        model.base_model(input_ids=ids, use_cache=False)
    return sum(
        one.untyped_storage().nbytes() for place, one in kept.items() if place not in weights
    )


@pytest.mark.parametrize("changes", [{}, {"lora.dropout": 0.1}, {"lora": None}], ids=str)
def test_as_many_bytes_are_counted_as_are_kept(
    changes: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    made = job(tmp_path, model, changes={"lora.dropout": 0.0, **changes})
    assert activation_bytes(made, tokens=TOKENS) == pytest.approx(really_kept(made), rel=0.02)
    if not made.recipe.lora:
        kept = really_kept(made, autocast=True)
        assert kept <= activation_bytes(made, tokens=TOKENS) < 2 * kept


def test_pairs_and_teachers_take_more_of_a_step(model: Path, tmp_path: Path) -> None:
    made = job(tmp_path, model)
    plain, pairs, teacher = (
        step_bytes(replace(made, stage=made.stage.model_copy(update=changes)))
        for changes in (
            {},
            {"preference": Preference(beta=0.1)},
            {"distillation": Distillation(teacher="larger", beta=0.0)},
        )
    )
    assert pairs == 2 * plain
    assert teacher > plain


def test_checkpointing_keeps_less(model: Path, tmp_path: Path) -> None:
    full, less = (
        activation_bytes(
            job(tmp_path / str(on), model, changes={"checkpointing": on}), tokens=TOKENS
        )
        for on in (False, True)
    )
    assert less < full
