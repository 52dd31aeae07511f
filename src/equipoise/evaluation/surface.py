"""Distances in millimetres between the surfaces of two masks.

A surface voxel belongs to the mask and has a face neighbour (edge neighbour in 2D) outside it; beyond the image is
outside. Distances are between centres of surface voxels. All work is done inside the box around both masks, which
changes no distance and saves most of the time. With one mask empty no distance exists. The image's diagonal replaces
it, so that a missed organ is the worst result and not a missing value.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from equipoise.errors import PredictionError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from every surface voxel of one mask to the nearest one of the other; both empty: both (0,).

    With exactly one mask empty, `missed_mm` is the diagonal of the image; else it is None.
    """

    from_truth: NDArray[np.float64]
    from_prediction: NDArray[np.float64]
    missed_mm: float | None = None

    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles; 0 for two empty masks, the diagonal for one."""
        if self.missed_mm is not None:
            return self.missed_mm
        return max((float(np.percentile(d, 95)) for d in self._both()), default=0.0)

    def hausdorff(self) -> float:
        """The largest distance of all; 0 for two empty masks, the diagonal for one."""
        if self.missed_mm is not None:
            return self.missed_mm
        return max((float(d.max()) for d in self._both()), default=0.0)

    def assd(self) -> float:
        """Mean over all surface voxels of both masks; 0 for two empty masks, the diagonal for one."""
        if self.missed_mm is not None:
            return self.missed_mm
        all_distances = np.concatenate([self.from_truth, self.from_prediction])
        return float(all_distances.mean()) if all_distances.size else 0.0

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of surface voxels within the tolerance of the other surface; 1 for two empty masks, 0 for one."""
        if self.missed_mm is not None:
            return 0.0
        all_distances = np.concatenate([self.from_truth, self.from_prediction])
        return float((all_distances <= tolerance_mm).mean()) if all_distances.size else 1.0

    def _both(self) -> list[NDArray[np.float64]]:
        return [d for d in (self.from_truth, self.from_prediction) if d.size]


def surface_distances(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...]) -> SurfaceDistances:
    """Measure distances between the surfaces of two masks of one shape; spacing_mm per axis, in array order."""
    if truth.shape != prediction.shape or len(spacing_mm) != truth.ndim:
        raise PredictionError(
            f"a mask of shape {prediction.shape} with {len(spacing_mm)} spacings was compared with a truth of shape "
            f"{truth.shape}; bring both to one grid"
        )
    has_voxels = truth.any(), prediction.any()
    if not all(has_voxels):
        missed = float(np.linalg.norm(np.multiply(truth.shape, spacing_mm))) if any(has_voxels) else None
        return SurfaceDistances(np.empty(0), np.empty(0), missed)
    box = bounding_box(truth | prediction)
    true, predicted = (np.argwhere(_surface(mask, box)) for mask in (truth, prediction))
    return SurfaceDistances(_nearest(true, predicted, spacing_mm), _nearest(predicted, true, spacing_mm))


def _nearest(
    places: NDArray[np.int64], others: NDArray[np.int64], spacing_mm: tuple[float, ...]
) -> NDArray[np.float64]:
    """Measure the distance in mm from each voxel of `places` (n, axes) to the nearest of `others` (m, axes)."""
    # A tree of the few surface voxels is faster than a distance map of the whole box.
    spacing = np.array(spacing_mm)
    # Unbalanced trees are faster to build, and searches among voxels on a grid hardly profit from balance.
    tree = cKDTree(others * spacing, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(places * spacing)
    # From whole steps and not from the tree's own distance: differences of coordinates round, and one step of 0.7 mm
    # would exceed a tolerance of 0.7 mm.
    distances: NDArray[np.float64] = np.linalg.norm((places - others[nearest]) * spacing, axis=1)
    return distances


def hd95(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...]) -> float:
    """Compute the 95th percentile of the Hausdorff distance in mm, the larger of the two directed ones.

    Range [0, ∞), lower is better. Both masks empty: 0. Exactly one empty: the diagonal of the image. Percentiles
    interpolate linearly.
    Reference: L. Maier-Hein et al., Metrics reloaded, Nature Methods 21 (2024) 195–212.

    >>> left, right = np.zeros((5, 9), bool), np.zeros((5, 9), bool)
    >>> left[2, 1] = right[2, 5] = True
    >>> hd95(left, right, (1.0, 0.5)), hd95(left, left, (1.0, 0.5))
    (2.0, 0.0)
    """
    return surface_distances(truth, prediction, spacing_mm).hd95()


def assd(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...]) -> float:
    """Compute the average symmetric surface distance in mm. Range [0, ∞), lower is better; empty masks as in `hd95`."""
    return surface_distances(truth, prediction, spacing_mm).assd()


def surface_dice(truth: Mask, prediction: Mask, spacing_mm: tuple[float, ...], tolerance_mm: float = 1.0) -> float:
    """Compute the normalised surface distance: share of both surfaces within `tolerance_mm` of the other, in [0, 1].

    Both masks empty: 1. Exactly one empty: 0. Surface voxels count equally, whatever area each of them represents.
    Reference: S. Nikolov et al., J Med Internet Res 23 (2021) e26151.
    """
    return surface_distances(truth, prediction, spacing_mm).surface_dice(tolerance_mm)


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box around a mask that is not empty."""
    slices = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        along = np.flatnonzero(mask.any(axis=others))
        slices.append(slice(int(along[0]), int(along[-1]) + 1))
    return tuple(slices)


def _surface(mask: Mask, box: tuple[slice, ...]) -> Mask:
    # No voxel of the mask is outside the box, so erosion may treat the box's border as it treats the image's border.
    inside = mask[box]
    surface: Mask = inside & ~ndimage.binary_erosion(inside)
    return surface
