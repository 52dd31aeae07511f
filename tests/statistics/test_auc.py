import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from equipoise.statistics.auc import placements


def reference(score: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """All pairs, literally."""
    value = np.empty(len(score))
    for k in range(len(score)):
        others = score[positive != positive[k]]
        wins = (others < score[k]) if positive[k] else (others > score[k])
        value[k] = wins.mean() + (others == score[k]).mean() / 2
    return float(value[positive].mean()), value


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 40))
    score = draw(hnp.arrays(np.float64, n, elements=st.integers(0, 12).map(float)))
    positive = draw(hnp.arrays(np.bool_, n))
    positive[0], positive[1] = True, False
    return score, positive


@given(scored())
@settings(max_examples=200, deadline=None)
def test_placements_equal_all_pairs_with_ties(data: tuple[np.ndarray, np.ndarray]) -> None:
    score, positive = data
    found, (auc, value) = placements(score, positive), reference(score, positive)
    np.testing.assert_allclose(found.value, value, atol=1e-12)
    assert found.auc == pytest.approx(auc, abs=1e-12)


@given(scored())
@settings(max_examples=100, deadline=None)
def test_a_monotone_transform_changes_nothing_and_a_reversal_mirrors(data: tuple[np.ndarray, np.ndarray]) -> None:
    score, positive = data
    found = placements(score, positive)
    np.testing.assert_array_equal(placements(np.exp(score / 3) - 7, positive).value, found.value)
    assert placements(-score, positive).auc == pytest.approx(1 - found.auc, abs=1e-12)


@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_area_is_scikit_learns(decimals: int) -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(3_000) < 0.2
    score = np.round(generator.standard_normal(3_000) + positive, decimals)
    assert placements(score, positive).auc == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


def test_both_placement_means_are_the_area() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(501) < 0.4
    found = placements(np.round(generator.standard_normal(501) + positive, 1), positive)
    assert found.value[positive].mean() == pytest.approx(found.auc, abs=1e-12)
    assert found.value[~positive].mean() == pytest.approx(found.auc, abs=1e-12)
