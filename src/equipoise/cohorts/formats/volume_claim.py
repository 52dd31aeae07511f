"""What the header of a volume claims, and its voxels once every claim was checked: shared by the formats of volumes.

NIfTI, Analyze, MGH, NRRD and MetaImage differ in their headers alone: behind them lie plain numbers, packed by gzip or
not, of a length that the header claims.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.gunzip import GzipBytes
from equipoise.cohorts.formats.limits import DEFLATE_RATIO, Limits
from equipoise.cohorts.formats.memory import refuse_beyond_memory
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan, axis_codes, canonical, owned, with_finite_values

GZIP_MAGIC = b"\x1f\x8b"
LARGEST_NUMBER_BYTES = 8
SPACING_RANGE_MM = (1e-4, 1e4)
FARTHEST_MM = 1e7
AGAIN = "copy or export the file again"
BROKEN = "export the image again from its source"
Nonfinite = Literal["refuse", "zero"]


@dataclass(frozen=True)
class VolumeClaim:
    """What the header claims, checked for sense but not yet against the file's length.

    shape: (channel, z, y, x). flat: whether the file holds a picture of two axes, z being 1.
    channels_first_in_file: whether the channels of a voxel lie side by side, instead of one volume after another.
    dtype: as stored, with its byte order. offset: bytes before the first voxel.
    slope, intercept: real value = slope · stored + intercept; (1, 0) where the file has no scaling.
    affine: 4 × 4, voxel (x, y, z, 1) → RAS+ mm. placed: False where the file states no orientation, and the affine's is
    a convention; the scan's header says "unplaced" then.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    remarks: tuple[str, ...]
    flat: bool = False
    channels_first_in_file: bool = False
    placed: bool = True

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the voxels take in the file."""
        return math.prod(self.shape) * self.dtype.itemsize

    def arranged(self, content: bytes | bytearray | memoryview) -> NDArray[Any]:
        """Return (channel, z, y, x) from the bytes of the voxels and of what lies before them."""
        count = math.prod(self.shape)
        flat = np.frombuffer(content, self.dtype, count=count, offset=self.offset)
        if not self.channels_first_in_file:
            return flat.reshape(self.shape)
        channels, *grid = self.shape
        return np.moveaxis(flat.reshape(*grid, channels), -1, 0)


def check_limits(claim: VolumeClaim, path: str | PathLike[str], limits: Limits) -> None:
    """Refuse a claim beyond the limits, before a byte is allocated."""
    # Scaling turns integers of one or two bytes into float32, so the array that is made is larger than the one that
    # is claimed.
    scaled = claim.dtype.itemsize < 4 and (claim.slope, claim.intercept) != (1, 0)
    if claim.voxel_bytes * (2 if scaled else 1) > limits.array_bytes or claim.offset > limits.array_bytes:
        raise RefusedFile(
            path,
            f"its header claims {claim.offset + claim.voxel_bytes} bytes and the limit is {limits.array_bytes}",
            "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is known to be good",
        )


def stored_voxels(
    raw: bytes,
    claim: VolumeClaim,
    path: str | PathLike[str],
    limits: Limits,
    *,
    tail: bool = False,
    packed: bool | None = None,
) -> NDArray[Any]:
    """Return (channel, z, y, x) as stored, from the bytes of a whole file, packed by gzip or not.

    tail: whether the format allows something behind the voxels. packed: None tells it by the first bytes. A gzip stream
    is read to its end, where its checksum is.
    """
    check_limits(claim, path, limits)
    total = claim.offset + claim.voxel_bytes
    if not (raw[:2] == GZIP_MAGIC if packed is None else packed):
        held = len(raw) - claim.offset
        # Bytes behind the voxels are refused as well: where the header states a smaller size than was written, rows
        # would be cut in other places and the picture sheared.
        if held < claim.voxel_bytes or (held > claim.voxel_bytes and not tail):
            reason = f"its header claims {claim.voxel_bytes} bytes of voxels and {max(held, 0)} are there"
            raise RefusedFile(path, reason, AGAIN)
        return claim.arranged(raw)
    # This refuses an impossible claim before the first byte is inflated or allocated; a header of 1 KB may claim 2
    # GB.
    if total > DEFLATE_RATIO * len(raw) + (1 << 12):
        reason = f"its header claims {total} bytes, more than {len(raw)} compressed bytes can hold"
        raise RefusedFile(path, reason, AGAIN)
    if total > _SURPRISING_BYTES and total > _SURPRISING_RATIO * len(raw):
        # A first pass that keeps nothing: a file of 3 MB that claims 3 GB is nearly always a lie, and is found before
        # its claim is allocated.
        _refuse_short(GzipBytes(raw, path).skip(total), total, path)
    refuse_beyond_memory(_reading_bytes(claim), fspath(path))
    stream = GzipBytes(raw, path)
    content = stream.read(total)
    _refuse_short(len(content), total, path)
    left = len(stream.read(_LONGEST_TAIL)) if tail else 0
    if left == _LONGEST_TAIL or not stream.finish():
        raise RefusedFile(path, f"it holds more than the {total} bytes its header claims", AGAIN)
    return claim.arranged(content)


def _refuse_short(there: int, total: int, path: str | PathLike[str]) -> None:
    if there < total:
        raise RefusedFile(path, f"its header claims {total} bytes and {there} are there", AGAIN)


def _reading_bytes(claim: VolumeClaim) -> int:
    """Return about the memory that reading takes: the voxels, a copy of them, and where they are scaled two more."""
    scaled = (claim.slope, claim.intercept) != (1, 0)
    return 2 * claim.voxel_bytes + (12 * math.prod(claim.shape) if scaled else 0)


_SURPRISING_BYTES, _SURPRISING_RATIO = 1 << 28, 200
"""Claims that are read twice: beyond 256 MB, and beyond what images reach; masks may, and are read twice too."""
_LONGEST_TAIL = 1 << 20  # what a format writes behind its voxels: names, parameters of the scan


def as_scan(
    stored: NDArray[Any],
    claim: VolumeClaim,
    path: str | PathLike[str],
    sha256: Mapping[str, str],
    kind: str,
    nonfinite: Nonfinite,
) -> Scan:
    """Return the voxels in real units and canonical orientation; a flat picture has neither affine nor z."""
    values, remark = with_finite_values(_scaled(stored, claim), path, nonfinite)
    array, affine, spacing_mm = canonical(values, claim.affine)
    header = {
        "format": kind, "stored_dtype": claim.dtype.name, "slope": claim.slope, "intercept": claim.intercept,
    }  # fmt: skip
    if claim.flat:
        x, y, _ = (float(length) for length in np.linalg.norm(claim.affine[:3, :3], axis=0))
        return Scan(owned(values[:, 0]), (y, x), None, sha256, "", header, claim.remarks + remark)
    header |= {} if claim.placed else {"unplaced": True}
    codes = axis_codes(claim.affine)
    return Scan(owned(array), spacing_mm, affine, sha256, codes, header, claim.remarks + remark)


def _scaled(stored: NDArray[Any], claim: VolumeClaim) -> NDArray[Any]:
    if (claim.slope, claim.intercept) == (1.0, 0.0):
        return stored
    # Integers of 32 bits do not fit the 24 bits of float32: label maps and counts would change in their last digits.
    exact_in_float32 = stored.dtype.itemsize <= 2 or stored.dtype == np.float32
    with np.errstate(over="ignore", invalid="ignore"):  # an absurd slope gives infinity, which is judged afterwards
        real = stored.astype(np.float64)
        real *= claim.slope
        real += claim.intercept
        return real.astype(np.float32) if exact_in_float32 else real


def check_affine(affine: NDArray[np.float64], path: str | PathLike[str]) -> None:
    """Refuse a grid that is not finite, flat, or has a spacing no scanner makes."""
    if not np.isfinite(affine).all():
        raise RefusedFile(path, "its orientation holds values that are not numbers", BROKEN)
    if np.abs(affine).max() > FARTHEST_MM:
        raise RefusedFile(path, f"its orientation holds the length {np.abs(affine).max():g} mm", BROKEN)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_RANGE_MM
    if spacing.min() < low or spacing.max() > high:
        shown = " × ".join(f"{value:g}" for value in spacing)
        raise RefusedFile(path, f"its voxels measure {shown} mm", "correct the header's spacing")
    # Two axes in one direction still have finite lengths, so only the determinant shows that the grid has no volume.
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise RefusedFile(path, "its orientation matrix is singular", BROKEN)
