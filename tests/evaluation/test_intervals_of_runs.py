"""Intervals over runs and questions at once, and the permutation test of their differences."""

import numpy as np
import pytest
from scipy.stats import binomtest

from kgkit.evaluation.intervals import clustered, crossed, flipped

ASSETS = [f"asset-{number % 10}" for number in range(200)]


def runs(rng: np.random.Generator, *, apart: float) -> list[list[float]]:
    """Three runs on 200 questions of 10 assets, that differ by `apart`."""
    asset = np.repeat(rng.normal(0, 0.08, 10), 20)
    levels = rng.normal(0, apart, 3)[:, None]
    return [list(run) for run in levels + asset + rng.normal(0, 0.4, (3, 200))]


def test_one_run_is_the_bootstrap_over_clusters():
    values = [float(number % 3 == 0) for number in range(200)]
    one, other = crossed([values], ASSETS, seed=1), clustered(values, ASSETS, seed=1)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_runs_that_differ_widen_the_interval():
    near, far = (
        crossed(runs(np.random.default_rng(0), apart=apart), ASSETS, seed=0) for apart in (0.0, 0.3)
    )
    assert near is not None
    assert far is not None
    assert far.high - far.low > 2 * (near.high - near.low)


def test_nothing_asked_has_no_interval():
    assert crossed([], [], seed=0) is None
    assert crossed([[1.0]], ["pump"], seed=0) is None


def test_the_interval_holds_the_truth_nine_times_of_ten():
    rng = np.random.default_rng(5)
    clusters = sorted(ASSETS)
    held = 0
    for seed in range(60):
        found = crossed(runs(rng, apart=0.03), clusters, seed=seed)
        assert found is not None
        held += found.low <= 0 <= found.high
    assert held >= 50


@pytest.mark.parametrize(
    ("gained", "lost"), [(5, 0), (7, 2), (6, 6), (1, 0), (0, 0), (30, 9), (90, 12)]
)
def test_flipping_signs_of_whole_gains_is_mcnemars_exact_test(gained, lost):
    gains = [1.0] * gained + [0.0] * 9 + [-1.0] * lost
    expected = binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    assert flipped(gains, seed=0) == pytest.approx(expected, rel=1e-9)


def test_the_same_seed_draws_the_same():
    values = runs(np.random.default_rng(1), apart=0.1)
    assert crossed(values, ASSETS, seed=3) == crossed(values, ASSETS, seed=3)
    assert flipped(values[0], seed=3) == flipped(values[0], seed=3)
