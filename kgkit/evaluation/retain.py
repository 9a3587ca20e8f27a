"""Turn a model's results before and after training into a verdict: did it gain on a benchmark, and keep what it knew of the rest?

Both are paired differences on the same questions, with the 95 % intervals of `intervals`: gained where the interval is above zero and
the paired test agrees (two assets alone make an interval too narrow), kept where it is above minus the margin of evaluation/retain.yaml.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import BaseModel, ConfigDict, Field

from kgkit import content
from kgkit.errors import UsageError
from kgkit.evaluation.intervals import Comparison, Interval, compare
from kgkit.evaluation.pose import Posed
from kgkit.evaluation.results import Result
from kgkit.evaluation.scores import exactly_right

_SEED = 0
_SURE = 0.05


class Retention(BaseModel):
    """Which questions stand for the rest, and how much of them may be lost, as a share."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int
    questions: str
    margin: float = Field(gt=0, lt=1)


def read_retention() -> Retention:
    """What evaluation/retain.yaml says. Raises ContentError."""
    return content.read_yaml(content.path("evaluation", "retain.yaml"), Retention)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """The verdict on `tuned` against `base`: `gain` on the benchmark, `rest` on the questions `on`."""

    base: str
    tuned: str
    benchmark: str
    gain: Comparison
    on: str
    rest: Comparison
    margin: float

    @property
    def gained(self) -> bool:
        """Surely better on the benchmark."""
        interval = self.gain.interval
        return interval is not None and interval.low > 0 and self.gain.p < _SURE

    @property
    def kept(self) -> bool:
        """Surely no more than the margin worse on the rest."""
        return self.rest.interval is not None and self.rest.interval.low > -self.margin

    def lines(self) -> tuple[str, str]:
        """The verdict, one line for each half."""
        gained = "gained" if self.gained else "not surely gained"
        kept = "kept" if self.kept else "not surely kept"
        return (
            f"{gained} on {self.benchmark}: {self.tuned} against {self.base}: {_said(self.gain)}",
            f"{kept} on {self.on}, margin {self.margin}: {self.tuned} against {self.base}: {_said(self.rest)}",
        )

    def as_json(self) -> dict[str, object]:
        """The verdict with both comparisons."""
        return {
            "gained": self.gained,
            "kept": self.kept,
            "margin": self.margin,
            "base": self.base,
            "tuned": self.tuned,
            "benchmark": self.benchmark,
            "gain": asdict(self.gain),
            "on": self.on,
            "rest": asdict(self.rest),
        }


def retained(
    posed: Posed,
    results: Sequence[Result],
    rest: Posed,
    rest_results: Sequence[Result],
    *,
    margin: float,
) -> Retained:
    """The verdict on two models, before and after training in this order, on what was posed and on the rest.

    Raises UsageError where a pair has no question that both answered.
    """
    base, tuned = results
    return Retained(
        base=base.model,
        tuned=tuned.model,
        benchmark=posed.name,
        gain=_paired(posed, results),
        on=rest.name,
        rest=_paired(rest, rest_results),
        margin=margin,
    )


def require_two(models: Sequence[str]) -> None:
    """Raises UsageError unless there is one model before training and one after."""
    if len(models) != 2:
        raise UsageError(
            "--retain compares two models: add --model BASE --model TUNED, in this order, and no other"
        )


def _paired(posed: Posed, results: Sequence[Result]) -> Comparison:
    first, second = (exactly_right(posed.questions, one.by_question()) for one in results)
    clusters = {question.id: question.asset for question in posed.questions}
    return compare(first, second, clusters, seed=_SEED)


def _said(one: Comparison) -> str:
    low, high = _bounds(one.interval)
    return f"{one.first:.3f} -> {one.second:.3f}, {one.difference:+.3f} [{low}, {high}], p {one.p:.2g}, {one.n} questions"


def _bounds(interval: Interval | None) -> tuple[str, str]:
    return (f"{interval.low:+.3f}", f"{interval.high:+.3f}") if interval else ("?", "?")
