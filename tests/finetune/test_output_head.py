"""The output head reads labelled places alone on a CPU, and learns the same."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from trl.kernels.chunked_logprob import ChunkedLogProbFunction
from trl.trainer import utils

from kgkit.finetune import output_head
from kgkit.finetune.output_head import read_labelled_places_alone

LABELS = torch.tensor([[-100, -100, -100, 7, 3], [-100, -100, -100, -100, 5]])


@pytest.fixture
def as_trl_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "_use_triton", lambda device: device.type == "cuda")
    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", ChunkedLogProbFunction)


def learned(monkeypatch: pytest.MonkeyPatch) -> tuple[list[torch.Tensor], torch.Tensor, list[int]]:
    """What TRL reads of the head at labelled places, the gradient of the embeddings, and how many places the head read."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config)
    utils.add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    places: list[int] = []
    head = utils._ChunkedLogProbFunction

    class Counted:
        @staticmethod
        def apply(hidden: torch.Tensor, *rest: Any) -> Any:
            places.append(len(hidden))
            return head.apply(hidden, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(utils, "_ChunkedLogProbFunction", Counted)
        ids = torch.arange(10).view(2, 5)
        out = model(input_ids=ids, labels=LABELS, fused_lm_head=True)
    out.loss.backward()
    told = [out.loss, out.log_probs, out.entropy, out.is_top1.float()]
    return [one.detach() for one in told], model.model.embed_tokens.weight.grad, places


@pytest.mark.usefixtures("as_trl_has_it")
@pytest.mark.parametrize("few", [256, 2], ids=["whole", "tiles"])
def test_labelled_places_alone_are_read_and_the_same_is_learned(
    few: int, monkeypatch: pytest.MonkeyPatch
):
    told, gradient, places = learned(monkeypatch)
    monkeypatch.setattr(output_head, "_FEW", few)
    read_labelled_places_alone()
    told_here, gradient_here, places_here = learned(monkeypatch)
    assert (places, places_here) == ([8], [3])
    for one, here in zip(told, told_here, strict=True):
        assert torch.allclose(here, one, atol=1e-6)
    assert torch.allclose(gradient_here, gradient, atol=1e-7)


@pytest.mark.usefixtures("as_trl_has_it")
def test_it_is_done_once():
    read_labelled_places_alone()
    done = utils._use_triton, utils._ChunkedLogProbFunction
    read_labelled_places_alone()
    assert (utils._use_triton, utils._ChunkedLogProbFunction) == done
