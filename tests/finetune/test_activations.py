"""What is told of a GPU's memory is what autograd keeps in truth: counted beside a model with data and PyTorch's own fused attention."""

from pathlib import Path
from typing import Any

import pytest

from kgkit.finetune.activations import _LOGIT_BYTES, activation_bytes
from kgkit.finetune.job import Job
from tests.finetune.jobs import job

pytestmark = [
    pytest.mark.local,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # what peft still calls of transformers
]
TOKENS = 256


def really_kept(made: Job) -> int:
    """Bytes of the tensors that a forward pass on this machine saves."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import ModelConfig, get_peft_config

    model: Any = AutoModelForCausalLM.from_pretrained(
        made.model, dtype=torch.bfloat16, attn_implementation="sdpa"
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
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(input_ids=ids, use_cache=False)
    return sum(
        one.untyped_storage().nbytes() for place, one in kept.items() if place not in weights
    )


@pytest.mark.parametrize("changes", [{}, {"lora.dropout": 0.1}, {"lora": None}], ids=str)
def test_as_many_bytes_are_counted_as_are_kept(
    changes: dict[str, Any], model: Path, tmp_path: Path
) -> None:
    made = job(tmp_path, model, changes={"lora.dropout": 0.0, **changes})
    vocabulary = _vocabulary(model)
    counted = activation_bytes(made, tokens=TOKENS) - _LOGIT_BYTES * TOKENS * vocabulary
    assert counted == pytest.approx(really_kept(made), rel=0.02)


def test_checkpointing_keeps_less(model: Path, tmp_path: Path) -> None:
    full, less = (
        activation_bytes(
            job(tmp_path / str(on), model, changes={"checkpointing": on}), tokens=TOKENS
        )
        for on in (False, True)
    )
    assert less < full


def _vocabulary(model: Path) -> int:
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(model).vocab_size)
