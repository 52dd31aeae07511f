"""Rows of large arrays as images: an .npz file is opened once a process, and cases point into it."""

import zipfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.cohorts.formats.array_stream import LargeArrayFile, RowArray, inflated_bytes
from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.cohorts.formats.checksums import check_size
from equipoise.cohorts.formats.limits import DEFAULT, MIB
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.errors import ProtocolError

_OPEN_FILES = 4
_ANY_SIZE = replace(DEFAULT, file_bytes=1 << 62)

AXES = {"nyx": 2, "nyxc": 2, "ncyx": 2, "nzyx": 3, "nzyxc": 3, "nczyx": 3}
"""Meaning of an array's axes (n: case, c: channel), and the number of spatial ones."""


LARGE_BYTES = 256 * MIB
"""Arrays from this size on stay on the disk and are read row by row; smaller files are kept in memory."""


def open_arrays(path: Path) -> ArrayFile | LargeArrayFile:
    """Return the arrays of a file, kept open in this process for as long as the file stays as it is."""
    return _opened(path, *_state(path))


def image_rows(path: Path, key: str) -> NDArray[Any] | RowArray:
    """Return an array whose rows are images: whole and kept in this process, or on the disk where it is large.

    Both have shape, ndim, dtype and a length, and give one row by its index.
    """
    opened = open_arrays(path)
    if isinstance(opened, LargeArrayFile) and opened.bytes_of(key) >= LARGE_BYTES:
        return _row_array(path, key, *_state(path))
    return rows(path, key)


def rows(path: Path, key: str) -> NDArray[Any]:
    """Return one whole array, kept in this process and read-only, for its cases share it."""
    return _array(path, key, *_state(path))


def _state(path: Path) -> tuple[int, int]:
    # A large file is not read whole, so its size on the disk is no danger to memory.
    check_size(path, _ANY_SIZE)
    # Time and size are part of the caches' keys: a file that is replaced while the process runs must not be answered
    # from the one before.
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=_OPEN_FILES)
def _opened(path: Path, modified: int, size: int) -> ArrayFile | LargeArrayFile:  # noqa: ARG001 - of the cache's key
    is_large = zipfile.is_zipfile(path) and inflated_bytes(path) >= LARGE_BYTES
    return LargeArrayFile(path) if is_large else ArrayFile(path)


@lru_cache(maxsize=4 * _OPEN_FILES)
def _row_array(path: Path, key: str, modified: int, size: int) -> RowArray:
    opened = _opened(path, modified, size)
    if not isinstance(opened, LargeArrayFile):
        raise TypeError(f"{path} is not a large file")
    return opened.rows(key)


@lru_cache(maxsize=4 * _OPEN_FILES)
def _array(path: Path, key: str, modified: int, size: int) -> NDArray[Any]:
    array = _opened(path, modified, size)[key]
    # The cache hands out one array to all cases, so a case that wrote into its row would change it for later readers.
    array.flags.writeable = False
    return array


def axes_of(array: NDArray[Any] | RowArray, axes: str | None, key: str) -> str:
    """Return the stated axes of images, or what their shape leaves no doubt about: (n, y, x) and (n, y, x, 3)."""
    # Four axes whose last is not 3 may be volumes or pictures of many channels. A wrong guess would raise no error
    # later, since a network takes slices as channels without complaint, so the user is asked.
    if axes is None:
        axes = {3: "nyx", 4: "nyxc" if array.shape[-1] == 3 else None}.get(array.ndim)
    if axes not in AXES or len(axes) != array.ndim:
        raise ProtocolError(
            f"the axes of array {key!r}, of shape {array.shape}, are not known; set axes to one of {', '.join(AXES)}"
        )
    return axes


def channel_first(row: NDArray[Any], axes: str) -> NDArray[Any]:
    """Return one row of such an array as (channel, y, x) or (channel, z, y, x), a copy."""
    inner = axes[1:]
    if "c" not in inner:
        return row[None].copy()
    return np.ascontiguousarray(np.moveaxis(row, inner.index("c"), 0))


def read_row(
    path: Path,
    sha256: str,
    key: str,
    index: int,
    axes: str,
    spacing_mm: tuple[float, ...],
    mask_key: str | None = None,
    codes: tuple[tuple[int, int], ...] = (),
    minus: float = 0.0,
) -> Image:
    """One case: its row of the images, less `minus` (stored value of zero), and its row of the masks as class indices.

    codes: (stored mask value, class index) pairs. Refuses a file that changed, and a mask value without a class.
    """
    if open_arrays(path).sha256 != sha256:
        raise RefusedFile(path, "it changed since the cohort was made", "run again")
    array = channel_first(image_rows(path, key)[index], axes)
    # Stored integers are often unsigned and would wrap below zero, hence the subtraction in float32.
    if minus:
        array = array.astype(np.float32) - np.float32(minus)
    mask = None
    if mask_key is not None:
        stored = rows(path, mask_key)[index]
        mask = np.zeros(stored.shape, np.uint8)
        known = dict(codes)
        for value in np.unique(stored).tolist():
            if value not in known:
                shown = ", ".join(map(str, known))
                reason = f"row {index} of {mask_key!r} holds the label {value}, the cohort knows {shown}"
                raise RefusedFile(path, reason, "correct the labels")
            mask[stored == value] = known[value]
    return Image(array, spacing_mm, mask)
