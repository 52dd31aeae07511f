"""The value of each case from its class scores, for endpoints that are means over cases.

Every function takes scores (columns, n, classes) and the true class (n,), and gives values (columns, n).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
SMALLEST_PROBABILITY = 1e-15  # a true class given less counts as this in the negative log-likelihood


def correct(scores: Array, truth: Codes) -> Array:
    """1 where the class with the highest score is the true one, else 0."""
    return np.asarray(scores.argmax(axis=2) == truth, dtype=float)


def log_loss(scores: Array, truth: Codes) -> Array:
    """Negative logarithm of the probability that was given to the true class."""
    return np.asarray(-np.log(np.maximum(_of_truth(scores, truth), SMALLEST_PROBABILITY)))


def squared_error(scores: Array, truth: Codes) -> Array:
    """Brier's squared distance of the probabilities from the truth: of the second of two classes, of all if several."""
    if scores.shape[2] == 2:
        return np.asarray((scores[:, :, 1] - (truth == 1)) ** 2)
    return np.asarray((scores**2).sum(axis=2) - 2.0 * _of_truth(scores, truth) + 1.0)


def _of_truth(scores: Array, truth: Codes) -> Array:
    return np.asarray(np.take_along_axis(scores, truth[None, :, None], axis=2)[:, :, 0])
