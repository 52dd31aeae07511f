"""DICOM segmentations as masks on the grid of their image: frames are placed by geometry, never by their number.

Writers leave empty frames out, so the n-th frame of a segmentation is not the n-th slice of the scan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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

GRID_TOLERANCE = 0.05
"""How far, in voxels, a frame may lie beside the image's grid; rounding of positions needs some room."""


@dataclass(frozen=True)
class Segmentation:
    """The segments of one DICOM SEG object on the grid of its image.

    masks: (segment, z, y, x), bool; float32 in [0, 1] where the object holds probabilities.
    numbers, labels: of each segment, in the order of `masks`.
    """

    masks: NDArray[Any]
    numbers: tuple[int, ...]
    labels: tuple[str, ...]
    sha256: Mapping[str, str]
    remarks: tuple[str, ...] = ()

    def label_map(self, threshold: float = 0.5) -> NDArray[np.uint16]:
        """One segment number per voxel, 0 for none; segments that overlap are refused: a voxel has one value here."""
        inside = self.masks if self.masks.dtype == bool else self.masks >= threshold
        if (inside.sum(axis=0) > 1).any():
            raise RefusedFile(next(iter(self.sha256)), "its segments overlap", "use its masks one by one")
        numbers = np.array(self.numbers, dtype=np.uint16)
        return np.tensordot(numbers, inside.astype(np.uint16), axes=1).astype(np.uint16)


def read_segmentation(
    path: str | PathLike[str], reference: Scan, *, limits: Limits = DEFAULT, sandbox: Sandbox | None = None
) -> Segmentation:
    """The masks of a DICOM SEG file on the grid of `reference`, all False where the object has no frame.

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
    numbers, labels = _named(path, header)
    fractional = header["segmentation_type"] == "FRACTIONAL"
    shape = (len(numbers), *reference.array.shape[1:])
    dtype = np.dtype(np.float32 if fractional else bool)
    if int(np.prod(shape)) * dtype.itemsize > limits.array_bytes:
        reason = f"its {len(numbers)} segments on the image's grid are beyond the limit of {limits.array_bytes} bytes"
        raise RefusedFile(path, reason, "raise Limits.array_bytes if it is known to be good")
    answer, (pixels,) = sandbox.ask("dicom_pixels", path)
    if answer["facts"] != header:
        raise RefusedFile(path, "it changed while it was read", "wait until it is written and try again")
    masks = np.zeros(shape, dtype)
    placed: set[tuple[int, int]] = set()
    for piece, detail in zip(slices, header["slices"], strict=True):
        target, plane = _place(piece, pixels[piece.frame], reference)
        for number, values in _segments_of(plane, detail.get("segment", 0), header):
            if (number, target) in placed:
                raise RefusedFile(path, f"segment {number} has two frames on slice {target}", "export it again")
            if number not in numbers:
                raise RefusedFile(
                    path, f"its frame {piece.frame + 1} names the unknown segment {number}", "export it again"
                )
            placed.add((number, target))
            masks[numbers.index(number), target] = values
    return Segmentation(masks, numbers, labels, {fspath(path): header["sha256"]}, remarks)


def _check_space(path: str | PathLike[str], header: Mapping[str, Any], reference: Scan) -> tuple[str, ...]:
    if reference.affine is None:
        raise RefusedFile(path, "its image has no place in space", "read the image as a DICOM series or NIfTI")
    own, other = header["frame_of_reference"], reference.header.get("frame_of_reference", "")
    if own and other and own != other:
        raise RefusedFile(path, "it belongs to another frame of reference than the image", "give the segmented image")
    return () if own and other else ("the frame of reference is not stated on both sides; geometry alone was compared",)


def _named(path: str | PathLike[str], header: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    found = header["segments"]
    numbers = tuple(segment["number"] for segment in found)
    if not numbers or len(set(numbers)) != len(numbers):
        raise RefusedFile(path, "its segments have no numbers of their own", "export it again")
    return numbers, tuple(segment["label"] for segment in found)


def _segments_of(plane: NDArray[Any], segment: int, header: Mapping[str, Any]) -> list[tuple[int, NDArray[Any]]]:
    """The segments that one frame speaks of, with their values on that slice."""
    kind = header["segmentation_type"]
    if kind == "LABELMAP":
        return [(int(number), plane == number) for number in np.unique(plane) if number]
    if kind == "FRACTIONAL":
        return [(segment, plane.astype(np.float32) / np.float32(header["maximum_fraction"] or 255))]
    return [(segment, plane != 0)]


def _place(piece: Slice, frame: NDArray[Any], reference: Scan) -> tuple[int, NDArray[Any]]:
    """Which slice of the reference a frame lies on, and its pixels in that slice's order of rows and columns.

    The frame's rows and columns may run the other way or be swapped; nothing is resampled.
    """
    affine = np.eye(4) if reference.affine is None else reference.affine  # _check_space has refused None
    to_voxel = np.linalg.inv(affine) @ stack([piece], 1.0).affine
    rows, columns = frame.shape
    corners = to_voxel @ np.array([[0, columns - 1, 0], [0, 0, rows - 1], [0, 0, 0], [1, 1, 1]], dtype=np.float64)
    nearest = np.rint(corners[:3])
    span = np.abs(nearest - nearest[:, :1])[:, 1:]
    _, _, depth = nearest
    slices, height, width = reference.array.shape[1:]
    inside = (nearest >= 0).all() and (nearest.max(axis=1) < [width, height, slices]).all()
    if np.abs(corners[:3] - nearest).max() > GRID_TOLERANCE or len(set(depth)) > 1 or not inside:
        raise RefusedFile(
            piece.name, "it does not lie on the grid of the image", "resample the segmentation to the image first"
        )
    swapped = rows > 1 and columns > 1 and span[0, 0] == 0
    plane = frame.T if swapped else frame
    if plane.shape != (int(span[1].max()) + 1, int(span[0].max()) + 1):
        raise RefusedFile(
            piece.name, "its pixels are not those of the image", "resample the segmentation to the image first"
        )
    low = nearest.min(axis=1).astype(int)
    start = nearest[:, 0].astype(int)
    plane = plane[:: -1 if start[1] > low[1] else 1, :: -1 if start[0] > low[0] else 1]
    whole = np.zeros((height, width), plane.dtype)
    whole[low[1] : low[1] + plane.shape[0], low[0] : low[0] + plane.shape[1]] = plane
    return int(depth[0]), whole
