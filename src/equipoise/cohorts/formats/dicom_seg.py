"""DICOM segmentations as masks on the grid of their image: frames are placed by geometry, never by their number.

Writers leave empty frames out, so the n-th frame of a segmentation is not the n-th slice of the scan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom import require_dicom, slices_of
from equipoise.cohorts.formats.dicom_geometry import Slice, stack
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import Sandbox, shared_sandbox
from equipoise.cohorts.formats.scan import Scan

Place = tuple[int, int]
"""An axis of the array, 0 to 2 for z, y, x, and the index along it."""
GRID_TOLERANCE = 0.25
"""How far, in voxels, a frame may lie beside the image's grid: as far as `dicom_geometry` lets the image's own slices
lie beside the grid that is laid through them. Scanners round positions, and a real series was .06 voxels off."""

HIGHEST_LABEL = 65535
"""The highest number that a label map holds; 0 is what lies in no structure."""
Meaning = tuple[str, str]
"""The code of a structure with those of its modifiers, and what they say in words; empty where it has no code."""


@dataclass(frozen=True)
class Segmentation:
    """The segments of one DICOM SEG object on the grid of its image.

    masks: (segment, z, y, x), bool; float32 in [0, 1] where the object holds probabilities.
    numbers, labels: of each segment, in the order of `masks`. left_out: labels of those that were not wanted.
    meanings: the code of each segment; () where the object has none. empty: labels of those that nothing is drawn of.
    """

    masks: NDArray[Any]
    numbers: tuple[int, ...]
    labels: tuple[str, ...]
    sha256: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    meanings: tuple[Meaning, ...] = ()
    empty: tuple[str, ...] = ()

    def only(self, meant: Callable[[int, str], bool]) -> "Segmentation":
        """Return the segments that are meant, by number and label; the others are a remark."""
        kept = [index for index, one in enumerate(zip(self.numbers, self.labels, strict=True)) if meant(*one)]
        left_out: tuple[str, ...] = tuple(self.labels[index] for index in range(len(self.labels)) if index not in kept)
        numbers, labels = tuple(self.numbers[i] for i in kept), tuple(self.labels[i] for i in kept)
        remarks = self.remarks + ((f"segments left out: {', '.join(map(repr, left_out))}",) if left_out else ())
        meanings = tuple(self.meanings[i] for i in kept) if self.meanings else ()
        one = replace(self, masks=self.masks[kept], numbers=numbers, labels=labels, remarks=remarks)
        return replace(one, left_out=left_out, meanings=meanings)

    def label_map(self, threshold: float = 0.5, *, own: bool = False) -> NDArray[np.uint16]:
        """One number per voxel, 0 for none; segments that overlap are refused: a voxel has one value here.

        own: the numbers are 1, 2 … in the order of the segments, whatever the file's are; otherwise a number of the
        file that is 0, which is what lies outside, or beyond 65535 is refused.
        """
        known = tuple(range(1, len(self.numbers) + 1)) if own else self.numbers
        for number, label in zip(known, self.labels, strict=True):
            if not 0 < number <= HIGHEST_LABEL:
                reason = f"its structure {label!r} has the number {number}, and a mask holds 1 to {HIGHEST_LABEL}"
                raise RefusedFile(
                    next(iter(self.sha256)), reason, "state the structures' names in cohort.values instead of numbers"
                )
        inside = self.masks if self.masks.dtype == bool else self.masks >= threshold
        # Which of two overlapping segments should win is a medical question (a tumour inside an organ), so no order
        # is assumed.
        twice = inside.sum(axis=0) > 1
        if twice.any():
            shared = [repr(label) for label, one in zip(self.labels, inside, strict=True) if (one & twice).any()]
            remedy = "list in cohort.values only structures that share no voxel; the others are left out"
            raise RefusedFile(next(iter(self.sha256)), f"its segments {' and '.join(shared)} overlap", remedy)
        numbers = np.array(known, dtype=np.uint16)
        return np.tensordot(numbers, inside.astype(np.uint16), axes=1).astype(np.uint16)


def read_segmentation(
    path: str | PathLike[str], reference: Scan, *, limits: Limits = DEFAULT, sandbox: Sandbox | None = None
) -> Segmentation:
    """Return the masks of a DICOM SEG file on the grid of `reference`, all False where the object has no frame.

    Raises RefusedFile where a frame does not lie on the grid (other spacing, orientation, offset or extent), belongs to
    another frame of reference, or is placed twice; CohortError where pydicom is missing.
    """
    require_dicom()
    sandbox = sandbox or shared_sandbox(limits)
    header, _ = sandbox.ask("dicom_header", path)
    if header["kind"] != "masks":
        raise RefusedFile(path, f"it is {header['sop_class']}, not a segmentation", "give a DICOM SEG file")
    remarks = _check_space(path, header, reference)
    slices = slices_of(fspath(path), header)
    numbers, labels, meanings = _named(path, header)
    fractional = header["segmentation_type"] == "FRACTIONAL"
    shape = (len(numbers), *reference.array.shape[1:])
    dtype = np.dtype(np.float32 if fractional else bool)
    # The masks are full grids although a file packs one bit per pixel and leaves empty frames out: a small file of a
    # hundred segments can ask for gigabytes.
    if int(np.prod(shape)) * dtype.itemsize > limits.array_bytes:
        reason = f"its {len(numbers)} segments on the image's grid are beyond the limit of {limits.array_bytes} bytes"
        raise RefusedFile(path, reason, "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is known to be good")
    answer, (pixels,) = sandbox.ask("dicom_pixels", path)
    if answer["facts"] != header:
        raise RefusedFile(path, "it changed while it was read", "wait until it is written and try again")
    masks = np.zeros(shape, dtype)
    # A second frame at one place would overwrite the first without a trace, and which of the two was meant cannot be
    # told.
    placed: set[tuple[int, Place]] = set()
    for piece, detail in zip(slices, header["slices"], strict=True):
        place, window, values = _place(piece, pixels[piece.frame], reference)
        for number, inside in _segments_of(values, detail.get("segment", 0), header):
            if (number, place) in placed:
                reason = f"segment {number} has two frames on plane {place[1]} along {'zyx'[place[0]]}"
                raise RefusedFile(path, reason, "export it again")
            if number not in numbers:
                raise RefusedFile(
                    path, f"its frame {piece.frame + 1} names the unknown segment {number}", "export it again"
                )
            placed.add((number, place))
            masks[(numbers.index(number), *window)] = inside
    remarks += tuple(answer["remarks"])
    return Segmentation(masks, numbers, labels, {fspath(path): header["sha256"]}, remarks, meanings=meanings)


def _check_space(path: str | PathLike[str], header: Mapping[str, Any], reference: Scan) -> tuple[str, ...]:
    if reference.affine is None:
        raise RefusedFile(path, "its image states no position in space", "read the image as a DICOM series or NIfTI")
    # The identifier may be missing on either side, hence the remark. Where both sides state it and differ, equal
    # numbers of the geometry are a coincidence.
    own, other = header["frame_of_reference"], reference.header.get("frame_of_reference", "")
    if own and other and own != other:
        raise RefusedFile(path, "it belongs to another frame of reference than the image", "give the segmented image")
    return () if own and other else ("the frame of reference is not stated on both sides; geometry alone was compared",)


def _named(
    path: str | PathLike[str], header: Mapping[str, Any]
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[Meaning, ...]]:
    # a LABELMAP may list its background, number 0, which is no segment
    segments = [one for one in header["segments"] if one["number"] or header["segmentation_type"] != "LABELMAP"]
    numbers = tuple(segment["number"] for segment in segments)
    if not numbers or len(set(numbers)) != len(numbers):
        raise RefusedFile(path, "its segments have no numbers of their own", "export it again")
    meanings = tuple((segment["code"], segment["meaning"]) for segment in segments)
    return numbers, tuple(segment["label"] for segment in segments), meanings


def _segments_of(plane: NDArray[Any], segment: int, header: Mapping[str, Any]) -> list[tuple[int, NDArray[Any]]]:
    """Return the segments that one frame speaks of, with their values on that slice."""
    kind = header["segmentation_type"]
    if kind == "LABELMAP":
        return [(int(number), plane == number) for number in np.unique(plane) if number]
    if kind == "FRACTIONAL":
        # Probabilities are stored as whole numbers up to a maximum that the file states, which need not be 255.
        return [(segment, plane.astype(np.float32) / np.float32(header["maximum_fraction"] or 255))]
    return [(segment, plane != 0)]


def _place(piece: Slice, frame: NDArray[Any], reference: Scan) -> tuple[Place, tuple[slice | int, ...], NDArray[Any]]:
    """Which plane of the reference a frame lies on, the window of the array that it fills, its values in that order.

    A frame may be a plane of any axis (sagittal and coronal scans are planes of x and y), its rows and columns may run
    either way or be exchanged; nothing is resampled.
    """
    affine = np.eye(4) if reference.affine is None else reference.affine  # _check_space has refused None
    # The reference is already turned to RAS+, so even an axial frame arrives with rows and columns that run against
    # the array. Geometry decides for every frame; before this was so, 64 of 106 test files were refused.
    to_voxel = np.linalg.inv(affine) @ stack([piece], 1.0).affine
    rows, columns = frame.shape
    corners = to_voxel @ np.array([[0, columns - 1, 0], [0, 0, rows - 1], [0, 0, 0], [1, 1, 1]], dtype=np.float64)
    nearest = np.rint(corners[:3]).astype(int)
    along = np.argmax(np.abs(to_voxel[:3, :3]), axis=0)  # the voxel axis of a growing column, a growing row, the normal
    low, high = nearest.min(axis=1), nearest.max(axis=1)
    normal = int(along[2])
    inside = (low >= 0).all() and (high < reference.array.shape[:0:-1]).all()
    off = float(np.abs(corners[:3] - nearest).max())
    # Both corners must hit voxel centres: a frame with another spacing may agree with the grid at its first pixel
    # alone.
    if off > GRID_TOLERANCE or len(set(along.tolist())) < 3 or low[normal] != high[normal] or not inside:
        raise RefusedFile(
            piece.name, "it does not lie on the grid of the image", "resample the segmentation to the image first"
        )
    across, down = int(along[0]), int(along[1])
    if (high - low)[across] != columns - 1 or (high - low)[down] != rows - 1:
        raise RefusedFile(
            piece.name, "its pixels are not those of the image", "resample the segmentation to the image first"
        )
    values = frame[:: _way(to_voxel[down, 1]), :: _way(to_voxel[across, 0])]
    if across > down:  # array axes run z, y, x, so the later voxel axis comes first
        values = values.T
    window = [slice(int(low[axis]), int(high[axis]) + 1) for axis in (2, 1, 0)]
    position = 2 - normal
    plane = int(low[normal])
    return (position, plane), (*window[:position], plane, *window[position + 1 :]), values


def _way(step: float) -> int:
    return 1 if step > 0 else -1
