"""Turn right and wrong answers into 95 % intervals, and two runs on the same questions into a comparison. Pure; SciPy does the statistics.

Questions about one asset stand and fall together, so a bootstrap draws whole assets (clusters). With the few assets that a plant's tables
name its intervals are somewhat too narrow: drawn from 10 assets they hold the truth some 90 times in 100, from 30 some 94 times.
"""

import importlib.util
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgkit.errors import KgkitError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
ENOUGH = 6
"""So many values have an interval: of n all lie on one side of the median with probability 2^(1-n), which is below 0.05 from six on."""
_AT_ONCE = 2_000_000
"""Numbers drawn at once: bounds the memory of a bootstrap to some 50 MB."""
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs on the questions that both answered (`n`; `left_out`: those that only one did, by an error or a stop).

    `difference` is the second's share of right answers minus the first's, with a bootstrap interval clustered by asset (None for less
    than two questions). `p` is McNemar's exact test, two-sided: how likely so uneven a split of the questions that only one of
    them got right is if both are equally good.
    """

    n: int
    left_out: int
    first: float
    second: float
    only_first: int
    only_second: int
    difference: float
    interval: Interval | None
    p: float


def require_statistics(what: str) -> None:
    """Raise KgkitError where SciPy is missing, without importing it."""
    if importlib.util.find_spec("scipy") is None:
        raise KgkitError(f'{what} needs scipy: pip install "kgkit[evaluation]", or scipy alone')


def wilson(right: int, n: int) -> Interval | None:
    """Wilson's score interval of a share; None without questions."""
    from scipy.stats import binomtest

    if not n:
        return None
    found = binomtest(right, n).proportion_ci(confidence_level=0.95, method="wilson")
    return Interval(float(found.low), float(found.high))


def clustered(
    values: Sequence[float], clusters: Sequence[Hashable], *, seed: int
) -> Interval | None:
    """Percentile bootstrap of the mean of `values`, drawing whole clusters; None for less than two values.

    A value whose cluster is "" belongs to none and is drawn by itself. With one cluster there is nothing to draw from: then all values
    are drawn one by one, and the interval speaks of further questions about that asset, not of further assets.
    """
    import numpy as np
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None
    named = [(at, cluster) if cluster == "" else cluster for at, cluster in enumerate(clusters)]
    places = {cluster: place for place, cluster in enumerate(dict.fromkeys(named))}
    drawn = [places[cluster] for cluster in named] if len(places) > 1 else range(len(values))
    sums = np.bincount(drawn, weights=values)
    sizes = np.bincount(drawn).astype(np.float64)

    def mean(sums: "Floats", sizes: "Floats", axis: int) -> "Floats":
        return np.asarray(sums.sum(axis) / sizes.sum(axis))

    found = bootstrap(
        (sums, sizes),
        mean,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _AT_ONCE // len(sums)),
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def resampled_means(values: "Floats", *, seed: int) -> "Floats":
    """Means of `values` (n, k) over 10,000 draws of n rows: (10,000, k), the same draws for all columns."""
    import numpy as np

    generator = np.random.default_rng(seed)
    rows, columns = values.shape
    found = np.empty((RESAMPLES, columns))
    step = max(1, _AT_ONCE // rows)
    for first in range(0, RESAMPLES, step):
        draws = min(step, RESAMPLES - first)
        counts = generator.multinomial(rows, np.full(rows, 1 / rows), size=draws)
        found[first : first + draws] = counts @ values / rows
    return found


def percentiles(means: "Floats") -> list[Interval]:
    """The 95 % interval of each column of resampled means."""
    import numpy as np

    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return [Interval(float(one), float(other)) for one, other in zip(low, high, strict=True)]


def crossed(
    values: Sequence[Sequence[float]], clusters: Sequence[Hashable], *, seed: int
) -> Interval | None:
    """Percentile bootstrap of the mean of `values` (runs, questions), drawing whole runs and whole clusters, both with repetition.

    Owen (2007) calls it the pigeonhole bootstrap. Clusters as in `clustered`, which one run comes to. Few runs make the interval too
    narrow, as few assets do: from 3 runs on 10 assets it held the truth 91 times in 100, on 2 assets 64 times. None for less than two questions.
    """
    import numpy as np

    if len(clusters) < 2 or not values:
        return None
    named = [(at, cluster) if cluster == "" else cluster for at, cluster in enumerate(clusters)]
    places = {cluster: place for place, cluster in enumerate(dict.fromkeys(named))}
    drawn = [places[cluster] for cluster in named] if len(places) > 1 else range(len(clusters))
    sums = np.array([np.bincount(drawn, weights=run) for run in values])
    sizes = np.bincount(drawn).astype(np.float64)
    rng, means = np.random.default_rng(seed), []
    runs, parts = sums.shape
    at_once = max(1, _AT_ONCE // parts)
    for begin in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - begin)
        of_runs = rng.multinomial(runs, [1 / runs] * runs, count)
        of_parts = rng.multinomial(parts, [1 / parts] * parts, count)
        right = ((of_runs @ sums) * of_parts).sum(axis=1)
        means.append(right / (runs * (of_parts @ sizes)))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Interval(float(low), float(high))


def crossed_strata(strata: Sequence["Floats"], *, seed: int) -> Interval:
    """Percentile bootstrap of the mean over `strata` of the mean of each (runs, values): runs, the same for all strata, and values within each are drawn, both with repetition.

    One run is drawn from by its values alone. Few runs make the interval too narrow, as in `crossed`.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    runs = strata[0].shape[0]
    of_runs = rng.multinomial(runs, [1 / runs] * runs, RESAMPLES) / runs
    means = np.zeros(RESAMPLES)
    for values in strata:
        n = values.shape[1]
        of_values = rng.multinomial(n, [1 / n] * n, RESAMPLES) / n
        means += ((of_runs @ values) * of_values).sum(axis=1) / len(strata)
    (found,) = percentiles(means[:, None])
    return found


def flipped(gains: Sequence[float], *, seed: int) -> float:
    """How likely a mean as far from 0 is if every gain could as well be a loss: two-sided p of a sign-flip permutation test.

    Of gains that are 1, 0 or -1 it is McNemar's exact test; here a gain may be a mean over runs, and then it is exact up to 2 ** 13 patterns of
    signs, and of 9,999 drawn ones beyond that, so never below 0.0002.
    """
    import numpy as np
    from scipy.stats import binomtest, permutation_test

    some = np.array([gain for gain in gains if abs(gain) > _NOTHING])
    if len(some) < 2:
        return 1.0
    if np.ptp(np.abs(some)) < _NOTHING:
        return float(binomtest(int((some > 0).sum()), len(some)).pvalue)
    found = permutation_test(
        (some,),
        lambda values, axis: values.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES - 1,
        batch=max(1, _AT_ONCE // len(some)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def compare(
    first: Mapping[str, bool],
    second: Mapping[str, bool],
    clusters: Mapping[str, Hashable],
    *,
    seed: int,
) -> Comparison:
    """Compare which questions (by id) two runs got right; `clusters` gives each question's asset.

    Raises UsageError if no question was answered in both.
    """
    from scipy.stats import binomtest

    both = sorted(first.keys() & second.keys())
    if not both:
        raise UsageError(
            "the two runs share no question: compare runs of the same benchmark and version"
        )
    gains = [float(second[one]) - float(first[one]) for one in both]
    only_first, only_second = gains.count(-1.0), gains.count(1.0)
    uneven = only_first + only_second
    return Comparison(
        n=len(both),
        left_out=len(first.keys() ^ second.keys()),
        first=sum(first[one] for one in both) / len(both),
        second=sum(second[one] for one in both) / len(both),
        only_first=only_first,
        only_second=only_second,
        difference=sum(gains) / len(both),
        interval=clustered(gains, [clusters[one] for one in both], seed=seed),
        p=float(binomtest(only_first, uneven, 0.5).pvalue) if uneven else 1.0,
    )


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values of several comparisons, in the order given: below 0.05 they are significant together."""
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted
