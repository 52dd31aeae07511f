"""Voxels of LIDC-IDRI: crops and whole scans of the CT in Hounsfield units, and the masks on which readers agree.

The stored grid is (slice from the lowest, row, column) of an axial series in the orientation LPS, as in DICOM; images
are returned in RAS+ like those of every source.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.lidc.consensus import Marks, mark_volume, nodule_centre


@dataclass(frozen=True)
class CtScan:
    """One CT series: its files from the lowest slice to the highest, hashed, and its grid in mm (stored as LPS)."""

    patient: str
    study: str
    series: str
    files: tuple[str, ...]
    sops: tuple[str, ...]
    sha256: Mapping[str, str]
    pixel_mm: float
    slice_mm: float
    shape: tuple[int, int, int]
    header: Mapping[str, Any]


@dataclass(frozen=True)
class Stamp:
    """Voxels of a nodule on which the readers agree: packed bits of a box, its first (slice, row, column), its shape.

    value: the class of its voxels in a mask.
    """

    # Packed, because every case of a cohort is held in memory and sent to worker processes with its stamps.

    first: tuple[int, int, int]
    shape: tuple[int, int, int]
    bits: bytes
    value: int = 1

    def put(self, mask: NDArray[np.uint8]) -> None:
        """Set the nodule's voxels in a mask on the stored grid (slice, row, column), overwriting its values."""
        count = math.prod(self.shape)
        inside = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count).reshape(self.shape)
        z, y, x = (slice(first, first + size) for first, size in zip(self.first, self.shape, strict=True))
        mask[z, y, x][inside > 0] = self.value


def ball(centre: tuple[int, int, int], diameter_mm: float, value: int, scan: CtScan) -> Stamp:
    """Make a ball about a voxel (slice, row, column), cut at the scan's border, for a mark without outlines."""
    spacing = (scan.slice_mm, scan.pixel_mm, scan.pixel_mm)
    low = [max(0, c - int(diameter_mm / 2 / mm)) for c, mm in zip(centre, spacing, strict=True)]
    high = [min(n, c + int(diameter_mm / 2 / mm) + 1) for c, n, mm in zip(centre, scan.shape, spacing, strict=True)]
    axes = [(np.arange(a, b) - c) * mm for a, b, c, mm in zip(low, high, centre, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = z**2 + y**2 + x**2 <= (diameter_mm / 2) ** 2
    return Stamp((low[0], low[1], low[2]), inside.shape, np.packbits(inside).tobytes(), value)


def stamp(marks: Marks, group: Sequence[int], agreement: float, scan: CtScan, value: int = 1) -> Stamp:
    """Mark the voxels that at least the share `agreement` of a nodule's readers outlined, on the stored grid."""
    placed = []
    for mark in group:
        inside, (z_mm, row, column) = mark_volume(marks, mark)
        placed.append((inside, np.array([round(z_mm / scan.slice_mm), row, column])))
    low = np.min([first for _, first in placed], axis=0)
    high = np.max([first + inside.shape for inside, first in placed], axis=0)
    votes = np.zeros(high - low, np.uint8)
    for inside, first in placed:
        z, y, x = (slice(a, a + n) for a, n in zip(first - low, inside.shape, strict=True))
        votes[z, y, x] += inside
    # The tolerance admits 2 of 3 readers at an agreement written as 0.6666666667, which is a little more than 2/3.
    agreed = votes >= agreement * len(group) - 1e-9
    corner = (int(low[0]), int(low[1]), int(low[2]))
    return Stamp(corner, agreed.shape, np.packbits(agreed).tobytes(), value)


def read_scan(scan: CtScan, stamps: Sequence[Stamp]) -> Image:
    """Read the whole scan in HU with the mask of its stamps; a later stamp covers an earlier one."""
    volume = _hounsfield(scan.files, scan)
    mask = np.zeros(scan.shape, np.uint8)
    for one in stamps:
        one.put(mask)
    return replace(volume, mask=np.ascontiguousarray(mask[:, ::-1, ::-1]))


def _hounsfield(files: Sequence[str], scan: CtScan) -> Image:
    """Read slices in HU; RefusedFile where a file changed since the cohort was made."""
    # The lock of a trial records the hashes, so pixels with another hash must never be used in it.
    series_read = read_dicom_series(files)
    for file, digest in series_read.sha256.items():
        if scan.sha256[Path(file).name] != digest:
            raise RefusedFile(file, "it changed since the cohort was made", "run again")
    return series_read.image()


def read_crop(
    scan: CtScan, centre_mm: Sequence[float], size: int, spacing_mm: float, planes: bool, stamped: Stamp | None
) -> Image:
    """Read a cube of the CT around a nodule, or its three planes, in HU by linear interpolation; edges are repeated.

    centre_mm: (x, y, z) from the first column, row and slice; planes: axial, coronal and sagittal as three channels of
    2D instead of the cube. Only the slices of the cube are read.
    """
    z, y, x = _crop_places(scan, centre_mm, size, spacing_mm)
    low, high = math.floor(z[0]), math.ceil(z[-1])
    volume = _hounsfield(scan.files[low : high + 1], scan).array[0].astype(np.float32)
    mask = np.zeros(scan.shape, np.uint8) if stamped else None
    if stamped is not None and mask is not None:
        stamped.put(mask)
        mask = mask[low : high + 1, ::-1, ::-1]
    places = (z - low, y, x)
    if planes:
        return Image(_planes(volume, places), (spacing_mm,) * 2)
    inside = None if mask is None else (_sample(mask.astype(np.float32), places) >= 0.5 - 1e-6).astype(np.uint8)
    return Image(_sample(volume, places)[None], (spacing_mm,) * 3, inside)


def read_votes(
    scan: CtScan, marks: Marks, group: Sequence[int], size: int, spacing_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Read the cube of the CT around a nodule, rounded to whole HU, and how many of its readers outlined each voxel.

    Both (z, y, x) of size³ voxels of spacing_mm; each reader's outline is interpolated linearly and cut at one half.
    """
    z, y, x = _crop_places(scan, tuple(nodule_centre(marks, group)), size, spacing_mm)
    low, high = math.floor(z[0]), math.ceil(z[-1])
    places = (z - low, y, x)
    volume = _hounsfield(scan.files[low : high + 1], scan).array[0].astype(np.float32)
    cube = np.clip(np.rint(_sample(volume, places)), -32768, 32767).astype(np.int16)
    votes = np.zeros(cube.shape, np.uint8)
    for reader in group:
        mask = np.zeros(scan.shape, np.uint8)
        stamp(marks, (reader,), 1.0, scan).put(mask)
        votes += _sample(mask[low : high + 1, ::-1, ::-1].astype(np.float32), places) >= 0.5 - 1e-6
    return cube, votes


def _crop_places(
    scan: CtScan, centre_mm: Sequence[float], size: int, spacing_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions of a cube's voxels on the scan's grid in RAS+, in voxels along z, y and x."""
    slices, rows, columns = scan.shape
    offsets = (np.arange(size) - (size - 1) / 2) * spacing_mm
    z = np.clip((centre_mm[2] + offsets) / scan.slice_mm, 0, slices - 1)
    y = np.clip(rows - 1 - (centre_mm[1] - offsets) / scan.pixel_mm, 0, rows - 1)  # +y is anterior, rows grow backwards
    x = np.clip(columns - 1 - (centre_mm[0] - offsets) / scan.pixel_mm, 0, columns - 1)
    return z, y, x


def _planes(volume: NDArray[np.float32], places: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Interpolate the (axial, coronal, sagittal) planes through the middle of the places."""
    z, y, x = places
    middle = [np.array([(place[0] + place[-1]) / 2]) for place in places]
    return np.stack(
        [
            _sample(volume, (middle[0], y, x))[0],
            _sample(volume, (z, middle[1], x))[:, 0],
            _sample(volume, (z, y, middle[2]))[:, :, 0],
        ]
    )


def _sample(volume: NDArray[np.float32], places: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Interpolate linearly at the grid of three lists of voxel positions (z, y, x), axis by axis."""
    for axis, place in enumerate(places):
        below = np.minimum(np.floor(place).astype(np.int64), volume.shape[axis] - 1)
        above = np.minimum(below + 1, volume.shape[axis] - 1)
        share = (place - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        volume = volume.take(below, axis) * (1 - share) + volume.take(above, axis) * share
    return volume
