"""Rules of the grid: the spacing that images are brought to, the size of whole images, and the patch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from equipoise.configuration.fingerprint import Fingerprint

LARGEST = {2: 224, 3: 64}
"""Voxels per side up to which a classifier sees whole images; larger ones are resampled."""
PATCH_VOXELS = {("cpu", 2): 2**16, ("cpu", 3): 2**17, ("cuda", 2): 2**18, ("cuda", 3): 2**21}
"""Voxels of a patch: about 256² and 50³ on a processor, 512² and 128³ on a graphics card."""
ANISOTROPIC = 3.0
"""Ratio of the coarsest to the finest spacing from which an axis counts as anisotropic (Isensee et al. 2021)."""
MOST_PATCHES = 64
"""Patches of which a median image may consist before its grid is made coarser: more cost minutes a case."""
FEWEST_VOXELS = 500
"""Voxels of the rarest class that a coarser grid must leave."""
STEP = 8
"""Sides are multiples of this, so that three halvings need no padding."""


@dataclass(frozen=True)
class Grid:
    """spacing_mm: target spacing, None to leave images as they are; size: of whole images; patch: of training.

    extent: the median image in voxels of the grid.
    """

    spacing_mm: tuple[float, ...] | None
    size: tuple[int, ...] | None
    patch: tuple[int, ...] | None
    extent: tuple[float, ...]


def grid_of(data: Fingerprint, device: str) -> Grid:
    """Return the grid: one spacing and patches for masks, one size that a network can see whole for labels."""
    return _for_masks(data, device) if data.masks else _for_labels(data)


def target_spacing(data: Fingerprint) -> NDArray[np.float64]:
    """Return the median spacing; along an anisotropic axis the 10th percentile, so that its few slices stay apart.

    An axis is anisotropic if its spacing is three times the finest, and its voxels are a third of the most.
    """
    spacing = data.spacing_mm.copy()
    voxels = np.median(data.shapes, axis=0)
    coarse = int(spacing.argmax())
    if spacing[coarse] >= ANISOTROPIC * spacing.min() and ANISOTROPIC * voxels[coarse] <= voxels.max():
        finer = float(np.percentile(data.spacings[:, coarse], 10))
        spacing[coarse] = max(finer, float(np.delete(spacing, coarse).max()))
    return spacing


def _for_labels(data: Fingerprint) -> Grid:
    spacing = data.spacing_mm
    extent = data.extent(spacing)
    shrink = max(1.0, float(extent.max()) / LARGEST[data.dims])
    resampled = shrink > 1 or not data.one_spacing
    # Few slices: every network halves its maps, so whole images have at least one step a side.
    one_grid = data.one_size and data.one_spacing and min(extent) / shrink >= STEP
    size = None if one_grid else tuple(int(STEP * np.ceil(n / shrink / STEP)) for n in extent)
    return Grid(_rounded(spacing * shrink) if resampled else None, size, None, tuple((extent / shrink).tolist()))


def _for_masks(data: Fingerprint, device: str) -> Grid:
    budget = PATCH_VOXELS[device, data.dims]
    spacing = target_spacing(data)
    factor = _coarser(data, spacing, budget)
    resampled = factor > 1 or not data.one_spacing
    spacing = spacing * _where_fine(spacing, factor)
    extent = data.extent(spacing) if resampled else np.median(data.shapes, axis=0)
    whole = data.dims == 2 and data.one_size and not resampled and extent.prod() <= budget
    patch = None if whole else patch_of(extent.tolist(), budget)
    return Grid(_rounded(spacing) if resampled else None, None, patch, tuple(extent.tolist()))


def _coarser(data: Fingerprint, spacing: NDArray[np.float64], budget: int) -> float:
    """Return the factor by which the fine axes are made coarser: never so far that the rarest class is lost."""
    voxels = float(data.extent(spacing).prod())
    axes = int((spacing <= ANISOTROPIC * spacing.min()).sum())
    desired = (voxels / (MOST_PATCHES * budget)) ** (1 / axes)
    allowed = (data.rarest * voxels / FEWEST_VOXELS) ** (1 / axes) if data.rarest > 0 else 1.0
    return float(max(1.0, min(desired, allowed, 4.0)))


def _where_fine(spacing: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return the factor for every axis: 1 along an axis that is coarse already."""
    return np.where(spacing <= ANISOTROPIC * spacing.min(), factor, 1.0)


def patch_of(extent: Sequence[float], voxels: int) -> tuple[int, ...]:
    """Return a patch of at most about this many voxels with the proportions of the median image, never larger than it.

    >>> patch_of([35, 50, 36], 2**17), patch_of([40, 512, 512], 2**17)
    ((40, 56, 40), (16, 88, 88))
    """
    sides = [_up(side) for side in extent]
    if np.prod(sides) <= voxels:
        return tuple(sides)
    shrink = (voxels / np.prod(np.asarray(extent))) ** (1 / len(sides))
    for step in count():
        sides = [max(min(2 * STEP, _up(side)), _down(side * shrink * 0.98**step)) for side in extent]
        if np.prod(sides) <= voxels or max(sides) <= 2 * STEP:
            return tuple(sides)
    raise AssertionError("sides shrink until they fit")


def _up(side: float) -> int:
    return int(STEP * np.ceil(side / STEP))


def _down(side: float) -> int:
    return int(STEP * max(1, np.floor(side / STEP)))


def _rounded(spacing: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in spacing)
