import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from equipoise.statistics.resampling import bca, bca_of_mean


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_interval_is_scipys_within_a_tenth_of_the_standard_error(seed: int) -> None:
    """Sixty skewed values, one a patient; so many draws that their own noise stays below that."""
    values = np.random.default_rng(seed).exponential(1.0, 60)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=100_000, method="BCa", rng=np.random.default_rng(99))
    ours = bca_of_mean(values, np.arange(60), replicates=100_000)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.1 * float(theirs.standard_error))


def test_from_the_same_replicates_the_interval_is_scipys() -> None:
    values = np.random.default_rng(3).lognormal(0.0, 1.2, 60)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=2_000, method="BCa", rng=np.random.default_rng(0))
    left_out = (values.sum() - values) / 59
    ours = bca(float(values.mean()), theirs.bootstrap_distribution, left_out)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_whole_patients_are_drawn() -> None:
    """A patient's cases are one unit: ten copies of every case tell nothing new."""
    values = np.random.default_rng(4).lognormal(0.0, 1.0, 40)
    once = bca_of_mean(values, np.arange(40))
    tenfold = bca_of_mean(np.repeat(values, 10), np.repeat(np.arange(40), 10))
    assert tenfold == pytest.approx(once)


def test_a_skewed_mean_has_a_skewed_interval() -> None:
    values = np.random.default_rng(5).lognormal(0.0, 1.0, 60)
    low, high = bca_of_mean(values, np.arange(60))
    assert high - values.mean() > 1.2 * (values.mean() - low)
    mirrored = bca_of_mean(-values, np.arange(60))
    assert mirrored == pytest.approx((-high, -low), abs=0.01)


@pytest.mark.long
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 5))
def test_the_interval_stays_within_the_values(values: list[float], seed: int) -> None:
    given_values = np.array(values)
    low, high = bca_of_mean(given_values, np.arange(len(values)), replicates=50, seed=seed)
    assert given_values.min() - 1e-12 <= low <= high <= given_values.max() + 1e-12


def test_equal_values_are_a_point() -> None:
    assert bca_of_mean(np.full(20, 0.7), np.arange(20)) == pytest.approx((0.7, 0.7))
    assert bca(1.0, np.full(10, 1.0), np.full(10, 1.0)) == (1.0, 1.0)
