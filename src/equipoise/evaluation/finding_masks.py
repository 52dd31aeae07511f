"""Findings from a mask: every connected part of what is sought, and of what is irrelevant, as a ball of its size."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.cohorts.finding_labels import IRRELEVANT, SOUGHT
from equipoise.evaluation.detection import Findings


def findings_in(mask: NDArray[np.integer], spacing_mm: tuple[float, ...]) -> Findings:
    """The findings of a detection cohort's mask, those that are sought first; parts touch through corners too.

    A finding's centre is the mean place of its voxels in mm from the centre of the first voxel of the mask, its
    diameter that of the ball (in 2D: the disc) of the same volume.

    >>> found = findings_in(np.array([[1, 1, 0, 2]]), (1.0, 2.0))
    >>> found.centre_mm.tolist(), found.relevant.tolist()
    ([[0.0, 1.0], [0.0, 6.0]], [True, False])
    """
    parts = [_parts(mask == value, spacing_mm) for value in (SOUGHT, IRRELEVANT)]
    relevant = np.repeat([True, False], [len(centre) for centre, _ in parts])
    return Findings(np.concatenate([c for c, _ in parts]), np.concatenate([d for _, d in parts]), relevant)


def _parts(inside: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (n, axes) and diameters (n,) of the connected parts, in mm."""
    part, n = ndimage.label(inside, np.ones((3,) * inside.ndim, dtype=bool))
    places = np.nonzero(part)
    member = part[places] - 1
    voxels = np.maximum(np.bincount(member, minlength=n), 1)
    centre = np.stack([np.bincount(member, along, n) / voxels for along in places], axis=1) * np.array(spacing_mm)
    return centre, diameter_of(voxels * math.prod(spacing_mm), inside.ndim)


def diameter_of(size: NDArray[np.float64], dims: int) -> NDArray[np.float64]:
    """Diameter in mm of balls of these volumes in mm³ (dims 3), or of discs of these areas in mm² (dims 2)."""
    return np.cbrt(6 * size / np.pi) if dims == 3 else np.sqrt(4 * size / np.pi)
