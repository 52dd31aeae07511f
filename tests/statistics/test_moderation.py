import numpy as np
import pytest

from equipoise.statistics.moderation import moderated_variances


def test_small_variances_rise_towards_the_mean_of_all_arms_and_large_ones_stand() -> None:
    variance, df = moderated_variances(np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 9.0]))
    assert variance == pytest.approx([(0.5 * 3 + 2 * 1) / 2.5, (0.5 * 3 + 2 * 2) / 2.5, 6])
    assert df == pytest.approx([2.25, 2.25, 9.25])


def test_rules_and_single_runs_neither_give_nor_take() -> None:
    variance, df = moderated_variances(np.array([1.0, 0.0, 2.0, 3.0]), np.array([2.0, 0.0, 2.0, 2.0]))
    alone, _ = moderated_variances(np.array([1.0, 2.0, 3.0]), np.full(3, 2.0))
    assert variance[[0, 2, 3]] == pytest.approx(alone)
    assert (variance[1], df[1]) == (0.0, 0.0)


def test_two_arms_keep_their_own() -> None:
    own = np.array([1.0, 0.0, 4.0])
    variance, df = moderated_variances(own, np.array([2.0, 0.0, 2.0]))
    assert variance.tolist() == own.tolist()
    assert df.tolist() == [2.0, 0.0, 2.0]


def test_equal_variances_only_gain_freedom() -> None:
    variance, df = moderated_variances(np.full(4, 0.3), np.full(4, 2.0))
    assert variance == pytest.approx(np.full(4, 0.3))
    assert np.all(df > 2)
