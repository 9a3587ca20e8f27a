"""Draw a table of rankings: MAP@100 of each ranker with its interval, task by task."""

from pathlib import Path

from kgkit.corpora.drawing import STYLE, new_figure, save, write_below
from kgkit.evaluation.figures import Point, draw_points, label_of
from kgkit.evaluation.intervals import Interval
from kgkit.evaluation.retrieval_table import MEAN, RetrievalScore, RetrievalTable


def draw_retrieval(table: RetrievalTable, folder: Path) -> list[Path]:
    """Write table.svg and table.png to `folder`; their paths. Removes earlier ones.

    Raises ImportError where matplotlib is not installed.
    """
    from matplotlib import rc_context

    for ending in ("svg", "png"):
        (folder / f"table.{ending}").unlink(missing_ok=True)
    found = {
        (score.task, score.model): score
        for score in table.scores
        if score.metric == "MAP@100" and not score.slice
    }
    names = [row.name for row in table.rows]
    labels = [label_of(name) for name in names]
    tasks = (*table.posed.tasks, MEAN)
    height = 0.9 + len(tasks) * (0.5 + 0.21 * sum(1 + label.count("\n") for label in labels))
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure, all_axes = new_figure(height, rows=len(tasks))
        for task, axes in zip(tasks, all_axes, strict=True):
            scores = [found[task, name] for name in names]
            draw_points(axes, [_point(score, table) for score in scores], labels)
            counted = (
                "mean of all tasks"
                if task == MEAN
                else f"{task}: {scores[0].n} {'query' if scores[0].n == 1 else 'queries'}"
            )
            axes.set_title(counted, fontsize=10.5)
        all_axes[-1].set_xlabel("MAP@100")
        figure.suptitle("retrieval", x=0.02, ha="left", fontweight="bold", fontsize=12.0)
        write_below(
            figure,
            "Bars: 95 % intervals (bootstrap over queries; none for less than six). Filled: models. Hollow: what needs no model.",
        )
        return save(figure, folder, "table")


def _point(score: RetrievalScore, table: RetrievalTable) -> Point:
    low, high = score.ci_low, score.ci_high
    return Point(
        value=score.value,
        interval=Interval(low, high) if low is not None and high is not None else None,
        model=score.model in table.verdicts,
    )
