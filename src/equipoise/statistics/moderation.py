"""Moderated variances between training runs: three runs say little of an arm's spread, so it leans on all arms'.

After Smyth, Stat Appl Genet Mol Biol 3 (2004) 3. His prior, whose weight is estimated from the arms themselves, and
pooling, which is its limit, err up to .19 and .48 as a family of 3 to 10 arms whose spreads differ up to tenfold. A
light fixed prior keeps .06 in every design that was simulated (docs/decisions/0013-moderated-spreads.md).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PRIOR_DF = 0.5  # weight of the arms' mean variance, in degrees of freedom
GAINED_DF = 0.25  # what it is worth in the test: less than its weight, because an outlying arm is not like the others
FEWEST_ARMS = 3


def moderated_variances(variance: Array, df: Array) -> tuple[Array, Array]:
    """Raise small variances between runs (arms,) towards their mean; return them with their degrees of freedom.

    An arm without spread (a rule, a single run) has a variance of 0, keeps it and is not in the mean; with fewer than
    three other arms nothing is moderated. The mean gives every arm the same weight: weighted by runs, a steady arm with
    ten runs would vouch for a wild one with three.
    """
    own = variance > 0
    if own.sum() < FEWEST_ARMS:
        return variance, df
    raised, gained = moderate(variance, df, float(variance[own].mean()), float(df[own].sum()))
    return np.where(own, raised, 0.0), np.where(own, gained, df)


def moderate(variance: Array, df: Array, mean: Array | float, total: float) -> tuple[Array, Array]:
    """Return variances drawn towards a mean where they are below it, and their df, at most the total of all arms.

    Only upwards: a large variance stands, because what makes a family err is an arm whose few runs lie close together
    by chance, and steady arms tell nothing of a wild one.
    """
    raised = np.maximum(variance, (PRIOR_DF * mean + df * variance) / (PRIOR_DF + df))
    return raised, np.minimum(df + GAINED_DF, total)
