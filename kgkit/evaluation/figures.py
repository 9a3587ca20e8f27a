"""Draw a table of results: one line a model or baseline with its interval, overall and by what training could have seen."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.corpora.drawing import INK, OURS, STYLE, THEIRS, new_figure, save, write_below
from kgkit.evaluation.intervals import Interval
from kgkit.evaluation.table import Table, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL = 24
"""Characters of a name on one line; longer ones are broken."""
_LINES = 3
_SEEN = {"all": "all pairs", "some": "some pairs", "none": "no pair"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One drawn share."""

    value: float
    interval: Interval | None
    model: bool


def draw(table: Table, folder: Path) -> list[Path]:
    """Write table.svg and table.png to `folder`; their paths. Removes earlier ones.

    Raises ImportError where matplotlib is not installed.
    """
    from matplotlib import rc_context

    for ending in ("svg", "png"):
        (folder / f"table.{ending}").unlink(missing_ok=True)
    everything = {question.id for question in table.posed.questions}
    parts = {"all questions": everything} | {
        f"{_SEEN[name]} seen in training": ids for name, ids in table.slices.items()
    }
    labels = [label_of(row.name) for row in table.rows_]
    height = 0.9 + len(parts) * (0.5 + 0.21 * sum(1 + label.count("\n") for label in labels))
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure, all_axes = new_figure(height, rows=len(parts))
        for (title, ids), axes in zip(parts.items(), all_axes, strict=True):
            _panel(axes, table, ids, labels)
            axes.set_title(f"{title}: {len(ids)}", fontsize=10.5)
        all_axes[-1].set_xlabel("share answered exactly right")
        figure.suptitle(
            table.posed.name, x=0.02, ha="left", fontweight="bold", fontsize=12.0, parse_math=False
        )
        write_below(
            figure,
            "Bars: 95 % intervals (Wilson). Filled: models. Hollow: what needs no model. Dashed: chance.",
        )
        return save(figure, folder, "table")


def _panel(axes: "Axes", table: Table, ids: set[str], labels: Sequence[str]) -> None:
    """One point a row, the first on top; what is expected of chance as a line."""
    points: list[Point | None] = []
    for row in table.rows_:
        found = share(row, table.posed, ids)
        if found is None:
            points.append(None)
            continue
        value, interval = found
        if not row.outcomes:
            axes.axvline(value, color=INK, linewidth=1.0, linestyle="--")
        points.append(Point(value=value, interval=interval, model=row.result is not None))
    draw_points(axes, points, labels)


def draw_points(axes: "Axes", points: Sequence[Point | None], labels: Sequence[str]) -> None:
    """Shares in [0, 1] with their intervals, one below the other, each beside its label; models filled."""
    for place, point in enumerate(points):
        if point is None:
            continue
        value, interval = point.value, point.interval
        low, high = (value - interval.low, interval.high - value) if interval else (0.0, 0.0)
        axes.errorbar(
            value,
            place,
            xerr=[[max(0.0, low)], [max(0.0, high)]],
            fmt="o" if point.model else "D",
            color=OURS if point.model else THEIRS,
            markerfacecolor=OURS if point.model else "white",
            capsize=3,
            markersize=6,
        )
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)


def label_of(name: str) -> str:
    """A name in at most three lines."""
    return "\n".join(textwrap.wrap(name, _LABEL, max_lines=_LINES, placeholder=" ..."))
