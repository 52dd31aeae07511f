"""Satterthwaite's degrees of freedom where few runs decide them: small spreads between runs count as larger ones.

A variance of a difference is a sum: the spread of each arm's few runs, and what patients add. Where three runs lie
close together by chance, their arm's part looks small and the better known rest gives the test many degrees of
freedom, just where the standard error is too small: the error of a test at .05 is up to .079 (an arm of three runs
beside a steady one, a rule or ten runs). So the parts enter the degrees of freedom, not the standard error, raised by
1 + 3 / (runs - 1). Variances that lean on those of other arms with as many runs are raised already, and need half of
that: docs/decisions/0018-few-runs.md.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RAISED = 3.0
RAISED_LEANING = 1.5


def effective_df(
    parts: Sequence[Array | float], df: Sequence[Array | float], rest: Array | float, raised: float = RAISED
) -> Array:
    """Return the degrees of freedom of a sum of variances (N,): `parts` with their `df`, and a `rest` taken as known.

    Infinite where no part is positive.

    >>> [round(float(effective_df([part, 0.0], [2.0, 2.0], rest)), 1) for part, rest in ((1.0, 0.0), (0.1, 1.0))]
    [2.0, 50.0]
    """
    counted = [np.asarray(part) * (1 + raised / np.asarray(own)) for part, own in zip(parts, df, strict=True)]
    spent = sum((part**2 / own for part, own in zip(counted, df, strict=True)), start=np.zeros(()))
    squared = (sum(counted, start=np.zeros(())) + rest) ** 2
    return np.where(spent > 0, squared / np.where(spent > 0, spent, 1.0), np.inf)
