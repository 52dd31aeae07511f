"""The plan of sliding windows: where patches lie along each axis, and the share of each patch in every voxel.

Training applies the plan with torch, a bundle with numpy: both blend the same windows with the same weights. Patches
overlap, and each voxel's logits are the mean over all patches that contain it, weighted by a Gaussian about the
patch's centre (Isensee et al. 2021). The Gaussian is a product over axes, and so is its sum over a grid of patches:
the profiles of each axis are divided by their sum beforehand, and the weighted logits simply add up.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import EquipoiseError

SIGMA = 1 / 8
"""Standard deviation of the Gaussian, in sides of the patch."""


Weight = TypeVar("Weight")
"""An array in numpy, or its counterpart on the device that blends."""


@dataclass(frozen=True)
class AxisWindow(Generic[Weight]):
    """A patch's position along one axis: voxels [start, stop) of the image are [cut, cut + length) of the patch.

    weight: (length,) share of this window in each of its voxels; the shares of a voxel's windows sum to one.
    """

    start: int
    stop: int
    cut: int
    weight: Weight

    @property
    def image(self) -> slice:
        """The voxels of the image that the window covers, along one axis."""
        return slice(self.start, self.stop)

    @property
    def patch(self) -> slice:
        """The same voxels, counted from the start of the window."""
        return slice(self.cut, self.cut + self.stop - self.start)


def axis_windows(size: int, side: int, overlap: float) -> list[AxisWindow[NDArray[np.float32]]]:
    """Spread windows evenly over an axis of `size` voxels, the first at its start and the last at its end."""
    step = max(1, int(side * (1 - overlap)))
    count = max(0, math.ceil((size - side) / step)) + 1
    # Evenly and not by fixed steps with a last window moved inwards, which would overlap its neighbour almost wholly.
    starts = [round(index * (size - side) / (count - 1)) for index in range(count)] if count > 1 else [0]
    length, cut = min(size, side), max(0, side - size) // 2
    at = np.arange(side)[cut : cut + length]
    profile = np.exp(-(((at - (side - 1) / 2) / (SIGMA * side)) ** 2) / 2)
    total = np.zeros(size)
    for start in starts:
        total[start : start + length] += profile
    shares = [(profile / total[start : start + length]).astype(np.float32) for start in starts]
    return [AxisWindow(start, start + length, cut, share) for start, share in zip(starts, shares, strict=True)]


def mirror_subsets(axes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield every combination of spatial axes to mirror, as axes of a batch (n, channel, *spatial); first none."""
    for size in range(len(axes) + 1):
        yield from combinations([axis + 2 for axis in axes], size)


def check_windows(
    spatial: tuple[int, ...], patch: tuple[int, ...], overlap: float, batch: int, mirror_axes: Sequence[int]
) -> None:
    """Raise EquipoiseError where sides, overlap, number of patches or axes do not fit the image."""
    if len(spatial) not in (2, 3) or len(patch) != len(spatial) or min(patch) < 1 or min(spatial) < 1:
        raise EquipoiseError(
            f"a patch of sides {patch} does not fit an image of sides {spatial}; give one side of 1 or more for each "
            "axis"
        )
    if not 0 <= overlap < 1 or batch < 1:
        raise EquipoiseError(
            f"an overlap of {overlap} with {batch} patches at once is not possible; give an overlap from 0 to below "
            "1, and at least one patch at once"
        )
    if len(set(mirror_axes)) != len(mirror_axes) or not set(mirror_axes) <= set(range(len(spatial))):
        raise EquipoiseError(
            f"mirror axes {tuple(mirror_axes)} are not axes of the image; name each of {tuple(range(len(spatial)))} "
            "at most once"
        )
