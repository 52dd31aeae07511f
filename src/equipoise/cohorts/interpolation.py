"""Linear interpolation along one axis between two grids over the same extent."""

import numpy as np
from numpy.typing import NDArray


def triangle(before: int, after: int) -> tuple[NDArray[np.float64], float]:
    """Return the centre of each of `after` new voxels on the axis of `before` old ones, and half the triangle's base.

    The weight of an old voxel falls linearly from the centre; where voxels grow, the triangle widens so that no old
    voxel is skipped. Both results are in old voxels.
    """
    # The half voxels align the outer edges of both grids, not the centres of their first voxels, which would shift.
    ratio = np.float64(before / after)
    centre: NDArray[np.float64] = (np.arange(after, dtype=np.float64) + 0.5) * ratio - 0.5
    return centre, max(1.0, before / after)
