"""Intervals that stay valid however often one looks while patients are added.

A test repeated after every new patient errs without limit: 95 % intervals, looked at often enough, exclude the truth
sooner or later. A confidence sequence covers it at all numbers of patients at once, with 95 %. This is the asymptotic
confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (Annals of Statistics 52 (2024) 2613-2640), a
normal mixture over an estimate that is a mean over patients; its price is a wider interval.
"""

from dataclasses import dataclass

import numpy as np

from equipoise.statistics.intervals import quantile

FEWEST = 20
"""Patients from which on the sequence may be looked at: it is an asymptotic one."""


@dataclass(frozen=True)
class AlwaysValid:
    """An interval that holds at every look, and its price.

    price: its width over that of the interval of a single look with the same patients. tightest: the number of patients
    at which the price is lowest, which must be chosen before the first look.
    """

    low: float
    high: float
    price: float
    tightest: int


def always_valid(estimate: float, se: float, patients: int, tightest: int, level: float = 0.95) -> AlwaysValid | None:
    """Return the interval of an estimate that is looked at again and again; None with fewer than 20 patients.

    Args:
        estimate: a mean over patients, or a difference of such means.
        se: its standard error over patients.
        patients: their number at this look.
        tightest: the number of patients at which the interval shall be narrowest; the same at every look.
        level: the probability that all intervals of all looks cover the truth.
    """
    if patients < FEWEST:
        return None
    factor = _factor(patients, max(tightest, FEWEST), 1 - level)
    # the standard error is estimated: the sequence is widened as Student's t is beside the normal
    student = quantile(0.5 + level / 2, patients - 1.0)
    normal = quantile(0.5 + level / 2, float("inf"))
    half = factor * student / normal * se
    return AlwaysValid(estimate - half, estimate + half, float(factor / normal), max(tightest, FEWEST))


def _factor(n: int, tightest: int, alpha: float) -> float:
    """Return the half width in standard errors: the mixture's boundary over the root of n."""
    # the precision of the mixing normal that makes the boundary narrowest at `tightest` (their equation 82)
    logarithm = -2 * np.log(alpha)
    scaled = n * (logarithm + np.log(logarithm) + 1) / tightest
    return float(np.sqrt((scaled + 1) / scaled * (np.log(scaled + 1) + logarithm)))
