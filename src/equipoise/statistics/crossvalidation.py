"""A claim about the method trained on new data: the corrected resampled t test (Nadeau & Bengio 2003).

The interval from patients' influence speaks about the fitted models of these folds (LeDell 2015). Training sets of
different folds overlap, which the correction 1/J + n_test/n_train allows for; without it the fold t test errs half
the time under repeats, so it is not offered.
"""

import numpy as np
from numpy.typing import NDArray

from equipoise.statistics.comparison import Contrast


def resampled_contrast(difference: NDArray[np.float64], test_to_train: float) -> Contrast:
    """Difference of two arms from fold-wise ones (J,), seeds averaged; `test_to_train` is 1/(K - 1) for K folds."""
    folds = len(difference)
    variance = float(difference.var(ddof=1)) * (1 / folds + test_to_train)
    se = float(np.sqrt(variance))
    return Contrast(float(difference.mean()), se, folds - 1.0, 0.0, se, "Nadeau-Bengio")
