"""Candidates from a map of probabilities: its connected parts, or its peaks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.errors import PredictionError


@dataclass(frozen=True)
class Candidates:
    """Places of one scan, the most suspicious first: centre_mm (n, axes) and score (n,).

    Axes are in array order, z first, and begin at the centre of the first voxel: voxel k lies at k times the spacing.
    """

    centre_mm: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)


def connected_candidates(
    probability: NDArray[np.floating], spacing_mm: tuple[float, ...], threshold: float = 0.5, smallest_mm3: float = 0.0
) -> Candidates:
    """A candidate for each connected part (faces, edges, corners) of the voxels at or above the threshold.

    Its centre is the mean place of the part's voxels, its score their highest probability. Parts below `smallest_mm3`
    (in 2D: mm²) are left out.

    >>> candidates = connected_candidates(np.array([[0.9, 0.7, 0.0, 0.6]]), (1.0, 2.0))
    >>> candidates.centre_mm.tolist(), candidates.score.tolist()
    ([[0.0, 1.0], [0.0, 6.0]], [0.9, 0.6])
    """
    _check(probability, spacing_mm)
    part, n = ndimage.label(probability >= threshold, np.ones((3,) * probability.ndim, dtype=bool))
    inside = np.nonzero(part)
    member = part[inside] - 1
    score = np.full(n, -np.inf)
    np.maximum.at(score, member, probability[inside].astype(np.float64))
    voxels = np.bincount(member, minlength=n)
    sums = [np.bincount(member, weights=along, minlength=n) for along in inside]
    centre = np.stack(sums, axis=1) / np.maximum(voxels, 1)[:, None] * np.array(spacing_mm)
    large = voxels * float(np.prod(spacing_mm)) >= smallest_mm3
    return _ordered(centre[large], score[large])


def peak_candidates(
    probability: NDArray[np.floating], spacing_mm: tuple[float, ...], threshold: float = 0.1, apart_mm: float = 5.0
) -> Candidates:
    """A candidate for each peak at or above the threshold: no voxel within `apart_mm` is higher.

    For maps whose values say how near a finding's centre is. A plateau gives one candidate, at its mean place.

    >>> peak_candidates(np.array([[0.2, 0.9, 0.3, 0.0, 0.5]]), (1.0, 1.0), apart_mm=2.0).centre_mm.tolist()
    [[0.0, 1.0], [0.0, 4.0]]
    """
    _check(probability, spacing_mm)
    reach = [int(apart_mm / spacing) for spacing in spacing_mm]
    offsets = np.meshgrid(*(np.arange(-r, r + 1) * s for r, s in zip(reach, spacing_mm, strict=True)), indexing="ij")
    ball = sum(offset**2 for offset in offsets) <= apart_mm**2
    highest = ndimage.maximum_filter(probability, footprint=ball, mode="nearest")
    peaks = np.where((probability == highest) & (probability >= threshold), probability, -1.0)
    return connected_candidates(peaks, spacing_mm, threshold)


def _check(probability: NDArray[np.floating], spacing_mm: tuple[float, ...]) -> None:
    if probability.ndim != len(spacing_mm):
        raise PredictionError(
            f"a map with {probability.ndim} axes was given {len(spacing_mm)} spacings; give one spacing an axis"
        )
    if not np.isfinite(probability).all():
        raise PredictionError("a map of probabilities holds values that are not finite; predict it again")


def _ordered(centre_mm: NDArray[np.float64], score: NDArray[np.float64]) -> Candidates:
    order = np.argsort(-score, kind="stable")
    return Candidates(centre_mm[order], score[order])
