"""Whether two volumes lie on one grid: the same voxels at the same places."""

from pathlib import Path

import numpy as np

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.upright import check_turned

GRID_TOLERANCE = 0.1
"""How far, in voxels, the corners of two grids may lie apart and still be called one grid."""


def check_same_grid(path: Path, scan: Scan, other_path: Path, other: Scan) -> None:
    """Refuse a file whose voxels do not lie on those of another: other shape, spacing or place in the world."""
    check_turned(path, scan, other_path, other)
    shape, needed = scan.array.shape[1:], other.array.shape[1:]
    if shape != needed:
        reason = f"its shape {shape} differs from {needed} of {other_path.name!r}"
        raise RefusedFile(path, reason, "resample it to the image's grid, or exclude the case")
    unstated = scan.header.get("spacing_unstated") or other.header.get("spacing_unstated")
    if not unstated and not np.allclose(scan.spacing_mm, other.spacing_mm, rtol=1e-3):
        reason = f"its spacing {scan.spacing_mm} mm differs from {other.spacing_mm} mm of {other_path.name!r}"
        raise RefusedFile(path, reason, "correct its header, or exclude the case")
    if scan.affine is None or other.affine is None or len(shape) != 3:
        return
    # Corners are compared and not the affines' entries: a small turn moves the far corner by many voxels.
    far = np.array([(x, y, z, 1) for z in (0, shape[0]) for y in (0, shape[1]) for x in (0, shape[2])]).T
    apart = float(np.linalg.norm((scan.affine - other.affine) @ far, axis=0).max())
    if apart > GRID_TOLERANCE * min(other.spacing_mm):
        reason = f"it lies up to {apart:.3g} mm beside {other_path.name!r}"
        raise RefusedFile(path, reason, "correct its header, or exclude the case")
