"""Extract findings from a mask: each connected part, sought or irrelevant, becomes a ball of its size."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.cohorts.finding_labels import IRRELEVANT, SOUGHT
from equipoise.evaluation.detection import Findings


def findings_in(mask: NDArray[np.integer], spacing_mm: tuple[float, ...]) -> Findings:
    """Return the findings of a detection cohort's mask, the sought ones first; parts also touch through corners.

    A finding's centre is the mean position of its voxels in mm from the centre of the mask's first voxel; its diameter
    is that of the ball (in 2D: the disc) of the same volume.

    >>> findings = findings_in(np.array([[1, 1, 0, 2]]), (1.0, 2.0))
    >>> findings.centre_mm.tolist(), findings.relevant.tolist()
    ([[0.0, 1.0], [0.0, 6.0]], [True, False])
    """
    parts = [_parts(mask == value, spacing_mm) for value in (SOUGHT, IRRELEVANT)]
    relevant = np.repeat([True, False], [len(centre) for centre, _ in parts])
    return Findings(np.concatenate([c for c, _ in parts]), np.concatenate([d for _, d in parts]), relevant)


def _parts(inside: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres (n, axes) and diameters (n,) of the connected parts, in mm."""
    part, n = ndimage.label(inside, np.ones((3,) * inside.ndim, dtype=bool))
    places = np.nonzero(part)
    member = part[places] - 1
    voxels = np.maximum(np.bincount(member, minlength=n), 1)
    centre = np.stack([np.bincount(member, along, n) / voxels for along in places], axis=1) * np.array(spacing_mm)
    return centre, diameter_of(voxels * math.prod(spacing_mm), inside.ndim)


def diameter_of(size: NDArray[np.float64], dims: int) -> NDArray[np.float64]:
    """Return the diameter in mm of balls with these volumes in mm³ (dims 3), or of discs with these areas in mm²."""
    return np.cbrt(6 * size / np.pi) if dims == 3 else np.sqrt(4 * size / np.pi)
