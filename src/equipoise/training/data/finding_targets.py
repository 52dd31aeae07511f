"""Training targets of a detector: the mask of relevant findings, or a Gaussian about every centre."""

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.finding_labels import SOUGHT
from equipoise.evaluation.detection import Findings
from equipoise.preprocessing.one_by_one import MaskCase

REACH = 4.0
"""Radius to which a Gaussian is drawn, in standard deviations."""


def finding_target(case: MaskCase, findings: Findings, targets: str) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Make the target of one prepared case: a mask (*prepared grid), or shares of background and finding (2, *grid).

    targets: "classes" or "centres", as in [training].
    """
    spatial = case.image.shape[1:]
    if targets == "centres":
        places = case.record.places_forward(findings.centre_mm / np.array(case.spacing_mm), spatial)
        relevant = findings.relevant
        spots = centre_map(places[relevant], findings.radius_mm[relevant], spatial, case.record.spacing_mm)
        # Two channels that sum to one, like soft class targets: every loss for classes then serves for centres as well.
        return np.stack([1 - spots, spots])
    if case.target.ndim == len(spatial):
        return np.asarray(case.target == SOUGHT, dtype=np.uint8)
    share = case.target[SOUGHT].astype(np.float32)
    return np.stack([1 - share, share])


def centre_map(
    places: NDArray[np.float64], radius_mm: NDArray[np.float64], shape: tuple[int, ...], spacing_mm: tuple[float, ...]
) -> NDArray[np.float32]:
    """Draw Gaussians (*shape) of height 1 about places (n, axes) in voxels; their maximum where they overlap.

    The standard deviation is half the radius, which gives 0.14 at a finding's edge; but at least the largest spacing,
    or a small finding could fall between the voxels.
    """
    spots = np.zeros(shape, np.float32)
    spacing = np.array(spacing_mm)
    for place, radius in zip(places, radius_mm, strict=True):
        sigma = max(radius / 2, spacing.max())
        # Only the box within reach is computed: over the whole volume, a scan with many findings would be slow.
        first = np.clip(np.ceil(place - REACH * sigma / spacing), 0, shape).astype(int)
        stop = np.clip(np.floor(place + REACH * sigma / spacing) + 1, 0, shape).astype(int)
        axes = [(np.arange(a, b) - p) * mm for a, b, p, mm in zip(first, stop, place, spacing, strict=True)]
        square = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
        box = tuple(slice(a, b) for a, b in zip(first, stop, strict=True))
        spots[box] = np.maximum(spots[box], np.exp(-square / (2 * sigma**2)))
    return spots
