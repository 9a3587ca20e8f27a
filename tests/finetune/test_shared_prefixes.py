"""What rows of a batch begin with alike goes through the layers once, and the same is learned."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from kgkit.finetune.shared_prefixes import compute_shared_prefixes_once, prefixes

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning"
)  # what peft still calls of transformers
SIZE = {
    "vocab_size": 23,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}
IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 3, 0], [5, 6, 7, 8, 9], [4, 6, 7, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
DISTINCT = 9
"""Of the 17 tokens of IDS: 5 of the first row, one more of the second, none of the third, 3 of the fourth."""
LABELS = torch.where(MASK.bool(), IDS, -100)
LABELS[:, 0] = -100


def llama(**more: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZE, **more)).train()


def qwen2() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(**SIZE)).train()


def qwen3() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZE)).train()


def adapted(dropout: float = 0.0) -> Any:
    config = LoraConfig(
        r=2, target_modules="all-linear", lora_dropout=dropout, init_lora_weights=False
    )
    return get_peft_model(llama(), config).train()


@pytest.fixture
def read() -> Iterator[list[int]]:
    """How many tokens each embedding of a model saw."""
    counted: list[int] = []

    def count(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if isinstance(module, torch.nn.Embedding):
            counted.append(given[0].numel())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
    yield counted
    hook.remove()


def learned(model: Any, ids: torch.Tensor = IDS, mask: torch.Tensor = MASK) -> list[torch.Tensor]:
    """The loss, the states at each token, and the gradients of all that is trained."""
    labels = torch.where(mask.bool(), ids, -100)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        labels=labels,
        use_cache=False,
        output_hidden_states=False,
    )
    out.loss.backward()
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    assert gradients
    return [out.loss.detach(), out.logits[mask.bool()].detach(), *gradients]


def assert_alike(first: list[torch.Tensor], second: list[torch.Tensor]) -> None:
    for one, other in zip(first, second, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("make", [llama, qwen2, qwen3, adapted])
def test_each_beginning_is_read_once_and_the_same_is_learned(make: Any, read: list[int]):
    as_it_is = learned(make())
    assert set(read) == {IDS.numel()}
    read.clear()
    model = make()
    compute_shared_prefixes_once(model)
    assert_alike(learned(model), as_it_is)
    assert set(read) == {DISTINCT}


def test_beginnings_are_nodes_with_the_places_that_have_them():
    found = prefixes(IDS, MASK)
    assert found.tokens.tolist() == [5, 6, 7, 8, 9, 3, 4, 6, 7]
    assert found.positions.tolist() == [0, 1, 2, 3, 4, 3, 0, 1, 2]
    assert found.of_place.view(4, 5)[MASK.bool()].tolist() == [
        *(0, 1, 2, 3, 4),
        *(0, 1, 2, 5),
        *(0, 1, 2, 3, 4),
        *(6, 7, 8),
    ]
    assert IDS.flatten()[found.place_of].tolist() == found.tokens.tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda: adapted(dropout=0.5),
        lambda: llama(attention_dropout=0.5),
        lambda: llama(attn_implementation="eager"),
    ],
    ids=["dropout", "attention dropout", "another attention"],
)
def test_what_draws_or_looks_otherwise_stays_as_it_is(make: Any, read: list[int]):
    model = make()
    compute_shared_prefixes_once(model)
    learned(model)
    assert set(read) == {IDS.numel()}


def test_other_architectures_stay_as_they_are():
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=23, n_embd=16, n_layer=1, n_head=2))
    usual = model.base_model.forward
    compute_shared_prefixes_once(model)
    assert model.base_model.forward == usual


def test_padding_on_the_left_and_checkpointing_are_read_as_they_are(read: list[int]):
    model = llama()
    compute_shared_prefixes_once(model)
    left, mask = IDS.flip(1), MASK.flip(1)
    assert_alike(learned(model, left, mask), learned(llama(), left, mask))
    assert set(read) == {IDS.numel()}
    model.zero_grad()
    model.activation_checkpointing_enable()
    assert_alike(learned(model), learned(llama()))
    assert set(read) == {IDS.numel()}


def test_an_answer_is_generated_as_before():
    model = llama().eval()
    before = model.generate(
        IDS[:2, :3], attention_mask=MASK[:2, :3], max_new_tokens=4, do_sample=False
    )
    compute_shared_prefixes_once(model)
    after = model.generate(
        IDS[:2, :3], attention_mask=MASK[:2, :3], max_new_tokens=4, do_sample=False
    )
    assert after.tolist() == before.tolist()
    assert model.config._attn_implementation == "sdpa"
