import numpy as np
import pytest
from scipy import stats

from equipoise.statistics.ranking import rank


def test_two_arms_have_the_normal_probability() -> None:
    covariance = np.array([[4e-4, 1e-4], [1e-4, 3e-4]])
    best, other = rank(("a", "b"), np.array([0.80, 0.82]), covariance)
    expected = stats.norm.cdf(0.02 / np.sqrt(5e-4))
    assert (best.arm, other.arm) == ("b", "a")
    assert best.probability_best == pytest.approx(expected, abs=0.015)
    assert best.probability_best + other.probability_best == pytest.approx(1.0)


def test_direction_and_certainty() -> None:
    order = rank(("a", "b", "c"), np.array([0.3, 0.1, 0.2]), np.eye(3) * 1e-8, sign=-1)
    assert [r.arm for r in order] == ["b", "c", "a"]
    assert [(r.rank_low, r.rank_high) for r in order] == [(1, 1), (2, 2), (3, 3)]


def test_equal_arms_share_the_first_place() -> None:
    order = rank(("a", "b"), np.array([0.8, 0.8]), np.zeros((2, 2)))
    assert [r.probability_best for r in order] == [0.5, 0.5]
