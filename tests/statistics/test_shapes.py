"""Shapes of influence and covariance, as types that are checked at each call: columns are arms × seeds."""

import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Bool, Float64, Int64, TypeCheckError, jaxtyped

from equipoise.statistics.covariance import Estimates, estimates
from equipoise.statistics.influence import Influence, area, average_precision, mean_influence, rank_influence

TYPED = jaxtyped(typechecker=beartype)
COLUMNS, CASES, PATIENTS, FOLDS = 4, 90, 30, 3


@TYPED
def rank(
    scores: Float64[np.ndarray, "columns cases"],
    truth: Bool[np.ndarray, " cases"],
    patient: Int64[np.ndarray, " cases"],
) -> Influence:
    return rank_influence(scores, truth, patient, PATIENTS)


@TYPED
def mean(
    values: Float64[np.ndarray, "columns cases"],
    masks: tuple[Bool[np.ndarray, " cases"], ...],
    patient: Int64[np.ndarray, " cases"],
) -> Influence:
    return mean_influence(values, masks, patient, PATIENTS)


@TYPED
def influence_arrays(
    value: Float64[np.ndarray, " columns"],
    independent: Float64[np.ndarray, " columns"],
    parts: tuple[Float64[np.ndarray, "columns patients"], ...],
    total: Float64[np.ndarray, "columns patients"],
    present: Bool[np.ndarray, " patients"],
) -> tuple[int, int]:
    return total.shape


@TYPED
def estimate_arrays(
    value: Float64[np.ndarray, " columns"],
    covariance: Float64[np.ndarray, "columns columns"],
    independent: Float64[np.ndarray, " columns"],
    by_fold: Float64[np.ndarray, "folds columns"],
) -> tuple[int, int]:
    return by_fold.shape


@TYPED
def curve_measure(
    score: Float64[np.ndarray, " cases"], truth: Bool[np.ndarray, " cases"], measure: object
) -> tuple[float, Float64[np.ndarray, " cases"]]:
    """An area, and what each case contributes to it."""
    return measure(score, truth)


def cases(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = np.arange(CASES) % 3 == 0
    patient = np.concatenate([np.arange(PATIENTS), generator.integers(0, PATIENTS, CASES - PATIENTS)])
    return generator.standard_normal((COLUMNS, CASES)) + truth, truth, patient


def arrays_of(result: Influence) -> tuple[np.ndarray, ...]:
    return result.value, result.independent, result.parts, result.total, result.present


def arrays_of_estimates(result: Estimates) -> tuple[np.ndarray, ...]:
    return result.value, result.covariance, result.independent, result.by_fold


def test_influence_of_ranks_and_of_means() -> None:
    scores, truth, patient = cases()
    assert influence_arrays(*arrays_of(rank(scores, truth, patient))) == (COLUMNS, PATIENTS)
    assert influence_arrays(*arrays_of(mean(scores, (truth, ~truth), patient))) == (COLUMNS, PATIENTS)
    for measure in (area, average_precision):
        curve_measure(scores[0], truth, measure)


@pytest.mark.parametrize("folds", [1, FOLDS])
def test_covariance_over_folds(folds: int) -> None:
    results = [rank(*cases(seed)) for seed in range(folds)]
    assert estimate_arrays(*arrays_of_estimates(estimates(results))) == (folds, COLUMNS)
    assert estimate_arrays(*arrays_of_estimates(estimates([mean(c[0], (c[1],), c[2]) for c in [cases()]]))) == (
        1,
        COLUMNS,
    )


def test_a_wrong_shape_is_noticed() -> None:
    """The check itself: influence of patients × columns, and a covariance that is not square."""
    scores, truth, patient = cases()
    value, independent, parts, total, present = arrays_of(rank(scores, truth, patient))
    with pytest.raises(TypeCheckError):
        influence_arrays(value, independent, parts, total.T, present)
    with pytest.raises(TypeCheckError):
        estimate_arrays(value, np.zeros((COLUMNS, COLUMNS + 1)), independent, value[None])
