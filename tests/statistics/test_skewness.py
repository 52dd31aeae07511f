"""A skewed mean is tested as often wrongly as stated, where Student's t alone errs two to three times as often."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from equipoise.statistics.comparison import Contrast, equivalence_p, non_inferiority_p
from equipoise.statistics.skewness import FEW, hall, hall_inverse, skewness_of


def contrast(cases: np.ndarray) -> Contrast:
    """The contrast of a mean of differences, runs fixed."""
    n = len(cases)
    se = float(cases.std(ddof=1) / np.sqrt(n))
    skew = skewness_of((cases - cases.mean()) / n, n, se)
    return Contrast(float(cases.mean()), se, n - 1.0, se, 0.0, "t", skew)


def test_the_skewness_is_that_of_scipy() -> None:
    cases = np.random.default_rng(0).exponential(size=25)
    expected = stats.skew(cases, bias=False) / np.sqrt(25) * (1 + FEW / 25)
    assert contrast(cases).skew == pytest.approx(expected)
    assert contrast(-cases).skew == pytest.approx(-expected)
    # Training runs in the standard error make the estimate less skewed than its patients.
    influence = (cases - cases.mean()) / 25
    alone = cases.std(ddof=1) / 5
    assert skewness_of(influence, 25, 1.2 * alone) == pytest.approx(expected / 1.2**3)
    assert skewness_of(influence, 25, 10 * alone) == 0.0


def test_symmetric_cases_are_tested_by_t_alone() -> None:
    cases = np.random.default_rng(0).normal(0.2, 1.0, 80)
    found = contrast(cases)
    assert found.skew == 0.0
    assert found.p == pytest.approx(stats.ttest_1samp(cases, 0).pvalue)
    low, high = stats.ttest_1samp(cases, 0).confidence_interval()
    assert found.interval() == pytest.approx((low, high))


@pytest.mark.parametrize("skew", [-1.5, -0.3, 0.2, 0.9])
def test_the_transformation_is_monotone_and_inverted(skew: float) -> None:
    t = np.linspace(-8, 8, 201)
    moved = [hall(float(x), skew) for x in t]
    assert np.all(np.diff(moved) >= 0)
    assert [hall_inverse(x, skew) for x in moved] == pytest.approx(t.tolist(), abs=1e-4)


def test_interval_p_and_margins_agree() -> None:
    cases = np.random.default_rng(4).lognormal(size=20) - 0.9
    found = contrast(cases)
    assert found.skew > 0
    assert found.p >= stats.ttest_1samp(cases, 0).pvalue - 1e-12
    for level in (0.5, 0.9, 0.99):
        low, high = found.interval(level)
        assert (low < 0 < high) == (found.p > 1 - level)
        assert Contrast(found.difference - high, *list(vars(found).values())[1:]).p == pytest.approx(
            1 - level, abs=1e-6
        )
        assert Contrast(found.difference - low, *list(vars(found).values())[1:]).p == pytest.approx(1 - level, abs=1e-6)
    low, high = found.interval(0.9)
    margin = max(-low, high)
    assert equivalence_p(found, margin * 1.0001) < 0.05 <= equivalence_p(found, margin * 0.9999)
    other = contrast(-cases)
    assert (found.turned().difference, found.turned().skew) == pytest.approx((other.difference, other.skew))
    assert non_inferiority_p(found.turned(), margin) == pytest.approx(non_inferiority_p(other, margin))


DRAWS: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], float]] = {
    "exponential": (lambda stream, shape: stream.exponential(size=shape), 1.0),
    "gamma": (lambda stream, shape: stream.gamma(0.5, size=shape), 0.5),
    "lognormal": (lambda stream, shape: stream.lognormal(size=shape), float(np.exp(0.5))),
    "normal": (lambda stream, shape: stream.normal(size=shape), 0.0),
}


@pytest.mark.long
@pytest.mark.parametrize("design", DRAWS)
@pytest.mark.parametrize("n", [12, 20, 60])
def test_equal_means_of_skewed_cases_are_told_apart_as_rarely_as_stated(design: str, n: int) -> None:
    draw, mean = DRAWS[design]
    drawn = draw(np.random.default_rng(0), (1_500, n)) - mean
    ours = float(np.mean([contrast(cases).p < 0.05 for cases in drawn]))
    assert ours <= 0.06
    if design in ("gamma", "lognormal"):
        assert float(np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)) > 1.3 * ours
