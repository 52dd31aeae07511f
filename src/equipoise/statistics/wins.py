"""Compare two arms case by case in two steps: failures first, the metric second (a win ratio of matched cases).

Where some cases fail (nothing found, mask empty), their mean mixes two questions: how often an arm fails, and how well
it does otherwise. A hierarchical endpoint asks them in order of weight. In every case each run of one arm meets each
run of the other: the run that does not fail wins over one that fails; if neither fails, the better value wins, where
the two differ by more than a tie; else nobody wins. Pocock, Ariti, Collier & Wang, European Heart Journal 33 (2012)
176-182 (win ratio); Buyse, Statistics in Medicine 29 (2010) 3245-3257 (net benefit).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from equipoise.statistics.intervals import quantile

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Wins:
    """Shares of the meetings that the first arm wins and loses; each patient counts once.

    net: wins - losses, between -1 and 1, with a 95 % interval over patients and training runs. ratio: wins / losses
    with its interval; NaN where an arm never wins. p: of no difference, by the net benefit; NaN without variation.
    by_failure: the part of wins and of losses that failures decide.
    """

    wins: float
    losses: float
    ties: float
    net: float
    low: float
    high: float
    p: float
    ratio: float
    ratio_low: float
    ratio_high: float
    by_failure: tuple[float, float]
    tie: float
    patients: int


def meetings(
    a: Array, b: Array, patient: NDArray[np.int64], failed: float, *, higher_is_better: bool = True, tie: float = 0.0
) -> Wins:
    """Let every run of the first arm meet every run of the second in each case.

    Args:
        a, b: values (runs, cases) of the two arms, cases in the same order.
        patient: number of each case's patient (cases,); any whole numbers, equal for the cases of one patient.
        failed: a case fails whose value is this or worse.
        higher_is_better: the direction of the metric.
        tie: differences up to this, in the metric's unit, are no win.
    """
    sign = 1.0 if higher_is_better else -1.0
    better, worse, broke = _outcomes(sign * a, sign * b, sign * failed, tie)
    # Numbers without a case would be patients of nothing: 0 / 0 in their means, and n too large.
    patient = np.unique(patient, return_inverse=True)[1]
    n = int(patient.max()) + 1
    count = np.bincount(patient, minlength=n)
    # (runs, runs, patients): the mean over a patient's cases, so that a patient with many cases does not count more
    by_patient = [_per_patient(each, patient, count) for each in (better, worse)]
    won, lost = (each.mean() for each in by_patient)
    variance, df = _variance(by_patient[0] - by_patient[1])
    half = quantile(0.975, df) * np.sqrt(variance)
    net = won - lost
    ratio, ratio_low, ratio_high = _ratio(*by_patient)
    decided = tuple(float(_per_patient(each, patient, count).mean()) for each in broke)
    return Wins(
        float(won),
        float(lost),
        float(1 - won - lost),
        float(net),
        max(-1.0, float(net - half)),
        min(1.0, float(net + half)),
        _p(float(net), float(variance), df),
        ratio,
        ratio_low,
        ratio_high,
        (decided[0], decided[1]),
        tie,
        n,
    )


def _outcomes(a: Array, b: Array, failed: float, tie: float) -> tuple[Array, Array, tuple[Array, Array]]:
    """Return wins, losses and those that failures decide, each (runs of a, runs of b, cases) of 0 and 1."""
    first, second = a[:, None, :], b[None, :, :]
    fails = (first <= failed, second <= failed)
    both = ~fails[0] & ~fails[1]
    by_failure = (~fails[0] & fails[1], fails[0] & ~fails[1])
    won = by_failure[0] | (both & (first - second > tie))
    lost = by_failure[1] | (both & (second - first > tie))
    return won.astype(float), lost.astype(float), (by_failure[0].astype(float), by_failure[1].astype(float))


def _per_patient(outcome: Array, patient: NDArray[np.int64], count: NDArray[np.int64]) -> Array:
    flat = outcome.reshape(-1, outcome.shape[-1])
    sums = np.stack([np.bincount(patient, row, len(count)) for row in flat])
    return np.asarray(sums / count).reshape(*outcome.shape[:2], -1)


def _variance(kernel: Array) -> tuple[float, float]:
    """Return the variance of the kernel's mean over patients and runs, and its degrees of freedom.

    kernel: (runs of a, runs of b, patients). Patients by the spread of their means with runs fixed; the runs of each
    arm by the jackknife, whose spread contains their interaction with patients: the sum errs on the side of caution.
    """
    n = kernel.shape[2]
    parts = [(float(kernel.mean(axis=(0, 1)).var(ddof=1) / n), n - 1)] if n > 1 else []
    for axis in (0, 1):
        runs = kernel.shape[axis]
        if runs > 1:
            means = kernel.mean(axis=tuple(k for k in range(3) if k != axis))
            parts.append((float(means.var(ddof=1) / runs), runs - 1))
    total = sum(part for part, _ in parts)
    squares = sum(part**2 / df for part, df in parts)
    return total, total**2 / squares if squares > 0 else float("inf")


def _ratio(won: Array, lost: Array) -> tuple[float, float, float]:
    """Return wins over losses and its interval, on the scale of the logarithm by the delta method."""
    wins, losses = float(won.mean()), float(lost.mean())
    if wins == 0 or losses == 0:
        return float("nan"), float("nan"), float("nan")
    variance, df = _variance(won / wins - lost / losses)
    half, middle = quantile(0.975, df) * np.sqrt(variance), np.log(wins / losses)
    low, middle, high = np.exp([middle - half, middle, middle + half])
    return float(middle), float(low), float(high)


def _p(net: float, variance: float, df: float) -> float:
    if variance <= 0:
        return float("nan")
    t = -abs(net) / np.sqrt(variance)
    return float(2 * (ndtr(t) if np.isinf(df) else stdtr(df, t)))
