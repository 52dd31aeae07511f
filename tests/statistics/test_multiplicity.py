from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from equipoise.statistics.multiplicity import holm, level_of, max_t, normal_draws

PAIRS = list(combinations(range(4), 2))


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2, 6, 15, 45])
def test_holm_is_statsmodels(count: int) -> None:
    p = np.round(np.random.default_rng(count).random(count) ** 3, 2)  # with ties
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_max_t_of_independent_arms_is_tukeys_range() -> None:
    """Equal variances, no correlation, normal: the studentized range distribution is the exact answer."""
    raw = [0.05, 0.01, 0.2, 0.5, 0.9, 0.003]
    found = max_t(raw, PAIRS, np.eye(4))
    z = stats.norm.isf(np.array(raw) / 2)
    exact = stats.studentized_range.sf(np.sqrt(2) * z, 4, 1e7)
    np.testing.assert_allclose(found.p, exact, atol=0.025)
    assert found.critical == pytest.approx(stats.studentized_range.isf(0.05, 4, 1e7) / np.sqrt(2), abs=0.06)


@pytest.mark.long
@given(st.lists(st.floats(1e-9, 1.0), min_size=6, max_size=6), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_adjusted_p_lies_between_raw_and_bonferroni_and_keeps_the_order(p: list[float], seed: int) -> None:
    root = np.random.default_rng(seed).standard_normal((4, 4))
    found = max_t(p, PAIRS, root @ root.T)
    assert np.all(found.p >= np.array(p) - 1e-15)
    assert np.all(found.p <= np.minimum(6 * np.array(p), 1.0) + 1e-15)
    assert np.all(np.diff(found.p[np.argsort(p)]) >= -1e-15)


def test_one_comparison_needs_no_adjustment() -> None:
    found = max_t([0.03], [(0, 1)], np.eye(2))
    assert found.p.tolist() == [0.03]
    assert level_of(found.critical) == pytest.approx(0.95)


def test_arms_without_variance_do_not_break_the_family() -> None:
    found = max_t([0.2, 0.01, 0.04], [(0, 1), (0, 2), (1, 2)], np.diag([0.0, 0.0, 1.0]))
    assert np.all(np.isfinite(found.p))


def test_draws_have_the_covariance_and_repeat_exactly() -> None:
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    draws = normal_draws(covariance, 40_000, 3)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.05)
    np.testing.assert_array_equal(draws, normal_draws(covariance, 40_000, 3))


def test_a_bystander_in_the_table_moves_no_p():
    from equipoise.statistics.multiplicity import max_t

    generator = np.random.default_rng(0)
    root = generator.normal(size=(5, 5))
    covariance = root @ root.T
    pairs = [(0, 1), (0, 3), (1, 3)]
    alone = [(0, 1), (0, 2), (1, 2)]
    kept = np.ix_([0, 1, 3], [0, 1, 3])
    p = [0.01, 0.04, 0.3]
    np.testing.assert_array_equal(max_t(p, pairs, covariance).p, max_t(p, alone, covariance[kept]).p)
