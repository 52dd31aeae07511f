"""Read a mask as other tools save it: one label per voxel, or one channel per structure.

Channels are recognised by the shape: NIfTI has them on the fourth axis, tools that save tensors on the first. An
array file (.npy, .npz) of four axes has its channels first, or last where only the last axis is short.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan

MOST_CHANNELS = 8
SUFFIXES = (".nii.gz", ".nii", ".npz", ".npy", *sorted(PICTURES))
_LETTERS = "LRPAIS"
_THRESHOLD = "save masks, each channel 0 or 1, by the threshold that the method uses"


@dataclass(frozen=True)
class MaskFile:
    """A mask in memory, (z, y, x) or (y, x); `voxels` holds labels, or bit c where channel c is set.

    channels: their number; 0 for a label per voxel. scan: the grid, for comparison with another file.
    """

    path: Path
    voxels: NDArray[np.int32]
    channels: int
    scan: Scan
    notes: tuple[str, ...] = ()

    def labels(self) -> list[int]:
        """Return the labels that occur, without the background, or the number of each channel."""
        if self.channels:
            return list(range(self.channels))
        return [int(value) for value in np.unique(self.voxels) if value != 0]


def is_mask(path: Path) -> bool:
    """Whether a file has the name of a mask."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def read_mask(path: Path) -> MaskFile:
    """Read the mask of one NIfTI, array or picture file; RefusedFile where it is no mask."""
    name = path.name.lower()
    if name.endswith((".npz", ".npy")):
        return _from_array(path)
    if path.suffix.lower() in PICTURES:
        return _finished(path, read_picture(path, indices=True), ())
    scan = read_nifti(path)
    first = _stored(scan)
    if scan.array.shape[0] <= MOST_CHANNELS or not 1 < first.shape[-1] <= MOST_CHANNELS:
        return _finished(path, scan, ())
    moved = np.moveaxis(first, -1, 0)  # (channel, k, j, i) of the image that was saved with its channels first
    i, j, k = _stored_spacing(scan)
    note = "channels lie on the first axis, and the header's spacing was read as that of the image."
    return _finished(path, Scan(moved, (k, j, i), None, scan.sha256), (note,))


def _from_array(path: Path) -> MaskFile:
    file = ArrayFile(path)
    if len(file.names) != 1:
        listed = ", ".join(file.names)
        raise RefusedFile(path, f"it holds the arrays {listed}", "save the mask alone in a file of its own")
    array = file[file.names[0]]
    if array.ndim not in (2, 3, 4):
        raise RefusedFile(path, f"its array has the shape {array.shape}", "save (z, y, x) or (channel, z, y, x)")
    if array.ndim < 4:
        array = array[None]
    elif array.shape[0] > MOST_CHANNELS >= array.shape[-1]:
        array = np.moveaxis(array, -1, 0)
    note = "arrays state no spacing, so voxels count as 1 mm."
    scan = Scan(array, (1.0,) * (array.ndim - 1), None, {str(path): file.sha256})
    return _finished(path, scan, (note,))


def _finished(path: Path, scan: Scan, notes: tuple[str, ...]) -> MaskFile:
    array = scan.array
    if array.shape[0] > MOST_CHANNELS:
        reason = f"it has the shape {array.shape}: {array.shape[0]} channels"
        raise RefusedFile(path, reason, f"save a label per voxel, or at most {MOST_CHANNELS} channels")
    notes = (*notes, *(f"{remark}." for remark in scan.remarks))
    if array.shape[0] == 1:
        # Rounded and compared, because NIfTI masks come as floats: 1.0 is a label, and 0.7 is a probability.
        values = np.rint(array[0])
        if not np.array_equal(values, array[0]):
            raise RefusedFile(path, f"it holds {array[0][values != array[0]][0]:.4g}, no whole label", _THRESHOLD)
        return MaskFile(path, values.astype(np.int32), 0, scan, notes)
    # Bits in one array, because channels may overlap (BraTS: the whole tumour holds its core) and labels cannot.
    bits = np.zeros(array.shape[1:], dtype=np.int32)
    for index, channel in enumerate(array):
        top = channel.max()
        if top < 0 or not np.isin(channel, (0, top)).all():
            raise RefusedFile(path, f"its channel {index} holds more than 0 and one other value", _THRESHOLD)
        bits |= (channel > 0).astype(np.int32) << index
    return MaskFile(path, bits, array.shape[0], scan, notes)


def _stored(scan: Scan) -> NDArray[np.generic]:
    """Return the voxels in the file's order (fourth axis, third, second, first), the reader's reorientation undone."""
    if not scan.stored_axes:
        return scan.array
    worlds, forward = zip(*(divmod(_LETTERS.index(letter), 2) for letter in scan.stored_axes), strict=True)
    array: NDArray[np.generic] = scan.array.transpose(0, *(3 - worlds[axis] for axis in (2, 1, 0)))
    return np.flip(array, tuple(3 - axis for axis in range(3) if not forward[axis]))


def _stored_spacing(scan: Scan) -> tuple[float, float, float]:
    """Return the spacing of the file's first, second and third axis."""
    worlds = [_LETTERS.index(letter) // 2 for letter in scan.stored_axes or "RAS"]
    first, second, third = (scan.spacing_mm[2 - world] for world in worlds)
    return first, second, third
