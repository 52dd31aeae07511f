"""Correct a test of a mean for the skewness of its cases, by Hall's transformation.

Student's t judges a skewed mean wrongly in one direction: where the long tail shows no case by chance, mean and spread
are both too small. P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221-228; its monotone cubic removes
the first error term. The method was chosen by simulation (docs/decisions/0014-guards.md).
"""

import numpy as np
from numpy.typing import NDArray

SKEWED = 0.1
"""Skewness of the estimate (that of the cases over the root of their number) up to which t is used alone."""
FEW = 10.0
"""A sample of n shows too little of its skewness; it is raised by the factor 1 + FEW / n."""


def skewness_of(influence: NDArray[np.float64], n: int, se: float) -> float:
    """Return the skewness of an estimate with this standard error, from the influence of its n patients on it.

    The third cumulant of n independent contributions, without bias, over the cube of the standard error: where training
    runs add to the error, the estimate is less skewed than its patients. 0 where t needs no correction.
    """
    if n < 3 or se <= 0:
        return 0.0
    unbiased = n**2 / ((n - 1) * (n - 2))
    skew = float(unbiased * (influence**3).sum() / se**3)
    return skew * (1 + FEW / n) if abs(skew) > SKEWED else 0.0


def hall(t: float, skew: float) -> float:
    """Return the transformed statistic, which is referred to Student's t.

    >>> round(hall(-2.0, 0.3), 3), hall(-2.0, 0.0)
    (-1.577, -2.0)
    """
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6


def hall_inverse(x: float, skew: float) -> float:
    """Return the statistic whose transformed value is x.

    >>> round(hall(hall_inverse(1.7, 0.4), 0.4), 6)
    1.7
    """
    return x if skew == 0 else float(3 / skew * (np.cbrt(1 + skew * (x - skew / 6)) - 1))
