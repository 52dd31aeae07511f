"""What a reader got from files: voxels in canonical orientation, where they lie, and which bytes they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from os import PathLike
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.cohorts.formats.refusal import RefusedFile

AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True)
class Plane:
    """Where one plane of a scan came from, so that an answer can be written back beside it.

    frame: number within the file, from 0. position: of the first stored pixel, LPS mm.
    """

    file: str
    frame: int
    sop_uid: str
    position: tuple[float, float, float]


@dataclass(frozen=True)
class Scan:
    """Voxels as `cohort.Image` wants them, with the provenance that an Image does not carry.

    array: (channel, z, y, x) with an affine, or (channel, y, x) without; intensities in the file's real unit (CT: HU).
    spacing_mm: one per spatial axis, in array order.
    affine: 4 × 4, voxel (x, y, z, 1) → RAS+ mm; None where the file has no world.
    sha256: by path as given, of every file read.
    stored_axes: orientation of the file's own grid, such as "LPS"; empty without an affine.
    header: what the format says beside the pixels (patient_id, modality, frame_of_reference …).
    remarks: what was unusual and how it was understood.
    planes: of a DICOM series, where each plane came from, in growing index of the spatial axis `plane_axis` of `array`
        (0 z, 1 y, 2 x: sagittal slices are planes of x); empty for other formats.
    """

    array: NDArray[Any]
    spacing_mm: tuple[float, ...]
    affine: NDArray[np.float64] | None
    sha256: Mapping[str, str]
    stored_axes: str = ""
    header: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    remarks: tuple[str, ...] = ()
    planes: tuple[Plane, ...] = ()
    plane_axis: int = 0

    def image(self, mask: NDArray[np.integer[Any]] | None = None) -> Image:
        """Return the same voxels as a cohort's Image, with the truth that lies on their grid."""
        return Image(array=self.array, spacing_mm=self.spacing_mm, mask=mask, affine=self.affine)


def axis_of_each_world_axis(affine: NDArray[np.float64]) -> tuple[int, int, int]:
    """Tell which voxel axis (0 = x, 1 = y, 2 = z) runs most nearly along right, anterior and superior.

    Of the six assignments the one with the largest sum of direction cosines is taken, so that an oblique grid
    never gives one voxel axis to two world axes.
    """
    directions = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    x, y, z = max(permutations(range(3)), key=lambda p: sum(directions[world, p[world]] for world in range(3)))
    return x, y, z


def axis_codes(affine: NDArray[np.float64]) -> str:
    """Return the orientation of a grid in letters: where index x, y and z grow to.

    >>> axis_codes(np.diag([-1.0, -1.0, 1.0, 1.0]))
    'LPS'
    """
    letters = ["", "", ""]
    for world, axis in enumerate(axis_of_each_world_axis(affine)):
        letters[axis] = AXIS_LETTERS[world][int(affine[world, axis] > 0)]
    return "".join(letters)


def canonical(
    array: NDArray[Any], affine: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64], tuple[float, float, float]]:
    """Turn and flip (…, z, y, x) so that x grows to the right, y to anterior and z to superior; nothing is resampled.

    Returns the array (a view where possible), its affine, and its spacing in mm in the order (z, y, x).
    """
    order = axis_of_each_world_axis(affine)
    last = array.ndim - 1
    lead = tuple(range(array.ndim - 3))
    turned = array.transpose(*lead, *(last - order[world] for world in (2, 1, 0)))
    result = affine.astype(np.float64, copy=True)
    result[:3, :3] = affine[:3, list(order)]
    for world in range(3):
        if result[world, world] < 0:
            # The origin moves to what becomes the first voxel; without this step a flipped scan would lie mirrored
            # about its old corner.
            result[:3, 3] += result[:3, world] * (turned.shape[last - world] - 1)
            result[:3, world] *= -1
            turned = np.flip(turned, axis=last - world)
    x, y, z = (round(float(length), 6) for length in np.linalg.norm(result[:3, :3], axis=0))  # 1 nm: below any rounding
    return turned, result, (z, y, x)


def owned(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array contiguous, writable and in this machine's byte order, copied only where it is not."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.require(native, requirements=["C", "W"])


def with_finite_values(
    values: NDArray[Any], path: str | PathLike[str], nonfinite: Literal["refuse", "zero"]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the values, NaN and infinity refused or read as 0 with a remark; some tools write them as background."""
    # Refusal is the default because NaN in a single scan turns the loss of its whole batch to NaN, far from the
    # cause. Scans with NaN as their background exist, hence the choice.
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values, ()
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if nonfinite == "refuse":
        reason = f"{count} of its voxels are NaN or infinite"
        raise RefusedFile(path, reason, 'correct them, or read them as 0 with nonfinite = "zero" under [cohort]')
    return np.where(bad, values.dtype.type(0), values), (f"{count} voxels that were NaN or infinite were read as 0",)
