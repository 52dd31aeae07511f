import baycomp
import numpy as np
import pytest
from scipy import stats

from equipoise.statistics.crossvalidation import resampled_contrast


@pytest.mark.parametrize("seed", range(3))
def test_resampled_t_is_baycomps(seed: int) -> None:
    """Ten repeats of ten folds; baycomp's posterior probability is the one-sided p of the same t."""
    generator = np.random.default_rng(seed)
    a, b = generator.standard_normal((2, 100)) * 0.05 + 0.8
    found = resampled_contrast(a - b, 1 / 9)
    left, _ = baycomp.CorrelatedTTest.probs(a, b, rope=0, runs=10)
    assert stats.t.cdf(found.difference / found.se, found.df) == pytest.approx(left, abs=1e-12)
    assert found.p == pytest.approx(2 * min(left, 1 - left), abs=1e-12)


def test_overlap_of_training_sets_widens_the_interval() -> None:
    difference = np.array([0.01, 0.03, 0.02, 0.0, 0.04])
    found = resampled_contrast(difference, 1 / 4)
    assert found.se == pytest.approx(difference.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4))
    assert found.df == 4
