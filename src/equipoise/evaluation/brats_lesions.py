"""Lesion-wise scores as BraTS 2023 defines them, an alternative to the one-to-one matching of `lesions`.

True parts that a dilation joins are one lesion. Every predicted part that touches a lesion's dilation belongs to its
answer, however far it extends. A lesion without an answer is missed; a part in no answer is invented. True lesions of
50 mm³ and less are not scored, but their answers are not invented either. Parts touch through faces, edges or
corners; one dilation step adds face and edge neighbours. Means are over scored and invented lesions. A missed or
invented lesion counts with Dice 0 and with the image's diagonal as its distance.

Reference: Saluja et al., BraTS 2023 lesion-wise performance metrics; Moawad et al., arXiv 2306.00838 (2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.evaluation.lesions import LesionScores
from equipoise.evaluation.surface import bounding_box, surface_distances

Mask = NDArray[np.bool_]
Slices = tuple[slice, ...]
DILATION = 3
"""Steps of dilation for gliomas; BraTS takes 1 for meningiomas and metastases."""
SMALLEST_MM3 = 50.0
"""Lesions up to this volume are not scored; BraTS takes 2 for metastases."""


@dataclass(frozen=True)
class BratsLesions(LesionScores):
    """The same counts over scored and invented lesions, and the HD95 (mm) of each detected lesion."""

    hd95_of_detected: tuple[float, ...]
    diagonal_mm: float

    @property
    def hd95(self) -> float:
        """Mean HD95 over scored and invented lesions in mm. Lower is better; no lesion at all: 0."""
        wrong = self.missed + self.invented
        total = self.detected + wrong
        return (sum(self.hd95_of_detected) + wrong * self.diagonal_mm) / total if total else 0.0


def brats_lesions(
    truth: Mask,
    prediction: Mask,
    spacing_mm: tuple[float, ...],
    dilation: int = DILATION,
    smallest_mm3: float = SMALLEST_MM3,
) -> BratsLesions:
    """Lesion-wise scores of two masks of one shape (2D or 3D; in 2D a pixel counts as 1 mm thick).

    >>> truth = np.zeros((1, 40), bool)
    >>> truth[0, 2:8] = truth[0, 20:26] = True
    >>> scores = brats_lesions(truth, truth & (np.arange(40) < 10), (1.0, 10.0))
    >>> scores.detected, scores.missed, scores.invented, scores.dice
    (1, 1, 0, 0.5)
    """
    diagonal = float(np.linalg.norm(np.multiply(truth.shape, spacing_mm)))
    anything = truth | prediction
    if not anything.any():
        return BratsLesions((), 0, 0, (), diagonal)
    # The box has room for the dilation, so that lesions join and touch exactly as they would in the whole image.
    box = _wider(bounding_box(anything), dilation, truth.shape)
    lesions, n_lesions = _joined(truth[box], dilation)
    parts, n_parts = ndimage.label(prediction[box], _corners(truth.ndim))
    places = ndimage.find_objects(parts, n_parts)
    answered = np.zeros(n_parts + 1, dtype=bool)
    dice, distance, missed = [], [], 0
    for number, extent in enumerate(ndimage.find_objects(lesions, n_lesions), 1):
        near = _wider(extent, dilation, lesions.shape)
        lesion = lesions[near] == number
        touched = np.unique(parts[near][_dilated(lesion, dilation)])
        touched = touched[touched > 0]
        # Before the small lesions are skipped: a part that answers one of them is not invented.
        answered[touched] = True
        volume = int(lesion.sum())
        if volume * float(np.prod(spacing_mm)) <= smallest_mm3:
            continue
        if not len(touched):
            missed += 1
            continue
        # Cut anew: a predicted part may extend far beyond its lesion, and all of it counts.
        joint = _around([extent, *(places[part - 1] for part in touched)])
        lesion, answer = lesions[joint] == number, np.isin(parts[joint], touched)
        dice.append(2 * int(np.count_nonzero(lesion & answer)) / (volume + int(np.count_nonzero(answer))))
        distance.append(surface_distances(lesion, answer, spacing_mm).hd95())
    return BratsLesions(tuple(dice), missed, n_parts - int(answered.sum()), tuple(distance), diagonal)


def _joined(truth: Mask, dilation: int) -> tuple[NDArray[np.int32], int]:
    """Number the lesions: the true voxels of each connected part of the dilated truth."""
    # A resection cavity or a thin gap cuts one tumour into parts; dilated, they are one lesion again.
    dilated, n = ndimage.label(_dilated(truth, dilation), _corners(truth.ndim))
    return np.where(truth, dilated, 0), n


def _dilated(mask: Mask, steps: int) -> Mask:
    if not steps:
        return mask
    edges = ndimage.generate_binary_structure(mask.ndim, 2)
    dilated: Mask = ndimage.binary_dilation(mask, edges, iterations=steps)
    return dilated


def _corners(axes: int) -> Mask:
    return np.ones((3,) * axes, dtype=bool)


def _around(boxes: Sequence[Slices]) -> Slices:
    """Return the smallest box that holds all boxes."""
    return tuple(slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True))


def _wider(box: Slices, steps: int, shape: tuple[int, ...]) -> Slices:
    """Widen the box by `steps` voxels on every side, within the image."""
    return tuple(
        slice(max(0, side.start - steps), min(size, side.stop + steps)) for side, size in zip(box, shape, strict=True)
    )
