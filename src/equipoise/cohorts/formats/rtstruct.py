"""DICOM structure sets as masks: closed contours are filled on the image's slices, what is uncertain is refused.

A voxel belongs to a structure where its centre lies inside an odd number of its contours on that slice, so a contour
inside another one is a hole. Nothing is interpolated between slices.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom import require_dicom
from equipoise.cohorts.formats.dicom_seg import GRID_TOLERANCE, Segmentation
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import Sandbox, shared_sandbox
from equipoise.cohorts.formats.scan import Scan

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_AGAIN = "draw or export it again"


def is_structures(path: str | PathLike[str]) -> bool:
    """Return whether a DICOM file is a structure set, by its header."""
    header, _ = shared_sandbox().ask("dicom_header", path)
    return bool(header["sop_class"] == "RT Structure Set Storage")


def read_structures(
    path: str | PathLike[str],
    reference: Scan,
    *,
    meant: Callable[[int, str], bool] | None = None,
    gaps: Literal["refuse", "keep"] = "refuse",
    limits: Limits = DEFAULT,
    sandbox: Sandbox | None = None,
) -> Segmentation:
    """Return the structures of an RTSTRUCT file as masks on the grid of `reference`.

    meant: tells by number and name which structures are wanted; all by default. gaps: whether slices left out inside a
    structure are refused, or kept empty with a remark. Structures of single points (marks) hold no voxels and are left
    out with a remark. Raises RefusedFile for contours that are open, tilted against the slices, between them or outside
    the image, that cross another one or are drawn twice, for slices left out inside a structure, and for another frame
    of reference.
    """
    require_dicom()
    if reference.affine is None or reference.array.ndim != 4:
        raise RefusedFile(path, "its image states no position in space", "read the image as a DICOM series or NIfTI")
    facts, arrays = (sandbox or shared_sandbox(limits)).ask("dicom_contours", path)
    contours = iter(arrays)
    drawn: list[tuple[dict[str, Any], list[NDArray[np.float64]]]] = []
    left_out, empty = [], []
    for structure in facts["structures"]:
        own = [next(contours) for _ in structure["kinds"]]
        unwanted = meant is not None and not meant(structure["number"], structure["label"])
        if unwanted or set(structure["kinds"]) <= {"POINT"}:
            left_out.append(structure["label"] or str(structure["number"]))
            empty += [] if unwanted else [left_out[-1]]
        else:
            drawn.append((structure, own))
    shape = reference.array.shape[1:]
    if len(drawn) * int(np.prod(shape)) > limits.array_bytes:
        reason = f"its {len(drawn)} structures on the image's grid are beyond the limit of {limits.array_bytes} bytes"
        raise RefusedFile(path, reason, "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is known to be good")
    if not drawn:
        reason = f"it holds none of the structures that are meant, only {', '.join(map(repr, left_out)) or 'none'}"
        raise RefusedFile(path, reason, "correct cohort.values")
    masks = np.zeros((len(drawn), *shape), bool)
    remarks: tuple[str, ...] = (f"structures left out: {', '.join(map(repr, left_out))}",) if left_out else ()
    for mask, (structure, own) in zip(masks, drawn, strict=True):
        slices = _draw(mask, structure, own, reference, fspath(path))
        for reason in _gaps(mask, slices, str(structure["label"] or structure["number"])):
            if gaps == "refuse":
                raise RefusedFile(path, reason, "interpolate it where it was drawn")
            remarks += (reason,)
    known = tuple(structure["number"] for structure, _ in drawn)
    labels = tuple(structure["label"] for structure, _ in drawn)
    meanings = tuple((structure["code"], structure["meaning"]) for structure, _ in drawn)
    hashes = {fspath(path): facts["sha256"]}
    return Segmentation(masks, known, labels, hashes, remarks, tuple(left_out), meanings, tuple(empty))


def _draw(
    mask: NDArray[np.bool_],
    structure: Mapping[str, Any],
    contours: Sequence[NDArray[np.float64]],
    reference: Scan,
    path: str,
) -> list[tuple[int, int]]:
    """Fill one structure's contours into its mask (z, y, x); return (array axis, index) of its slices, in order."""
    name = structure["label"] or structure["number"]
    own, other = structure["frame_of_reference"], reference.header.get("frame_of_reference", "")
    if own and other and own != other:
        raise RefusedFile(
            path, f"{name!r} belongs to another frame of reference than the image", "give the drawn image"
        )
    if kinds := set(structure["kinds"]) - set(_CLOSED):
        raise RefusedFile(path, f"{name!r} has contours that are {min(kinds) or 'of no kind'}", _AGAIN)
    planes: defaultdict[tuple[int, int], list[NDArray[np.float64]]] = defaultdict(list)
    for points in contours:
        axis, index, flat = _on_a_slice(points, reference, f"a contour of {name!r}", path)
        planes[axis, index].append(flat)
    if len({axis for axis, _ in planes}) > 1:
        raise RefusedFile(path, f"{name!r} is drawn on slices of several directions", _AGAIN)
    for (axis, index), outlines in planes.items():
        shape = np.delete(np.array(mask.shape), axis)
        np.moveaxis(mask, axis, 0)[index] = _together(outlines, shape, f"{name!r} on slice {index + 1}", path)
    return sorted(planes)


def _on_a_slice(
    points: NDArray[np.float64], reference: Scan, what: str, path: str
) -> tuple[int, int, NDArray[np.float64]]:
    """Return the array axis and index of the slice of a contour, and its points on it in array order, in voxels."""
    affine = np.eye(4) if reference.affine is None else reference.affine
    world = np.column_stack([points * (-1, -1, 1), np.ones(len(points))])  # LPS → RAS
    voxels = (np.linalg.inv(affine) @ world.T)[2::-1].T  # z, y, x
    if len(points) < 3:
        raise RefusedFile(path, f"{what} has {len(points)} points", _AGAIN)
    spread = np.ptp(voxels, axis=0)
    axis = int(np.argmin(spread))
    place = float(voxels[:, axis].mean())
    if spread[axis] > GRID_TOLERANCE:
        raise RefusedFile(path, f"{what} does not lie in a slice of the image", "draw it on the slices of the image")
    if abs(place - round(place)) > GRID_TOLERANCE:
        raise RefusedFile(path, f"{what} lies between two slices", "give the image that it was drawn on")
    size = np.array(reference.array.shape[1:])
    beyond = (voxels < -0.5 - GRID_TOLERANCE).any() or (voxels > size - 0.5 + GRID_TOLERANCE).any()
    if beyond or not 0 <= round(place) < size[axis]:
        raise RefusedFile(path, f"{what} lies outside the image", "give the image that it was drawn on")
    return axis, round(place), np.delete(voxels, axis, axis=1)


def _filled(points: NDArray[np.float64], shape: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Return the voxels (row, column) whose centres lie inside a closed polygon."""
    filled = np.zeros(shape, bool)
    for row, inside in _rows_inside(points, shape):
        filled[row] = inside
    return filled


def _rows_inside(points: NDArray[np.float64], shape: NDArray[np.int_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the rows that a closed polygon reaches, with the columns whose centres it holds by the even-odd rule.

    An edge counts for the rows of [lower end, upper end), so that a vertex on a row is crossed once; a centre on the
    line itself is inside to the left of the polygon and outside to its right.
    """
    following = np.roll(points, -1, axis=0)
    low, high = np.minimum(points[:, 0], following[:, 0]), np.maximum(points[:, 0], following[:, 0])
    columns = np.arange(shape[1])
    for row in range(max(0, int(np.ceil(low.min()))), min(int(shape[0]) - 1, int(np.floor(high.max()))) + 1):
        crossed = (low <= row) & (row < high)
        start, end = points[crossed], following[crossed]
        places = start[:, 1] + (row - start[:, 0]) / (end[:, 0] - start[:, 0]) * (end[:, 1] - start[:, 1])
        yield row, np.searchsorted(np.sort(places), columns, side="right") % 2 == 1


def _together(
    outlines: Sequence[NDArray[np.float64]], shape: NDArray[np.int_], what: str, path: str
) -> NDArray[np.bool_]:
    """Return the voxels of one slice (row, column) that lie in an odd number of contours."""
    times = np.zeros(shape, np.uint32)
    for points in outlines:
        for row, inside in _rows_inside(points, shape):
            times[row] += inside
    # Only where contours share voxels can they cross; comparing all pairs of a thousand specks took minutes.
    if times.max(initial=0) > 1:
        _check_nested([_filled(points, shape) for points in outlines], what, path)
    odd: NDArray[np.bool_] = times % 2 == 1
    return odd


def _check_nested(filled: Sequence[NDArray[np.bool_]], what: str, path: str) -> None:
    """Refuse contours that cross or repeat one another: whether their overlap is inside cannot be told."""
    for first, second in _pairs(filled):
        shared = int((first & second).sum())
        if shared and shared == first.sum() == second.sum():
            raise RefusedFile(path, f"{what} has a contour twice", _AGAIN)
        if shared and shared not in (first.sum(), second.sum()):
            raise RefusedFile(path, f"{what} has contours that cross", _AGAIN)


def _pairs(filled: Sequence[NDArray[np.bool_]]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    return ((first, second) for index, first in enumerate(filled) for second in filled[:index])


def _gaps(mask: NDArray[np.bool_], drawn: Sequence[tuple[int, int]], name: str) -> Iterator[str]:
    """Name slices without a contour between two that share voxels: they were left out, and are no gap of the body."""
    for (axis, before), (_, after) in pairwise(drawn):
        planes = np.moveaxis(mask, axis, 0)
        if after > before + 1 and (planes[before] & planes[after]).any():
            yield f"{name!r} is drawn on slices {before + 1} and {after + 1} and on none between them"
