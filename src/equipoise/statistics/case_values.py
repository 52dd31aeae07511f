"""Compute the value of each case from its class scores, for endpoints that are means over cases.

Every function takes scores (columns, n, classes) and the true class (n,), and returns values (columns, n).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
SMALLEST_PROBABILITY = 1e-15  # a true class given less counts as this in the negative log-likelihood
LARGEST_LOSS = float(-np.log(SMALLEST_PROBABILITY))


def correct(scores: Array, truth: Codes) -> Array:
    """Return 1 where the class with the highest score is the true one, else 0."""
    return np.asarray(scores.argmax(axis=2) == truth, dtype=float)


def log_loss(scores: Array, truth: Codes) -> Array:
    """Return the negative logarithm of the true class's probability."""
    return np.asarray(-np.log(np.maximum(_of_truth(scores, truth), SMALLEST_PROBABILITY)))


def squared_error(scores: Array, truth: Codes) -> Array:
    """Return Brier's squared error of the probabilities: of the second of two classes, of all with more classes."""
    # Summed over both classes the binary score would be twice the value that the literature reports.
    if scores.shape[2] == 2:
        return np.asarray((scores[:, :, 1] - (truth == 1)) ** 2)
    return np.asarray((scores**2).sum(axis=2) - 2.0 * _of_truth(scores, truth) + 1.0)


def _of_truth(scores: Array, truth: Codes) -> Array:
    return np.asarray(np.take_along_axis(scores, truth[None, :, None], axis=2)[:, :, 0])
