"""Choose the plane of a case that a report shows, and convert it to a grey picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.regions import region_masks


def shown_slice(truth: NDArray[np.integer]) -> tuple[int, ...]:
    """Return the index of the plane with the most foreground: () in 2D, (z,) in 3D (the middle without foreground)."""
    # By the truth, never by a prediction: all arms are shown on one plane, and no arm can choose its best.
    if truth.ndim == 2:
        return ()
    areas = np.count_nonzero(truth, axis=(1, 2))
    return (int(areas.argmax()) if areas.any() else len(truth) // 2,)


OBLIQUE_DEGREES = 15.0
"""A picture whose axes are turned further from the body's than this claims no sides."""


def sides_of(affine: NDArray[np.float64] | None, spatial_dims: int) -> str:
    """Return the letters of the left, right, top and bottom side of a plane (y, x) of an image; empty where unknown.

    affine: 4 × 4, voxel (x, y, z, 1) → RAS+ mm. Only images in space (three dimensions) have sides.

    >>> sides_of(np.diag([-1.0, -1.0, 1.0, 1.0]), 3)
    'RLAP'
    """
    if affine is None or spatial_dims != 3:
        return ""
    axes = np.asarray(affine, dtype=float)[:3, :2]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(axes).all() or (lengths == 0).any():
        return ""
    ends = []
    for direction in (axes / lengths).T:
        axis = int(np.abs(direction).argmax())
        if abs(direction[axis]) < np.cos(np.radians(OBLIQUE_DEGREES)):
            return ""
        towards = ("RAS" if direction[axis] > 0 else "LPI")[axis]
        ends.append(("LPI" if direction[axis] > 0 else "RAS")[axis] + towards)
    return "".join(ends)


def grey(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert a plane (h, w) of any numbers to 8 bits, its lowest value black and its highest white."""
    low, high = float(plane.min()), float(plane.max())
    return np.asarray(np.round(255 * (plane - low) / ((high - low) or 1.0)), dtype=np.uint8)


def region_bits(labels: NDArray[np.integer], regions: Mapping[str, Sequence[int]]) -> NDArray[np.uint8]:
    """Pack up to eight overlapping regions in one array: bit k is set inside region k."""
    return packed(list(region_masks(labels, regions).values()))


def packed(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Pack masks in one array: bit k is set inside mask k; masks beyond the eighth are dropped."""
    bits = np.zeros(masks[0].shape, np.uint8)
    for k, mask in enumerate(masks[:8]):
        bits |= mask.astype(np.uint8) << np.uint8(k)
    return bits
