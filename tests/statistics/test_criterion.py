from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from equipoise.statistics.criterion import Criterion, Variances, criterion, joined, thresholds


def variances(run: float, patients: float, seeds: int, n: float = 1e7) -> Variances:
    one = np.ones(1)
    return Variances(run * one, 0 * one, patients * one, n * one, seeds, 2)


def test_many_patients_and_no_spread_leave_the_normal_quantile() -> None:
    edge = thresholds(variances(0.0, 4e-4, 3), Criterion(), 0.05, 0.05)
    assert edge == pytest.approx(np.full(edge.shape, 0.02 * stats.norm.ppf(0.975)), rel=1e-3)


def test_spread_alone_asks_for_welchs_quantile() -> None:
    """Two arms of three runs: between 2 and 4 degrees of freedom, 4 where both variances are equal by chance."""
    edge = thresholds(variances(1e-4, 0.0, 3), Criterion(), 0.05, 0.05)
    mean_squares = (edge / stats.t.ppf(0.975, 4)) ** 2 / (2e-4 / 3)
    assert 0 < mean_squares.min() < 1 < mean_squares.max()
    assert np.median(edge) > 0.01 * np.sqrt(2 / 3) * stats.t.ppf(0.975, 4) * 0.8


def test_known_variances_have_tukeys_level() -> None:
    """With many runs the level of all pairs of five arms is that of the studentized range."""
    pairs = list(combinations(range(5), 2))
    critical = stats.studentized_range.ppf(0.95, 5, np.inf) / np.sqrt(2)
    assert criterion(pairs).adjusted(10_000, 1.0) == pytest.approx(2 * stats.norm.sf(critical), rel=0.12)
    assert criterion(pairs).adjusted(3, 1.0) > criterion(pairs).adjusted(10_000, 1.0) * 0.9
    assert Criterion().adjusted(3, 1.0) == 0.05


def test_a_family_and_folds_raise_the_threshold() -> None:
    parts = variances(1e-4, 1e-4, 3, 200)
    alone = thresholds(parts, Criterion(), 0.05, 0.05)
    of_three = thresholds(parts, criterion(list(combinations(range(3), 2))), 0.05, 0.02)
    assert np.all(of_three >= alone - 1e-12)
    folds = thresholds(parts, Criterion(folds=5), 0.05, 0.05)
    assert np.all(folds >= alone - 1e-12)
    assert np.median(folds) > 1.1 * np.median(alone)


def test_variances_are_joined_and_divided() -> None:
    both = joined([variances(1.0, 2.0, 3), variances(3.0, 4.0, 3)])
    assert both.total == pytest.approx([2 / 3 + 2, 2 + 4])
    assert both.where(np.array([False, True])).total == pytest.approx([6.0])


def test_failures_that_nobody_saw_are_a_threshold_of_their_own() -> None:
    """A change by 3/n of a loss of .8: with 100 patients no difference below .024 is called one."""
    edge = thresholds(variances(1e-8, 0.0, 3, 100), Criterion(unseen=2.4), 0.05, 0.05)
    assert edge == pytest.approx(np.full(edge.shape, 0.024))
