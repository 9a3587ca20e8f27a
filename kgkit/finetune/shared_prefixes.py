"""Common prefixes in training on a CPU: what rows of a batch begin with alike goes through the layers once, and padding not at all.

Statements about one machine share half of their words, and a CPU spends its time multiplying them. Every token depends on those before it
alone, so that equal beginnings have equal states: the layers see each distinct beginning once, attention alone sees whole rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_TRIED = ("llama", "qwen2", "qwen3")
"""Architectures (transformers' `model_type`) that this was tried with: rotary positions, causal attention through transformers' interface."""
_NAME = "kgkit_shared_prefixes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """The distinct beginnings of a batch's rows: each is one node, with the token that it ends in and that token's position.

    `of_place` (rows x tokens, flat): the node at each place of the batch, 0 at padding; `place_of`: for each node the first place that has it.
    """

    tokens: "torch.Tensor"
    positions: "torch.Tensor"
    of_place: "torch.Tensor"
    place_of: "torch.Tensor"
    rows: int


def compute_shared_prefixes_once(model: Any) -> None:  # noqa: ANN401 - transformers' or peft's own
    """Let `model` compute so from now on, on a CPU, where that changes nothing but time; losses and gradients stay what they are, to rounding.

    Other architectures than those tried, dropout (which draws for each row apart), windows of attention, activation checkpointing and
    caches stay as they are.
    """
    from transformers import AttentionInterface

    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = getattr(whole, "base_model", None)
    if decoder is None or not _fits(model, decoder):
        return
    AttentionInterface.register(_NAME, _attend)
    as_it_is = decoder.forward

    def forward(
        input_ids: "torch.Tensor | None" = None,
        attention_mask: "torch.Tensor | None" = None,
        **given: Any,  # noqa: ANN401 - transformers' own
    ) -> Any:  # noqa: ANN401 - transformers' own
        found = _found(decoder, input_ids, attention_mask, given)
        if found is None:
            return as_it_is(input_ids=input_ids, attention_mask=attention_mask, **given)
        usual = decoder.config._attn_implementation
        decoder.config._attn_implementation = _NAME
        try:
            places = {**given, "position_ids": found.positions[None]}
            out = as_it_is(input_ids=found.tokens[None], prefixes=found, **places)
        finally:
            decoder.config._attn_implementation = usual
        states = out.last_hidden_state[0].index_select(0, found.of_place)
        out.last_hidden_state = states.view(found.rows, -1, states.shape[-1])
        return out

    decoder.forward = forward


def prefixes(ids: "torch.Tensor", mask: "torch.Tensor") -> Prefixes:
    """The distinct beginnings of rows of token ids; `mask` is 0 at their padding, which is on the right. Both (rows x tokens)."""
    import torch

    nodes: dict[tuple[int, int], int] = {}
    tokens: list[int] = []
    positions: list[int] = []
    place_of: list[int] = []
    of_place = torch.zeros(ids.numel(), dtype=torch.long)
    for row, (here, length) in enumerate(zip(ids.tolist(), mask.sum(1).tolist(), strict=True)):
        node, path = -1, []
        for position, token in enumerate(here[:length]):
            node = nodes.setdefault((node, token), len(tokens))
            if node == len(tokens):
                tokens.append(token)
                positions.append(position)
                place_of.append(row * len(here) + position)
            path.append(node)
        of_place[row * len(here) : row * len(here) + length] = torch.tensor(path, dtype=torch.long)
    return Prefixes(
        tokens=torch.tensor(tokens),
        positions=torch.tensor(positions),
        of_place=of_place,
        place_of=torch.tensor(place_of),
        rows=len(ids),
    )


def _fits(model: Any, decoder: Any) -> bool:  # noqa: ANN401
    """Whether states depend on nothing but the tokens before."""
    import torch

    config = decoder.config
    return (
        config.model_type in _TRIED
        and config._attn_implementation == "sdpa"
        and not getattr(config, "attention_dropout", 0.0)
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and not any(isinstance(one, torch.nn.Dropout) and one.p for one in model.modules())
    )


def _found(
    decoder: Any,  # noqa: ANN401
    ids: "torch.Tensor | None",
    mask: "torch.Tensor | None",
    given: dict[str, Any],
) -> Prefixes | None:
    """The beginnings of a batch that is a plain one: several rows on a CPU, padded on the right."""
    if ids is None or mask is None or ids.device.type != "cpu" or len(ids) == 1 or mask.ndim != 2:
        return None
    checkpointing = getattr(decoder, "is_activation_checkpointing", False) and decoder.training
    more = any(value is not None and value is not False for value in given.values())
    padded_left = bool((mask[:, 1:] > mask[:, :-1]).any())
    return None if checkpointing or more or padded_left else prefixes(ids, mask)


def _attend(
    module: Any,  # noqa: ANN401
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    _mask: "torch.Tensor | None",
    *,
    prefixes: Prefixes,
    **given: Any,  # noqa: ANN401
) -> "tuple[torch.Tensor, None]":
    """Causal attention within each row; query, key and value are of nodes (1 x heads x nodes x size). Padding is on the right, where none looks."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def in_rows(states: "torch.Tensor") -> "torch.Tensor":
        found = states[0].transpose(0, 1).flatten(1).index_select(0, prefixes.of_place)
        return found.view(prefixes.rows, -1, states.shape[1], states.shape[3]).transpose(1, 2)

    out, _ = sdpa_attention_forward(
        module, in_rows(query), in_rows(key), in_rows(value), None, is_causal=True, **given
    )
    return out.flatten(0, 1).index_select(0, prefixes.place_of)[None], None
