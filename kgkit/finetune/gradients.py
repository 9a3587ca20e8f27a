"""Turn rows that explain their answer into two losses, and these into two gradients: do they pull the model apart (IndustryGPT, section 3.3)?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Explained rows at a step. Losses and gradient norms are those of a row's answer, and of its explanation, summed over their tokens.

    `cosine`: between the two gradients on the trained parameters; None where one is zero. `seconds`: what measuring took.
    """

    step: int
    rows: int
    answer_tokens: int
    explanation_tokens: int
    answer_loss: float
    explanation_loss: float
    answer_norm: float
    explanation_norm: float
    cosine: float | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """A row as token ids: the loss is on `answer` up to `explanation`, and from there to the end."""

    ids: tuple[int, ...]
    answer: int
    explanation: int


def spans(row: Mapping[str, Any], tokenizer: Any, *, context: int) -> Spans:  # noqa: ANN401 - transformers' own
    """Where answer and explanation of a row begin, as TRL tokenizes it; a token that holds an end of the answer as well is the explanation's."""
    (said,) = row["completion"]
    short = {**said, "content": said["content"].removesuffix(row["why"]).rstrip()}

    def ids(messages: Sequence[Mapping[str, str]], *, prompt: bool = False) -> list[int]:
        found = tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=True, add_generation_prompt=prompt
        )
        return list(found["input_ids"])

    whole = ids([*row["prompt"], said])
    return Spans(
        ids=tuple(whole[:context]),
        answer=_common(whole, ids(row["prompt"], prompt=True)),
        explanation=_common(whole, ids([*row["prompt"], short])),
    )


def apart(
    given: Mapping[str, Any],
    output: Any,  # noqa: ANN401 - a model's own
    known: Mapping[tuple[int, ...], Spans],
) -> dict[str, float]:
    """The summed losses and tokens of a batch: of answers and explanations of known rows, and of all others."""
    losses, labelled = _token_losses(output, given["labels"])
    answers, explanations = labelled.new_zeros(labelled.shape), labelled.new_zeros(labelled.shape)
    present = given["attention_mask"].bool()
    for at, (ids, here) in enumerate(zip(given["input_ids"], present, strict=True)):
        found = known.get(tuple(ids[here].tolist()))
        if found is not None:
            explained = (here.cumsum(0) - 1)[1:] >= found.explanation
            answers[at] = labelled[at] & ~explained
            explanations[at] = labelled[at] & explained
    return {
        f"{name}_{what}": float(value.item())
        for name, mask in (
            ("answer", answers),
            ("explanation", explanations),
            ("other", labelled & ~answers & ~explanations),
        )
        for what, value in (("loss", (losses * mask).sum()), ("tokens", mask.sum()))
    }


def measure(model: Any, rows: Sequence[Spans], *, step: int) -> Measure:  # noqa: ANN401 - transformers' own
    """Both losses of the rows, their gradients and the cosine between these; the model stays as it is, and so does every draw to come."""
    import torch

    begun, training = time.perf_counter(), model.training
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    batch, labels, explained = _batch(rows, next(model.parameters()).device)
    model.eval()
    try:
        with (
            torch.enable_grad(),
            torch.autocast(labels.device.type, torch.bfloat16, enabled=_half(model)),
        ):
            losses, labelled = _token_losses(model(**batch, use_cache=False), labels)
            parts = [(losses * mask).sum() / len(rows) for mask in (labelled & ~explained, labelled & explained)]  # fmt: skip
            first = torch.autograd.grad(parts[0], trained, retain_graph=True, allow_unused=True)
            second = torch.autograd.grad(parts[1], trained, allow_unused=True)
    finally:
        model.train(training)
    dot, one, other = (_dot(*pair) for pair in ((first, second), (first, first), (second, second)))
    return Measure(
        step=step,
        rows=len(rows),
        answer_tokens=int((labelled & ~explained).sum()),
        explanation_tokens=int((labelled & explained).sum()),
        answer_loss=parts[0].item(),
        explanation_loss=parts[1].item(),
        answer_norm=one**0.5,
        explanation_norm=other**0.5,
        cosine=dot / (one * other) ** 0.5 if one and other else None,
        seconds=time.perf_counter() - begun,
    )


def _batch(
    rows: Sequence[Spans],
    device: Any,  # noqa: ANN401 - torch's own
) -> "tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]":
    """Inputs, labels (-100 where no loss is), and whether the token after a place is of the explanation."""
    import torch

    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    explained = torch.zeros(len(rows), longest - 1, dtype=torch.bool)
    for at, row in enumerate(rows):
        length = len(row.ids)
        ids[at, :length] = torch.tensor(row.ids)
        mask[at, :length] = 1
        labels[at, row.answer : length] = ids[at, row.answer : length]
        explained[at, row.explanation - 1 :] = True
    batch = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    return batch, labels.to(device), explained.to(device)


def _token_losses(output: Any, labels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":  # noqa: ANN401
    """The loss of each next token, and which have one: as TRL's fused head gives them, else from logits."""
    labelled = labels[:, 1:] != -100
    if getattr(output, "log_probs", None) is not None:
        return -output.log_probs, labelled
    import torch

    wanted = labels[:, 1:].clamp(min=0)
    losses = torch.nn.functional.cross_entropy(
        output.logits[:, :-1].float().transpose(1, 2), wanted, reduction="none"
    )
    return losses * labelled, labelled


def _dot(first: "Sequence[torch.Tensor | None]", second: "Sequence[torch.Tensor | None]") -> float:
    return sum(
        float((one.float() * other.float()).sum())
        for one, other in zip(first, second, strict=True)
        if one is not None and other is not None
    )


def _half(model: Any) -> bool:  # noqa: ANN401
    import torch

    return next(model.parameters()).dtype is torch.bfloat16


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two rows begin with alike."""
    pairs = zip(first, second, strict=False)
    return next(
        (at for at, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second))
    )
