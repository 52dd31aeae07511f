"""Calibration of predicted probabilities: reliability bins, the calibration error and a temperature."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from equipoise.errors import PredictionError
from equipoise.evaluation.classification import Rate, clustered_rate

_TINY = 1e-12
_TOGETHER = 1 << 24  # numbers that are drawn at once


@dataclass(frozen=True)
class Bin:
    """Rows whose predicted probability lies in [low, high): their mean prediction and their observed rate."""

    low: float
    high: float
    predicted: float
    observed: Rate
    n_rows: int


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error in [0, 1], and the value that a perfectly calibrated model would show.

    `estimate` is biased upward, because chance alone moves each bin off the diagonal. `by_chance` is its mean when the
    outcomes are drawn from the predictions themselves, `chance_high` the 95th percentile; only an estimate above
    `chance_high` is evidence of miscalibration.
    """

    estimate: float
    by_chance: float
    chance_high: float


def reliability(
    probability: NDArray[np.float64],
    positive: NDArray[np.bool_],
    patient: NDArray[np.str_],
    n_bins: int = 10,
    run: NDArray[np.integer] | None = None,
) -> list[Bin]:
    """Bin rows by predicted probability in equal widths; empty bins are left out.

    probability, positive, patient, run: (n,) rows of one or several runs; observed rates carry intervals clustered by
    patient. Reference: A. H. Murphy, R. L. Winkler, Applied Statistics 26 (1977) 41–47.
    """
    _check(probability)
    bins = []
    member = _member(probability, n_bins)
    for index in np.unique(member):
        rows = member == index
        observed = clustered_rate(positive[rows], patient[rows], None if run is None else run[rows])
        edges = (index / n_bins, (index + 1) / n_bins)
        bins.append(Bin(*edges, float(probability[rows].mean()), observed, int(rows.sum())))
    return bins


def calibration_error(
    probability: NDArray[np.float64],
    positive: NDArray[np.bool_],
    generator: np.random.Generator,
    n_bins: int = 10,
    draws: int = 500,
) -> CalibrationError:
    """Average |observed − predicted| per equal-width bin over rows, and compute its value by chance alone.

    ECE = Σ_b (n_b / n) |mean(y)_b − mean(p)_b|; rows are those of ONE run (chance is drawn independently per row).
    Reference: M. P. Naeini et al., AAAI 2015; bias: R. Roelofs et al., AISTATS 2022.
    """
    _check(probability)
    member = _member(probability, n_bins)
    indicator = (member[:, None] == np.arange(n_bins)).astype(np.float64)
    # One product with the bins' indicator for many draws together: a loop over bins and draws takes far longer. All
    # draws of 700,000 cases would take 11 GB.
    together = max(1, _TOGETHER // max(1, probability.size))
    errors = []
    for start in range(0, draws, together):
        chance = generator.random((min(together, draws - start), probability.size))
        outcomes = (chance < probability).astype(np.float64)
        errors.append(np.abs((outcomes - probability) @ indicator).sum(axis=1) / probability.size)
    by_chance = np.concatenate(errors)
    estimate = np.abs((positive - probability) @ indicator).sum() / probability.size
    return CalibrationError(float(estimate), float(by_chance.mean()), float(np.percentile(by_chance, 95)))


def temperature(scores: NDArray[np.float64], truth: NDArray[np.integer]) -> float:
    """Fit the temperature that minimises the negative log-likelihood; above 1 the scores were overconfident.

    scores: (n, classes) probabilities of a VALIDATION part; truth: (n,) class indices. The search range is [0.05, 20].
    Reference: C. Guo et al., ICML 2017.
    """
    if not scores.size:
        raise PredictionError("a temperature needs validation predictions, found none; keep the validation part")
    # Logarithms of probabilities are logits up to a constant per row, which the softmax cancels.
    logits = np.log(np.maximum(scores, _TINY))

    def loss(log_temperature: float) -> float:
        """Mean negative log-likelihood at this temperature."""
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)  # else exp overflows at low temperatures
        normaliser = np.log(np.exp(scaled).sum(axis=1))
        return float((normaliser - scaled[np.arange(truth.size), truth]).mean())

    # In the logarithm, so that 1/2 and 2 are equally far from 1. The bounds hold a separable part back, whose
    # likelihood would drive the temperature to zero.
    optimum = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(optimum.x))


def sharpen(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Divide the logarithms of probabilities (n, classes) by `temperature` and normalise; rows sum to 1.

    >>> sharpen(np.array([[0.2, 0.8]]), 1.0).round(6).tolist()
    [[0.2, 0.8]]
    """
    powered = np.log(np.maximum(scores, _TINY)) / temperature
    powered = np.exp(powered - powered.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powered / powered.sum(axis=1, keepdims=True)
    return result


def _member(probability: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    # The last bin is closed: a probability of exactly 1 would fall into a bin of its own.
    return np.minimum((probability * n_bins).astype(np.int64), n_bins - 1)


def _check(probability: NDArray[np.float64]) -> None:
    # Negated, so that NaN counts as wrong: every comparison with it is false.
    wrong = ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        raise PredictionError(
            f"calibration needs probabilities in [0, 1], found {probability[wrong][0]}; "
            "turn the scores into probabilities"
        )
