"""The interval on which a verdict rests: an outside oracle, and agreement with the adjusted tests in many families."""

import numpy as np
import pytest
from scipy import stats

from equipoise.statistics.comparison import Contrast
from equipoise.statistics.decisive import level_tested, of_equivalence, widest, within
from equipoise.statistics.multiplicity import holm


@pytest.mark.parametrize("tests", [1, 2, 5])
def test_inside_the_margin_exactly_where_the_adjusted_tests_reject(tests: int) -> None:
    rng = np.random.default_rng(tests)
    for _ in range(100):
        difference, se, df, margin = rng.normal(0, 0.02, tests), 0.01 * (1 + rng.random(tests)), 9.0, 0.05
        away = (margin - abs(difference)) / se
        raw = stats.t.sf(away, df)
        adjusted = holm(raw)
        for k in range(tests):
            contrast = Contrast(float(difference[k]), float(se[k]), df, 0.0, 0.0, "Welch")
            low, high, level = of_equivalence([contrast], float(adjusted[k]), float(raw[k]), 0.05, tests)
            assert (-margin < low and high < margin) == (adjusted[k] < 0.05)
            half = stats.t.ppf(0.5 + level / 2, df) * se[k]
            assert (low, high) == pytest.approx((difference[k] - half, difference[k] + half), rel=1e-9)
            assert level <= 1 - 2 * 0.05 / tests + 1e-12 or tests > 1


def test_the_level_is_that_of_holms_step() -> None:
    raw = np.array([0.001, 0.02, 0.04])
    adjusted = holm(raw)
    levels = [level_tested(float(p), float(q), 0.06, 3) for p, q in zip(raw, adjusted, strict=True)]
    assert levels == pytest.approx([0.02, 0.03, 0.06])


def test_the_widest_holds_all() -> None:
    assert widest([(0.1, 0.3), (-0.2, 0.2)]) == (-0.2, 0.3)


def test_a_difference_of_two_areas_ends_at_one() -> None:
    """Scores that are the wrong way round in one arm alone differ by nearly the whole range."""
    assert within((0.93, 1.006), 1.0) == (0.93, 1.0)
    assert within((-3.0, 1.0), float("inf")) == (-3.0, 1.0)
    assert within((-1.02, -0.9), 1.0) == (-1.0, -0.9)
