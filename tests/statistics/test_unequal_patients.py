"""Unequal patients: factors and degrees of freedom against drawn statistics, and equal patients as they were."""

import numpy as np
import pytest
from scipy.stats import t

from equipoise.statistics.unequal_patients import (
    Leverage,
    Piece,
    effective_share,
    floor_of_variance,
    leverage,
    prevailing,
    unequal,
)
from equipoise.testing.known_trials import Clustered, Design, family_error, power_at_margin

TWO = np.array([80.0, 80.0, *[3.0] * 58])
DIFFERENCE = np.array([1.0, -1.0])


def piece(sizes: np.ndarray, scale: float = 1.0) -> Piece:
    influence = np.random.default_rng(1).standard_normal((2, len(sizes))) * scale * sizes / sizes.sum()
    return Piece(influence, sizes)


def drawn_error(sizes: np.ndarray, found: Leverage, level: float) -> float:
    """Outside oracle: how often the test of a weighted mean errs, patients drawn one by one."""
    stream, weight, n = np.random.default_rng(5), sizes / sizes.sum(), len(sizes)
    values = stream.standard_normal((20_000, n))
    mean = values @ weight
    variance = ((weight * (values - mean[:, None])) ** 2).sum(axis=1) * n / (n - 1)
    return float(np.mean(np.abs(mean) > found.factor * np.sqrt(variance) * t.ppf(0.5 + level / 2, found.df)))


def test_equal_patients_have_the_t_of_their_number_exactly() -> None:
    for sizes in (np.ones(40), np.full(40, 5.0), np.array([0.0, *[2.0] * 40])):
        assert leverage([piece(sizes)], DIFFERENCE, 40) == Leverage(1.0, 39.0)
        assert effective_share(sizes) == 1.0
        assert not unequal([piece(sizes)])
    assert leverage([], DIFFERENCE, 40) == Leverage(1.0, 39.0)


def test_mildly_unequal_patients_count_as_equal() -> None:
    sizes = np.random.default_rng(2).integers(1, 6, 60).astype(float)
    found = leverage([piece(sizes)], DIFFERENCE, 60)
    assert found == Leverage(1.0, 59.0)
    assert drawn_error(sizes, found, 0.95) <= 0.06


@pytest.mark.long
@pytest.mark.parametrize("sizes", [TWO, np.array([80.0, 80.0, *[3.0] * 13]), np.array([40.0] * 10 + [2.0] * 90)])
@pytest.mark.parametrize("level", [0.90, 0.95, 0.99])
def test_the_error_is_the_level_where_cases_of_a_patient_agree(sizes: np.ndarray, level: float) -> None:
    plain, found = Leverage(1.0, len(sizes) - 1.0), leverage([piece(sizes)], DIFFERENCE, len(sizes))
    assert 0.4 * (1 - level) <= drawn_error(sizes, found, level) <= 1.2 * (1 - level) + 0.003
    assert drawn_error(sizes, plain, level) > drawn_error(sizes, found, level)


def test_the_class_with_unequal_patients_decides_by_its_share_of_the_variance() -> None:
    even, uneven = np.full(40, 2.0), np.array([60.0, 60.0, *[2.0] * 18])
    small, large = (leverage([piece(even), piece(uneven, scale)], DIFFERENCE, 60).factor for scale in (0.3, 3.0))
    assert 1.0 <= small < large


def test_a_variance_has_a_floor_only_where_a_patient_prevails() -> None:
    agreeing = Piece(np.array([[0.0, 0.0, *[0.01, -0.01] * 29]]), TWO)
    assert floor_of_variance([agreeing], 0) > 5
    assert floor_of_variance([Piece(agreeing.influence, np.ones(60))], 0) == 1.0


def test_the_patient_who_prevails_is_counted() -> None:
    patient = np.repeat(np.arange(60), TWO.astype(int))
    assert prevailing(patient, np.zeros_like(patient)) == (80, 334, 0)
    assert prevailing(np.arange(50), np.zeros(50, dtype=np.int64)) is None
    assert prevailing(patient, (patient >= 15).astype(np.int64)) == (80, 199, 0)


TWO_PREVAIL = Clustered(tuple(TWO.astype(int).tolist()), positives=15)


@pytest.mark.long
@pytest.mark.parametrize("endpoint", ["auc", "balanced_accuracy", "accuracy"])
def test_equal_arms_win_as_rarely_as_stated_where_two_patients_prevail(endpoint: str) -> None:
    """Of 400 trials; without the factor .15 to .20 (Monte-Carlo standard error .011)."""
    design = Design("two patients prevail", (3, 3), (0.0, 0.0), TWO_PREVAIL, 60, endpoint, 0.05)
    assert family_error(design, 400) <= 0.08


@pytest.mark.long
def test_large_differences_are_still_found_where_two_patients_prevail() -> None:
    design = Design("two patients prevail", (3, 3), (0.0, 0.0), TWO_PREVAIL, 60, "auc", 0.35)
    assert power_at_margin(design, 100) >= 0.3
