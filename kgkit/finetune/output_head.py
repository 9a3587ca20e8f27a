"""TRL's output head on a CPU: the vocabulary is read where there is a label, and there in one piece, not at every place in tiles.

A row that is asked for one word has one labelled place and eighty others: reading all of them was a third of a step of a 135M model.
TRL 1.16 leaves them out only where Triton runs, for the sake of accelerators that compile each shape anew; a CPU does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_FEW = 256
"""Places whose logits are held whole: 50 MB with a vocabulary of 49,152. For more of them TRL's tiles stay."""


def read_labelled_places_alone() -> None:
    """Let trainers read the head so on a CPU from now on; losses and gradients stay what they are, to rounding."""
    from trl.trainer import utils

    if getattr(utils, "_ChunkedLogProbFunction", _Head) is _Head or not hasattr(
        utils, "_use_triton"
    ):
        return  # done before, or another version of TRL, whose own head stays
    _Head.tiled, on_other_devices = utils._ChunkedLogProbFunction, utils._use_triton
    utils._ChunkedLogProbFunction = _Head
    utils._use_triton = lambda device: device.type == "cpu" or on_other_devices(device)


class _Head:
    """Log probability of each target, and what TRL logs beside; called as TRL calls its function of autograd."""

    tiled: Any = None

    @classmethod
    def apply(  # noqa: PLR0913 - TRL's order
        cls,
        hidden: "torch.Tensor",
        weight: "torch.Tensor",
        bias: "torch.Tensor | None",
        targets: "torch.Tensor",
        temperature: float,
        chunk_size: int,
        softcap: float | None,
        scale: float,
        outputs: tuple[str, ...],
    ) -> "tuple[torch.Tensor | None, ...]":
        import torch

        known = {"log_probs", "entropy", "is_top1"}
        if hidden.device.type != "cpu" or len(hidden) > _FEW or softcap or set(outputs) - known:
            return cls.tiled.apply(  # type: ignore[no-any-return]
                hidden, weight, bias, targets, temperature, chunk_size, softcap, scale, outputs
            )
        logits = torch.nn.functional.linear(hidden, weight, bias).float() * (scale / temperature)
        log_probs = logits.log_softmax(-1)
        with torch.no_grad():
            entropy = -(log_probs.exp() * log_probs).sum(-1)
            is_top1 = logits.argmax(-1) == targets
        return log_probs.gather(-1, targets[:, None])[:, 0], entropy, None, None, is_top1
