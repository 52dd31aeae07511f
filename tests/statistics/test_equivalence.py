import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from equipoise.statistics.comparison import Contrast
from equipoise.statistics.equivalence import equivalence_p, non_inferiority_p


def paired(margin_data: int) -> tuple[np.ndarray, np.ndarray, Contrast]:
    generator = np.random.default_rng(margin_data)
    a, b = generator.standard_normal((2, 30)) * 0.1 + 0.5
    difference = a - b
    return a, b, Contrast(difference.mean(), difference.std(ddof=1) / np.sqrt(30), 29, 0.0, 0.0, "t")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
def test_tost_is_statsmodels(seed: int, margin: float) -> None:
    a, b, contrast = paired(seed)
    assert equivalence_p(contrast, margin) == pytest.approx(ttost_paired(a, b, -margin, margin)[0], abs=1e-12)


def test_small_p_means_the_ninety_percent_interval_lies_inside() -> None:
    for seed in range(30):
        _, _, contrast = paired(seed)
        low, high = contrast.interval(0.9)
        assert (equivalence_p(contrast, 0.05) < 0.05) == (low > -0.05 and high < 0.05)


def test_non_inferiority_is_one_sided() -> None:
    _, _, contrast = paired(1)
    expected = stats.t.sf((contrast.difference + 0.05) / contrast.se, 29)
    assert non_inferiority_p(contrast, 0.05) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(equivalence_p(Contrast(0.0, 0.0, 29, 0.0, 0.0, "t"), 0.05))
