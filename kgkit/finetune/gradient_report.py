"""What was measured of answers and explanations, for the run card, the model card, and as a figure over all stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.corpora.drawing import INK, OURS, STYLE, THEIRS, new_figure, save, write_below
from kgkit.finetune.gradients import Measure
from kgkit.finetune.measuring import measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = "gradients"
_ROW = "| {} | {} | {} | {} | {} | {} |"


def summary(folder: Path, *, seconds: float) -> dict[str, Any] | None:
    """A stage's measures in few numbers: losses of a row and gradient norms at the first and the last, means over all; None where nothing was measured.

    `loss_share`: of the explanation in the loss of a row. `seconds`: that training took, with measuring.
    """
    found = measures(folder)
    if not found:
        return None
    cosines = [one.cosine for one in found if one.cosine is not None]
    shares = [_share(one) for one in found]
    first, last = found[0], found[-1]
    return {
        "measures": len(found),
        "rows": sum(one.rows for one in found),
        "answer_loss": _ends(first.answer_loss, last.answer_loss),
        "explanation_loss": _ends(first.explanation_loss, last.explanation_loss),
        "answer_norm": _ends(first.answer_norm, last.answer_norm),
        "explanation_norm": _ends(first.explanation_norm, last.explanation_norm),
        "loss_share": round(sum(shares) / len(shares), 4),
        "cosine": round(sum(cosines) / len(cosines), 4) if cosines else None,
        "cosine_ends": _ends(found[0].cosine, found[-1].cosine),
        "cosine_below_zero": sum(one < 0 for one in cosines),
        "share_of_time": round(sum(one.seconds for one in found) / max(seconds, 1e-9), 4),
    }


def lines(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """A section of the model card; nothing where nothing was measured."""
    some = [(stage["name"], stage["gradients"]) for stage in stages if stage.get("gradients")]
    if not some:
        return []
    columns = ("stage", "loss of an answer", "loss of its explanation", "share of the explanation", "cosine of the gradients", "below zero")  # fmt: skip
    return [
        "",
        "Answers and explanations measured apart on the same rows in every stage, from its first to its last measure (IndustryGPT, section 3.3):",
        "",
        _ROW.format(*columns),
        "|" + "---|" * len(columns),
        *(_ROW.format(*_cells(name, found)) for name, found in some),
    ]


def draw(stages: Mapping[str, Sequence[Measure]], folder: Path) -> list[Path]:
    """Write gradients.svg and gradients.png: losses, gradient norms and cosine over the steps of all stages, one after another.

    Raises ImportError where matplotlib is not installed.
    """
    from matplotlib import rc_context

    with rc_context(STYLE):  # type: ignore[arg-type]
        figure, (losses, norms, cosines) = new_figure(8.0, rows=3)
        begin = 0
        for name, found in stages.items():
            steps = [begin + one.step for one in found]
            _two(
                losses,
                steps,
                [(one.answer_loss, one.explanation_loss) for one in found],
                labelled=begin == 0,
            )
            _two(
                norms,
                steps,
                [(one.answer_norm, one.explanation_norm) for one in found],
                labelled=begin == 0,
            )
            known = [
                (step, one.cosine) for step, one in zip(steps, found, strict=True) if one.cosine is not None
            ]  # fmt: skip
            cosines.plot([step for step, _ in known], [cosine for _, cosine in known], color=INK, marker=".")  # fmt: skip
            for axes in (losses, norms, cosines):
                axes.axvline(begin, color="#a0a0a0", linewidth=0.8, linestyle=":")
                axes.grid(axis="y", color="#d9d9d9", linewidth=0.6)
            losses.annotate(name, (begin, 1.01), xycoords=("data", "axes fraction"), fontsize=10.0)
            begin = max(steps, default=begin) + 1
        cosines.axhline(0, color=INK, linewidth=1.0, linestyle="--")
        for axes in (losses, norms):
            axes.set_yscale("log")
            axes.legend()
        losses.set_ylabel("loss of a row")
        norms.set_ylabel("norm of its gradient")
        cosines.set_ylabel("cosine")
        cosines.set_xlabel("step")
        write_below(
            figure,
            "Measured on explained rows without dropout, on the trained parameters. Dotted: a stage begins. Below the dashed line the two gradients pull apart.",
        )
        return save(figure, folder, FIGURE)


def _two(
    axes: "Axes", steps: Sequence[int], values: Sequence[tuple[float, float]], *, labelled: bool
) -> None:
    for side, (name, colour, mark) in enumerate((("answer", OURS, "o"), ("explanation", THEIRS, "s"))):  # fmt: skip
        axes.plot(
            steps,
            [pair[side] for pair in values],
            color=colour,
            marker=mark,
            markersize=3,
            label=name if labelled else None,
        )


def _share(one: Measure) -> float:
    whole = one.answer_loss + one.explanation_loss
    return one.explanation_loss / whole if whole else 0.0


def _ends(first: float | None, last: float | None) -> list[float | None]:
    return [None if one is None else round(one, 6) for one in (first, last)]


def _cells(name: str, found: Mapping[str, Any]) -> list[str]:
    answer, explanation = (
        " -> ".join(f"{one:.3f}" for one in found[key])
        for key in ("answer_loss", "explanation_loss")
    )
    cosine = "" if found["cosine"] is None else f"{found['cosine']:+.3f}"
    return [
        name,
        answer,
        explanation,
        f"{found['loss_share']:.2f}",
        cosine,
        f"{found['cosine_below_zero']} of {found['measures']}",
    ]
