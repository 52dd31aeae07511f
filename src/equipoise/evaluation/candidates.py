"""Extract candidates from a map of probabilities: connected parts at one level or at several, or peaks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.errors import PredictionError

STEP = 2.0
"""Factor from one level of `nested_candidates` to the next."""
PLATEAU = 4096
"""Number of equal values from which on a plateau is checked as a whole."""
AT_ONCE = 1 << 22
"""Voxels of balls that are checked together; it bounds the memory."""

MOST_CANDIDATES = 200
"""Candidates kept per scan, by descending score: an untrained model marks every voxel."""


@dataclass(frozen=True)
class Candidates:
    """Candidates of one scan in falling order of suspicion: centre_mm (n, axes) and score (n,).

    Axes are in array order, z first, with the origin at the centre of the first voxel: voxel k is at k times the
    spacing.
    """

    centre_mm: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)


def most_suspicious(candidates: Candidates) -> Candidates:
    """Return the first `MOST_CANDIDATES` candidates, which come by descending score."""
    return Candidates(candidates.centre_mm[:MOST_CANDIDATES], candidates.score[:MOST_CANDIDATES])


def connected_candidates(
    probability: NDArray[np.floating], spacing_mm: tuple[float, ...], threshold: float = 0.5, smallest_mm3: float = 0.0
) -> Candidates:
    """Make a candidate of each connected part (faces, edges, corners) of the voxels at or above the threshold.

    Its centre is the mean position of the part's voxels, its score their highest probability. Parts below
    `smallest_mm3` (in 2D: mm²) are left out.

    >>> candidates = connected_candidates(np.array([[0.9, 0.7, 0.0, 0.6]]), (1.0, 2.0))
    >>> candidates.centre_mm.tolist(), candidates.score.tolist()
    ([[0.0, 1.0], [0.0, 6.0]], [0.9, 0.6])
    """
    _check(probability, spacing_mm)
    return _parts(probability >= threshold, probability, spacing_mm, smallest_mm3)


def nested_candidates(
    probability: NDArray[np.floating], spacing_mm: tuple[float, ...], threshold: float = 0.1
) -> Candidates:
    """Make a candidate of each connected part at the levels threshold, 2 × threshold, 4 × threshold and so on.

    A part counts at the highest level that it reaches. A peak that exceeds its surroundings by a factor of two is
    therefore separated from them, however confident the map is as a whole, whereas a single level joins everything
    above it and loses everything below. The idea follows dynamic thresholds (J. S. Bosma et al., Radiology: Artificial
    Intelligence 5 (2023) e230031).

    >>> candidates = nested_candidates(np.array([[0.15, 0.9, 0.15, 0.3, 0.15, 0.0, 0.12]]), (1.0, 1.0))
    >>> candidates.centre_mm[:, 1].tolist(), candidates.score.tolist()
    ([1.0, 3.0, 6.0], [0.9, 0.3, 0.12])
    """
    places, scores, level = [], [], threshold
    while level < 1:
        parts = connected_candidates(probability, spacing_mm, level)
        last = level * STEP >= 1
        # A part that reaches the next level is found there again, alone or split into several: it ends here only
        # where it does not.
        ends = np.ones(len(parts), bool) if last else parts.score < level * STEP
        places.append(parts.centre_mm[ends])
        scores.append(parts.score[ends])
        level *= STEP
    return _ordered(np.concatenate(places), np.concatenate(scores))


def peak_candidates(
    probability: NDArray[np.floating], spacing_mm: tuple[float, ...], threshold: float = 0.1, apart_mm: float = 5.0
) -> Candidates:
    """Make a candidate of each peak at or above the threshold: no voxel within `apart_mm` is higher.

    This serves maps whose values fall with the distance from a finding's centre. A plateau gives one candidate, at its
    mean position.

    >>> peak_candidates(np.array([[0.2, 0.9, 0.3, 0.0, 0.5]]), (1.0, 1.0), apart_mm=2.0).centre_mm.tolist()
    [[0.0, 1.0], [0.0, 4.0]]
    """
    _check(probability, spacing_mm)
    box = [2 * int(apart_mm / spacing / probability.ndim**0.5) + 1 for spacing in spacing_mm]
    # A maximum over a box is separable and fast. The box lies inside the ball, so it never drops a peak; the few voxels
    # that are highest in their box are then compared with their whole ball.
    highest = (probability >= threshold) & (probability == ndimage.maximum_filter(probability, box, mode="nearest"))
    places = np.argwhere(highest)
    highest[tuple(places[~_unmatched(probability, places, spacing_mm, apart_mm)].T)] = False
    return _parts(highest, probability, spacing_mm, 0.0)


def _unmatched(
    probability: NDArray[np.floating], places: NDArray[np.int64], spacing_mm: tuple[float, ...], apart_mm: float
) -> NDArray[np.bool_]:
    """Whether no voxel within `apart_mm` of each place (n, axes) is higher than it."""
    values = probability[tuple(places.T)]
    alone = np.ones(len(places), dtype=bool)
    level, member, size = np.unique(values, return_inverse=True, return_counts=True)
    # One distance map serves a whole plateau. Balls about each of its voxels would take hours on a constant map, where
    # every voxel is a peak.
    for plateau in np.flatnonzero(size >= PLATEAU):
        own, lower = member == plateau, probability <= level[plateau]
        if not lower.all():
            alone[own] = ndimage.distance_transform_edt(lower, sampling=spacing_mm)[tuple(places[own].T)] > apart_mm
    few = np.flatnonzero(size[member] < PLATEAU)
    ball = _ball(spacing_mm, apart_mm)
    for rows in np.array_split(few, -(-len(few) * len(ball) // AT_ONCE) or 1):
        # Clipped to the edge, a voxel beyond the image becomes one inside it that is nearer still, so no peak is lost
        # by a voxel outside its ball.
        around = np.clip(places[rows, None] + ball, 0, np.array(probability.shape) - 1)
        alone[rows] = probability[tuple(np.moveaxis(around, -1, 0))].max(axis=1) <= values[rows]
    return alone


def _ball(spacing_mm: tuple[float, ...], radius_mm: float) -> NDArray[np.int64]:
    """Return the offsets in voxels (k, axes) to every voxel within the radius."""
    axes = [np.arange(-int(radius_mm / mm), int(radius_mm / mm) + 1) for mm in spacing_mm]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    ball: NDArray[np.int64] = offsets[((offsets * np.array(spacing_mm)) ** 2).sum(axis=1) <= radius_mm**2]
    return ball


def _parts(
    inside: NDArray[np.bool_], probability: NDArray[np.floating], spacing_mm: tuple[float, ...], smallest_mm3: float
) -> Candidates:
    """Make a candidate of each connected part: its mean position and its highest value."""
    # By bincount over the voxels inside: scipy.ndimage's labelled sums pass over the whole map for each quantity.
    part, n = ndimage.label(inside, np.ones((3,) * inside.ndim, dtype=bool))
    places = np.nonzero(part)
    member = part[places] - 1
    score = np.full(n, -np.inf)
    np.maximum.at(score, member, probability[places].astype(np.float64))
    voxels = np.bincount(member, minlength=n)
    sums = [np.bincount(member, weights=along, minlength=n) for along in places]
    centre = np.stack(sums, axis=1) / np.maximum(voxels, 1)[:, None] * np.array(spacing_mm)
    large = voxels * float(np.prod(spacing_mm)) >= smallest_mm3
    return _ordered(centre[large], score[large])


def _check(probability: NDArray[np.floating], spacing_mm: tuple[float, ...]) -> None:
    if probability.ndim != len(spacing_mm):
        raise PredictionError(
            f"a map with {probability.ndim} axes was given {len(spacing_mm)} spacings; give one spacing per axis"
        )
    if not np.isfinite(probability).all():
        raise PredictionError("a map of probabilities holds values that are not finite; predict it again")


def _ordered(centre_mm: NDArray[np.float64], score: NDArray[np.float64]) -> Candidates:
    # Stable: equal scores keep the order of the scan, so that tables are equal on every machine.
    order = np.argsort(-score, kind="stable")
    return Candidates(centre_mm[order], score[order])
