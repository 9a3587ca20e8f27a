"""Draw a study: its arms with intervals and seeds, and the line charts that its file asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.corpora.drawing import INK, OURS, STYLE, THEIRS, new_figure, save, write_below
from kgkit.evaluation.intervals import Interval
from kgkit.finetune.arms import Plot
from kgkit.finetune.study import Studied
from kgkit.finetune.study_report import scores_along

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = ((OURS, "o", "-"), (THEIRS, "s", "--"), (INK, "^", ":"), (OURS, "D", "-."))
"""Colour, mark and stroke of a chart's lines: shapes tell them apart as well."""


def draw(studied: Studied, folder: Path) -> list[Path]:
    """Write study.svg and study.png, and a pair for each plot of the study; their paths.

    Raises ImportError where matplotlib is not installed.
    """
    from matplotlib import rc_context

    with rc_context(STYLE):  # type: ignore[arg-type]
        paths = _arms(studied, folder)
        for plot in studied.study.plots:
            paths += _lines(studied, plot, folder)
    return paths


def _arms(studied: Studied, folder: Path) -> list[Path]:
    """One panel a benchmark, one line an arm, the first on top."""
    arms = list(studied.study.arms)
    figure, panels = new_figure(
        1.2 + len(studied.benchmarks) * (0.6 + 0.3 * len(arms)), rows=len(studied.benchmarks)
    )
    for name, axes in zip(studied.benchmarks, panels, strict=True):
        base = studied.compared.score(studied.study.base, name)
        axes.axvline(base.value, color=INK, linewidth=1.0, linestyle="--")
        for place, arm in enumerate(arms):
            score = studied.compared.score(arm, name)
            axes.errorbar(
                score.value, place, xerr=_reach(score.value, score.interval), fmt="o", color=OURS, capsize=3, markersize=6,
            )  # fmt: skip
            if len(score.by_run) > 1:
                axes.plot(
                    score.by_run, [place] * len(score.by_run), linestyle="", marker="|", color=THEIRS, markersize=9,
                )  # fmt: skip
        axes.set_yticks(range(len(arms)), arms, parse_math=False)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_title(f"{name}: {base.n} questions", fontsize=10.5, parse_math=False)
        _grid(axes, "x")
    panels[-1].set_xlabel("share answered exactly right")
    figure.suptitle(
        studied.study.name, x=0.02, ha="left", fontweight="bold", fontsize=12.0, parse_math=False
    )
    write_below(
        figure,
        f"Points: means over seeds, with 95 % intervals over seeds and assets. Ticks: single seeds. Dashed: {studied.study.base}.",
    )
    return save(figure, folder, "study")


def _lines(studied: Studied, plot: Plot, folder: Path) -> list[Path]:
    """The first benchmark's score along what arms were given, and the base as a level."""
    benchmark = next(iter(studied.benchmarks))
    figure, (axes,) = new_figure(4.2)
    base = studied.compared.score(studied.study.base, benchmark)
    axes.axhline(base.value, color=INK, linewidth=1.0, linestyle="--", label=studied.study.base)
    for number, (name, arms) in enumerate(plot.lines.items()):
        colour, mark, stroke = _LINES[number % len(_LINES)]
        points = scores_along(studied, benchmark, arms, plot.along)
        reaches = [_reach(score.value, score.interval) for _, score in points]
        axes.errorbar(
            [given for given, _ in points],
            [score.value for _, score in points],
            yerr=[[reach[side][0] for reach in reaches] for side in (0, 1)],
            color=colour,
            marker=mark,
            linestyle=stroke,
            capsize=3,
            label=name,
        )
    if plot.logarithmic:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("tokens trained" if plot.along == "tokens" else plot.along)
    axes.set_ylabel(f"{benchmark}, exactly right")
    axes.set_title(plot.title, parse_math=False)
    axes.legend()
    _grid(axes, "y")
    write_below(figure, "Means over seeds, with 95 % intervals over seeds and assets.")
    return save(figure, folder, plot.file)


def _reach(value: float, interval: Interval | None) -> Sequence[Sequence[float]]:
    """How far an interval goes below and above, as error bars want it."""
    low, high = (interval.low, interval.high) if interval else (value, value)
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _grid(axes: "Axes", axis: str) -> None:
    axes.grid(axis=axis, color="#d9d9d9", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
