"""Turn what the arms of a study answered into one table: scores over seeds with intervals, differences to the base and between arms.

A score is the mean over seeds of the share answered exactly right. Its interval draws whole seeds and whole assets. Two arms compare on the
same questions, seed by seed; p is of sign flips over questions, adjusted (Holm) within the differences to the base and within all others.
"""

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from kgkit.errors import UsageError
from kgkit.evaluation.intervals import Interval, crossed, flipped, holm

_SEED = 0
_SURE = 0.05
Right = Mapping[str, bool]
"""Whether each question was answered exactly right, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One benchmark: `clusters` gives each question's asset, `arms` each arm's answers, run by run in the order of its seeds."""

    benchmark: str
    clusters: Mapping[str, Hashable]
    arms: Mapping[str, Sequence[Right]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """An arm on a benchmark: the mean over its runs, which stand in `by_run`; `n` questions that every run of every arm answered."""

    arm: str
    benchmark: str
    n: int
    value: float
    interval: Interval | None
    by_run: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`arm` minus `against` on a benchmark. `p_adjusted`: Holm's, among the differences to the base or among those between the others."""

    arm: str
    against: str
    benchmark: str
    n: int
    value: float
    interval: Interval | None
    p: float
    p_adjusted: float

    @property
    def verdict(self) -> str:
        """`better` or `worse` where both the interval and the adjusted p say so, else `not sure`."""
        if self.interval is None or self.p_adjusted >= _SURE:
            return "not sure"
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else "not sure"

    def as_json(self) -> dict[str, object]:
        """The difference as it is written."""
        return {**_flat(self), "verdict": self.verdict}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Every arm on every benchmark, to the base first. `left_out`: questions of a benchmark that some run did not answer."""

    scores: list[Score]
    to_base: list[Difference]
    between: list[Difference]
    left_out: Mapping[str, int]

    def score(self, arm: str, benchmark: str) -> Score:
        """The score of an arm."""
        return next(one for one in self.scores if (one.arm, one.benchmark) == (arm, benchmark))

    def gain(self, arm: str, benchmark: str) -> Difference | None:
        """An arm's difference to the base; None for the base itself."""
        found = (one for one in self.to_base if (one.arm, one.benchmark) == (arm, benchmark))
        return next(found, None)

    def as_json(self) -> dict[str, object]:
        """All numbers."""
        return {
            "scores": [_flat(one) for one in self.scores],
            "to_base": [one.as_json() for one in self.to_base],
            "between": [one.as_json() for one in self.between],
            "left_out": dict(self.left_out),
        }


def compared(benchmarks: Sequence[Answered], *, base: str) -> Compared:
    """The table of a study. Raises UsageError where a benchmark has no question that every run answered."""
    scores: list[Score] = []
    to_base: list[Difference] = []
    between: list[Difference] = []
    left_out = {}
    for one in benchmarks:
        common, left_out[one.benchmark] = _common(one)
        scores += [_score(one, arm, common) for arm in one.arms]
        others = [arm for arm in one.arms if arm != base]
        to_base += _adjusted([_difference(one, arm, base, common) for arm in others])
        pairs = itertools.combinations(others, 2)
        between += _adjusted([_difference(one, arm, other, common) for other, arm in pairs])
    return Compared(scores=scores, to_base=to_base, between=between, left_out=left_out)


def _common(one: Answered) -> tuple[list[str], int]:
    """The questions that every run answered, and the number of all others."""
    every = [set(run) for runs in one.arms.values() for run in runs]
    common = set.intersection(*every)
    if not common:
        raise UsageError(f"{one.benchmark}: the runs of the study share no question")
    return sorted(common), len(set.union(*every)) - len(common)


def _score(one: Answered, arm: str, common: Sequence[str]) -> Score:
    runs = [[float(run[question]) for question in common] for run in one.arms[arm]]
    by_run = tuple(sum(run) / len(run) for run in runs)
    return Score(
        arm=arm,
        benchmark=one.benchmark,
        n=len(common),
        value=sum(by_run) / len(by_run),
        interval=crossed(runs, [one.clusters[question] for question in common], seed=_SEED),
        by_run=by_run,
    )


def _difference(one: Answered, arm: str, against: str, common: Sequence[str]) -> Difference:
    """Seed by seed; an arm of a single run, as one without training, stands against every run of the other."""
    mine, theirs = one.arms[arm], one.arms[against]
    gains = [
        [float(run[question]) - float(other[question]) for question in common]
        for run, other in _beside(mine, theirs)
    ]
    means = [sum(column) / len(gains) for column in zip(*gains, strict=True)]
    p = flipped(means, seed=_SEED)
    return Difference(
        arm=arm,
        against=against,
        benchmark=one.benchmark,
        n=len(common),
        value=sum(means) / len(means),
        interval=crossed(gains, [one.clusters[question] for question in common], seed=_SEED),
        p=p,
        p_adjusted=p,
    )


def _beside(mine: Sequence[Right], theirs: Sequence[Right]) -> Iterator[tuple[Right, Right]]:
    most = max(len(mine), len(theirs))
    mine, theirs = (list(one) * most if len(one) == 1 else one for one in (mine, theirs))
    return zip(mine, theirs, strict=True)


def _adjusted(found: Sequence[Difference]) -> Iterator[Difference]:
    for one, p in zip(found, holm([each.p for each in found]), strict=True):
        yield replace(one, p_adjusted=p)


def _flat(one: Score | Difference) -> dict[str, object]:
    said = asdict(one)
    interval = said.pop("interval")
    low, high = (interval["low"], interval["high"]) if interval else (None, None)
    return {**said, "ci_low": low, "ci_high": high}
