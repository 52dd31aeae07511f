"""The price of looking again and again while patients are added: how much wider an interval must be to stay valid.

A test repeated after every new patient errs without limit: 95 % intervals, looked at often enough, exclude the truth
sooner or later. A confidence sequence covers it at all numbers of patients at once, with 95 %. This is the asymptotic
confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (Annals of Statistics 52 (2024) 2613-2640), a
normal mixture over an estimate that is a mean over patients.
"""

import numpy as np

from equipoise.statistics.intervals import quantile

FEWEST = 20
"""Patients from which on the sequence may be looked at: it is an asymptotic one."""
LOOSEST = 0.10
"""The two-sided level of the loosest test of a judgement, that of equivalence; a stricter one costs relatively less."""


def price(patients: int, tightest: int, alpha: float = LOOSEST) -> float:
    """Return the width of the sequence's interval over that of a single look with the same patients.

    Args:
        patients: their number at this look.
        tightest: the number of patients at which the price is lowest; the same at every look, chosen before the first.
        alpha: one minus the probability that all intervals of all looks cover the truth.
    """
    # The precision of the mixing normal that makes the boundary narrowest at `tightest`.
    logarithm = -2 * np.log(alpha)
    scaled = patients * (logarithm + np.log(logarithm) + 1) / max(tightest, FEWEST)
    boundary = np.sqrt((scaled + 1) / scaled * (np.log(scaled + 1) + logarithm))
    return float(boundary / quantile(1 - alpha / 2, float("inf")))
