"""Smooth true masks: soft targets by a Gaussian filter, cleaner masks by opening and closing, all in millimetres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Smoothing:
    """Steps that change masks; 0 leaves a step out. The order is opening, closing, Gaussian.

    opening_mm: parts of a class too thin for a ball of this radius go to the nearest neighbouring class.
    closing_mm: background gaps within a class that are too thin for such a ball are filled.
    gaussian_mm: standard deviation of the filter that turns the mask into soft targets.
    """

    gaussian_mm: float = 0.0
    opening_mm: float = 0.0
    closing_mm: float = 0.0

    def apply(self, mask: Mask, spacing_mm: Sequence[float], classes: int) -> NDArray[Any]:
        """Return the cleaned mask (*spatial), or with a Gaussian soft targets float32 (classes, *spatial).

        A leading batch axis passes through: (n, *spatial) → (n, *spatial) or (n, classes, *spatial).
        """
        if mask.ndim > len(spacing_mm):
            return np.stack([self.apply(single, spacing_mm, classes) for single in mask])
        if self.opening_mm > 0:
            mask = opened(mask, spacing_mm, self.opening_mm)
        if self.closing_mm > 0:
            mask = closed(mask, spacing_mm, self.closing_mm)
        return soft_targets(mask, spacing_mm, self.gaussian_mm, classes) if self.gaussian_mm > 0 else mask


def soft_targets(mask: Mask, spacing_mm: Sequence[float], sigma_mm: float, classes: int) -> NDArray[np.float32]:
    """Filter every class with a Gaussian: float32 (classes, *spatial), which sum to one in each voxel.

    The border is reflected, so the sum of each class over the image stays the number of its voxels.
    """
    sigma = [sigma_mm / spacing for spacing in spacing_mm]
    shares = np.stack(
        [ndimage.gaussian_filter((mask == value).astype(np.float64), sigma, mode="reflect") for value in range(classes)]
    )
    return shares.astype(np.float32)


def opened(mask: Mask, spacing_mm: Sequence[float], radius_mm: float) -> Mask:
    """Open every class above 0; a removed voxel goes to the nearest kept voxel of another class."""
    # Not to the background: a thin bridge of one class inside another would leave a hole in the lesion.
    values = [value for value in np.unique(mask) if value > 0]
    kept = mask == 0
    for value in values:
        inside = mask == value
        kept |= inside & _dilated(_eroded(inside, spacing_mm, radius_mm), spacing_mm, radius_mm)
    result = mask.copy()
    for value in values:
        removed, others = ~kept & (mask == value), kept & (mask != value)
        if not removed.any():
            continue
        if not others.any():
            result[removed] = 0
            continue
        nearest = ndimage.distance_transform_edt(
            ~others, sampling=spacing_mm, return_distances=False, return_indices=True
        )
        result[removed] = mask[tuple(nearest)][removed]
    return result


def closed(mask: Mask, spacing_mm: Sequence[float], radius_mm: float) -> Mask:
    """Close every class above 0, lowest first; only background voxels change."""
    result = mask.copy()
    margin = [int(np.ceil(radius_mm / spacing)) + 1 for spacing in spacing_mm]
    inner = tuple(slice(wide, -wide) for wide in margin)
    for value in np.unique(mask[mask > 0]):
        # Padded, because `_eroded` does not count the edge as outside: a dilation cut off at the border would leave the
        # gap between a class and the border filled.
        inside = np.pad(mask == value, [(wide, wide) for wide in margin])
        filled = _eroded(_dilated(inside, spacing_mm, radius_mm), spacing_mm, radius_mm)[inner]
        result[filled & (result == 0)] = value
    return result


def _dilated(inside: NDArray[np.bool_], spacing_mm: Sequence[float], radius_mm: float) -> NDArray[np.bool_]:
    """Mark the voxels whose centre lies within radius_mm of a centre inside."""
    # By distances and not by a structuring element: exact for anisotropic voxels, and as fast for every radius.
    if not inside.any():
        return inside
    grown: NDArray[np.bool_] = ndimage.distance_transform_edt(~inside, sampling=spacing_mm) <= radius_mm * (1 + 1e-9)
    return grown


def _eroded(inside: NDArray[np.bool_], spacing_mm: Sequence[float], radius_mm: float) -> NDArray[np.bool_]:
    """Mark the voxels whose centre is farther than radius_mm from every centre outside; the edge is not outside."""
    if inside.all():
        return inside
    shrunk: NDArray[np.bool_] = ndimage.distance_transform_edt(inside, sampling=spacing_mm) > radius_mm * (1 + 1e-9)
    return shrunk
