"""What a step keeps on its way forward for its way back: counted on tensors without data, so that it can be told of machines that are not here."""

import warnings
from typing import TYPE_CHECKING, Any

from kgkit.finetune.job import Job

if TYPE_CHECKING:
    import torch

_LOGIT_BYTES = 10
"""For each token and entry of the vocabulary: the logit in bfloat16 and in float32, and its gradient in float32."""
_DIVERGENCE_BYTES = 40
"""The same where a teacher is learned from: its logits as well, both as logarithms of probabilities, and what lies between them."""
_FUSED = "kgkit_fused"


def step_bytes(job: Job) -> int:
    """About what a GPU keeps of a step of the stage, whose rows are all as long as the context; logits are computed for all their tokens."""
    from transformers import AutoConfig

    stage, tokens = job.stage, job.recipe.context
    config = AutoConfig.from_pretrained(job.model, local_files_only=True).get_text_config()
    each = _DIVERGENCE_BYTES if stage.distillation else _LOGIT_BYTES
    sequences = stage.batch * (2 if stage.preference else 1)
    return sequences * (
        activation_bytes(job, tokens=tokens) + each * tokens * int(config.vocab_size)
    )


def activation_bytes(job: Job, *, tokens: int) -> int:
    """Bytes that a GPU keeps of one sequence of so many tokens below the output head, with fused attention (flash, or memory-efficient).

    Every tensor that autograd saves is counted once, the weights are not. Around an adapter all is in bfloat16; without one weights are in float32,
    and so is what is counted, which is more than autocast keeps.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what peft still calls of transformers
        return _counted(job, tokens)


def _counted(job: Job, tokens: int) -> int:
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl import ModelConfig, get_peft_config

    _register_fused()
    config = AutoConfig.from_pretrained(job.model, local_files_only=True)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(
            config,
            dtype=torch.bfloat16 if job.recipe.lora else torch.float32,
            attn_implementation=_FUSED,
        )
        if job.recipe.lora:
            model = get_peft_model(model, get_peft_config(ModelConfig(**job.model_arguments())))
            model = model.get_base_model()
        row = torch.arange(tokens)[None]
    model.train()
    weights = {one.untyped_storage()._cdata for one in model.parameters()}
    saved: dict[int, Any] = {}

    def keep(tensor: "torch.Tensor") -> "torch.Tensor":
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(input_ids=row, position_ids=row, use_cache=False)
    found = sum(one.untyped_storage().nbytes() for key, one in saved.items() if key not in weights)
    if job.recipe.checkpointing:  # one layer at a time, and what went into each
        text = config.get_text_config()
        layers = text.num_hidden_layers
        found = found // layers + 2 * tokens * text.hidden_size * layers
    return int(found)


def _register_fused() -> None:
    """Make attention known that keeps what fused kernels keep: queries, keys, values and their result."""
    import torch
    from transformers import AttentionInterface

    class Fused(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, query: Any, key: Any, value: Any) -> Any:  # noqa: ANN401
            result = torch.empty_like(query)
            context.save_for_backward(query, key, value, result)
            return result

    def attention(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> Any:  # noqa: ANN401
        return Fused.apply(query, key, value).transpose(1, 2).contiguous(), None

    AttentionInterface.register(_FUSED, attention)
