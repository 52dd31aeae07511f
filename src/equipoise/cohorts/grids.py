"""Sizes and spacings of many images, as what looks at them before a trial sums them up."""

import numpy as np
from numpy.typing import NDArray


class Grids:
    """What follows from `shapes` in voxels and `spacings` in mm, each (images, axes), in array order."""

    shapes: NDArray[np.int64]
    spacings: NDArray[np.float64]

    @property
    def dims(self) -> int:
        """Spatial dimensions."""
        return int(self.shapes.shape[1])

    @property
    def one_size(self) -> bool:
        """Whether all images have as many voxels along every axis."""
        return bool((self.shapes == self.shapes[0]).all())

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """The median spacing along every axis."""
        middle: NDArray[np.float64] = np.median(self.spacings, axis=0)
        return middle

    @property
    def one_spacing(self) -> bool:
        """Whether all spacings are within 2 % of the median."""
        return bool(np.allclose(self.spacings, self.spacing_mm, rtol=0.02))

    def extent(self, spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the median size in voxels of this spacing."""
        middle: NDArray[np.float64] = np.median(self.shapes * self.spacings, axis=0) / spacing_mm
        return middle
