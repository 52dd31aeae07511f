import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from equipoise.statistics.intervals import (
    auc_interval,
    logit_interval,
    mean_interval,
    newcombe5,
    quantile,
    rate_interval,
)

AREA = st.floats(0.0, 1.0)
SIZE = st.integers(2, 5_000)


@pytest.mark.long
@given(AREA, SIZE, SIZE)
@settings(max_examples=200, deadline=None)
def test_newcombe_contains_the_estimate_and_stays_in_range(auc: float, positives: int, negatives: int) -> None:
    low, high = newcombe5(auc, positives, negatives)
    assert 0.0 <= low <= auc + 1e-9
    assert auc - 1e-9 <= high <= 1.0
    mirrored = newcombe5(1 - auc, positives, negatives)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-7)


def test_newcombe_bounds_solve_their_equation() -> None:
    """(estimate - bound)^2 = z^2 V(bound), with Hanley and McNeil's V at equal sample sizes."""
    positives, negatives = 23, 61
    size = (positives + negatives) / 2 - 1
    for auc in (0.6, 0.85, 0.97, 1.0):
        low, high = newcombe5(auc, positives, negatives)
        for bound in (low, high)[: 1 if auc == 1 else 2]:
            inner = 1 + size * ((1 - bound) / (2 - bound) + bound / (1 + bound))
            spread = bound * (1 - bound) * inner / (positives * negatives)
            assert (auc - bound) ** 2 == pytest.approx(1.959963984540054**2 * spread, rel=1e-6)


def test_newcombe_of_a_perfect_area_is_not_a_point() -> None:
    low, high = newcombe5(1.0, 10, 50)
    assert high == 1.0
    assert 0.8 < low < 0.97


def test_logit_interval_is_the_delta_method() -> None:
    low, high = logit_interval(0.8, 0.05, 10)
    middle, half = np.log(4), stats.t.ppf(0.975, 10) * 0.05 / 0.16
    assert (low, high) == pytest.approx((1 / (1 + np.exp(half - middle)), 1 / (1 + np.exp(-half - middle))))


def test_quantile_is_students_or_the_normals() -> None:
    assert quantile(0.975, 4.5) == pytest.approx(stats.t.ppf(0.975, 4.5))
    assert quantile(0.975, np.inf) == pytest.approx(stats.norm.ppf(0.975))


def test_design_effect_widens_and_the_method_follows_the_number_of_seeds() -> None:
    plain = auc_interval(0.85, 0.001, 0.001, 40, 80, 39.0, seeds=1, few=False)
    clustered = auc_interval(0.85, 0.002, 0.001, 40, 80, 39.0, seeds=1, few=False)
    assert clustered[0].low < plain[0].low < plain[0].high < clustered[0].high
    assert clustered[0].low, clustered[0].high == pytest.approx(newcombe5(0.85, 20, 40))
    several = auc_interval(0.85, 0.002, 0.001, 40, 80, 6.0, seeds=3, few=False)
    assert (plain[0].method, several[0].method) == ("Newcombe 5 with design effect", "logit")
    assert auc_interval(0.85, 0.002, 0.001, 8, 80, 6.0, seeds=3, few=True)[0].method.startswith("Newcombe")
    assert auc_interval(1.0, 0.0, 0.0, 8, 80, 6.0, seeds=3, few=False)[1] is None


def test_rates_shrink_their_sample_by_the_design_effect() -> None:
    wide, narrow = rate_interval(0.8, 0.16 / 50, 100, 60), rate_interval(0.8, 0.16 / 100, 100, 60)
    assert (wide.low, wide.high) == pytest.approx(stats.binomtest(40, 50).proportion_ci(method="wilson"))
    assert (narrow.low, narrow.high) == pytest.approx(stats.binomtest(80, 100).proportion_ci(method="wilson"))
    certain = rate_interval(1.0, 0.0, 100, 60)
    assert (certain.low, certain.high) == pytest.approx(stats.binomtest(60, 60).proportion_ci(method="wilson"))


def test_means_stay_in_their_range() -> None:
    assert mean_interval(0.98, 0.05, 20, 0.0, 1.0).high == 1.0
    assert mean_interval(1.0, 1.0, 20, 0.0, np.inf).low == 0.0
