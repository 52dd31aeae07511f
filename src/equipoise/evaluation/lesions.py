"""Lesion-wise scores: detected, missed and invented lesions, and the overlap of the detected ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from equipoise.evaluation.surface import bounding_box


@dataclass(frozen=True)
class LesionScores:
    """The Dice of each detected lesion, and how many lesions were missed and invented.

    With neither a true nor a predicted lesion both scores are 1, because the masks agree.
    """

    dice_of_detected: tuple[float, ...]
    missed: int
    invented: int

    @property
    def detected(self) -> int:
        """True lesions with an answer."""
        return len(self.dice_of_detected)

    @property
    def f1(self) -> float:
        """2 detected / (2 detected + missed + invented). Range [0, 1], higher is better; no lesion at all: 1."""
        total = 2 * self.detected + self.missed + self.invented
        return 2 * self.detected / total if total else 1.0

    @property
    def dice(self) -> float:
        """Mean Dice over true and invented lesions, 0 where missed or invented; no lesion at all: 1."""
        total = self.detected + self.missed + self.invented
        return sum(self.dice_of_detected) / total if total else 1.0


def lesion_scores(truth: NDArray[np.bool_], prediction: NDArray[np.bool_], smallest_iou: float = 0.1) -> LesionScores:
    """Match the connected parts of two masks one to one, by the largest sum of IoU.

    Parts touch through faces, edges or corners. A pair counts as detected from `smallest_iou` on (0 excluded).
    Reference for matching by IoU: L. Maier-Hein et al., Metrics reloaded, Nature Methods 21 (2024) 195–212.

    >>> truth = np.array([[1, 1, 0, 0, 1]], bool)
    >>> scores = lesion_scores(truth, np.array([[1, 1, 0, 0, 0]], bool))
    >>> scores.detected, scores.missed, scores.invented, round(scores.f1, 3), scores.dice
    (1, 1, 0, 0.667, 0.5)
    """
    anything = truth | prediction
    if not anything.any():
        return LesionScores((), 0, 0)
    box = bounding_box(anything)
    truth, prediction = truth[box], prediction[box]
    full = np.ones((3,) * truth.ndim, dtype=bool)
    true_parts, n_true = ndimage.label(truth, full)
    predicted_parts, n_predicted = ndimage.label(prediction, full)
    shared = np.zeros((n_true + 1, n_predicted + 1), dtype=np.int64)
    overlap = (true_parts > 0) & (predicted_parts > 0)
    np.add.at(shared, (true_parts[overlap], predicted_parts[overlap]), 1)
    shared = shared[1:, 1:]
    sizes = np.bincount(true_parts.ravel())[1:, None] + np.bincount(predicted_parts.ravel())[None, 1:]
    iou = shared / np.maximum(sizes - shared, 1)
    # Pairs below the limit count as zero before the assignment: counted afterwards, a useless pair could have taken
    # the partner of a good one.
    counted = np.where((iou >= smallest_iou) & (shared > 0), iou, 0.0)
    rows, columns = linear_sum_assignment(-counted)
    pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if counted[i, j] > 0]
    dice = tuple(float(2 * shared[i, j] / sizes[i, j]) for i, j in pairs)
    return LesionScores(dice, n_true - len(pairs), n_predicted - len(pairs))
