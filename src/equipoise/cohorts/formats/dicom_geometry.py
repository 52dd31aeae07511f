"""Slices in space: their order, their grid, and every reason not to call them a volume.

Patient coordinates of DICOM are LPS+ mm (PS3.3 C.7.6.2.1.1); the affine returned is RAS+ as everywhere here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile

# Cosines are stored as decimal text, so slices of one stack may differ in their last digits; planes that truly differ
# do so by degrees.
ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines between slices of one volume."""
SPACING_TOLERANCE = 0.05
"""Gaps may differ from their median by this share, or by the rounding of positions written to 0.1 mm."""
# Where positions are rounded to 0.1 mm, two neighbours can be off by a tenth together, and that is more than 5 % of a
# thin slice.
POSITION_ROUNDING_MM = 0.11
TILT_DEGREES = 0.5
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SEPARATE = "keep one acquisition and put the others elsewhere"


@dataclass(frozen=True)
class Slice:
    """One frame of one file: where its first pixel lies, where rows and columns run, and how values become real.

    position: (x, y, z) in LPS mm; orientation: direction of growing column index, then of growing row index;
    pixel_spacing: (between rows, between columns) in mm; details: what else may tell it from its neighbours.
    """

    file: str
    frame: int
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, float] | None
    slope: float = 1.0
    intercept: float = 0.0
    thickness: float | None = None
    details: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """The file, with the frame where it has several."""
        return f"{self.file} frame {self.frame + 1}" if self.frame else self.file


@dataclass(frozen=True)
class Stack:
    """Slices in growing position along their normal, and the affine of (column, row, slice) → RAS+ mm."""

    slices: tuple[Slice, ...]
    affine: NDArray[np.float64]
    remarks: tuple[str, ...]


def stack(slices: Sequence[Slice], thickness_mm: float | None = None) -> Stack:
    """Order slices by their place along the normal, whatever their names say, and check that they form a grid.

    thickness_mm: distance between slices that a lone slice takes. Raises RefusedFile for slices of several orientations
    or spacings, at one place, with gaps between them, or sheared by a tilted gantry; the slices are named.
    """
    rows, columns = _directions(slices)
    normal = np.cross(rows, columns)
    positions = np.array([piece.position for piece in slices], dtype=np.float64)
    # File names and instance numbers are ignored: exports rename and renumber, and an order taken from them can be
    # reversed or interleaved. Only the position says where a slice lies.
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = [slices[index] for index in order]
    positions, along = positions[order], along[order]
    remarks: tuple[str, ...] = ()
    if len(ordered) > 1:
        _check_places(ordered, np.diff(along))
        remarks = _check_gaps(ordered, np.diff(along))
        # The mean over the whole stack is used, because one gap carries the rounding of two positions and the error
        # would grow with every slice.
        step = (positions[-1] - positions[0]) / (len(ordered) - 1)
        _check_straight(ordered, positions, step, normal)
        # A drift below half a pixel over the stack is dropped, so that the grid is exactly rectangular.
        step = normal * float(step @ normal)
    else:
        if thickness_mm is None:
            remarks = ("one slice of unknown thickness: 1 mm was taken",)
        step = normal * (thickness_mm or 1.0)
    between_rows, between_columns = slices[0].pixel_spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([rows * between_columns, columns * between_rows, step])
    affine[:3, 3] = positions[0]
    return Stack(tuple(ordered), _LPS_TO_RAS @ affine, remarks)


def _directions(slices: Sequence[Slice]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shared row and column direction, made exactly orthonormal."""
    first = slices[0]
    for piece in slices:
        if piece.position is None or piece.orientation is None or piece.pixel_spacing is None:
            raise RefusedFile(
                piece.name, "it has no position, orientation or pixel spacing", "leave it out of the series"
            )
        if not np.allclose(piece.orientation, first.orientation or (), rtol=0, atol=ORIENTATION_TOLERANCE):
            reason = f"its orientation differs from that of {first.name!r}, so they are not one volume"
            raise RefusedFile(piece.name, reason, _SEPARATE)
        if not np.allclose(piece.pixel_spacing, first.pixel_spacing or (), rtol=1e-3, atol=0):
            reason = f"its pixel spacing {piece.pixel_spacing} differs from {first.pixel_spacing} of {first.name!r}"
            raise RefusedFile(piece.name, reason, _SEPARATE)
    if min(first.pixel_spacing or (0,)) <= 0:
        raise RefusedFile(first.name, f"its pixel spacing is {first.pixel_spacing} mm", "correct its PixelSpacing")
    rows, columns = np.array(first.orientation)[:3], np.array(first.orientation)[3:]
    lengths = np.linalg.norm(rows), np.linalg.norm(columns)
    # The bound lets cosines of two or three digits pass; the directions are made exactly orthonormal below, so no
    # shear is left behind.
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(rows @ columns)) > 1e-2:
        raise RefusedFile(first.name, "its ImageOrientationPatient is not a rotation", "correct its orientation")
    rows = rows / lengths[0]
    columns = columns - rows * (rows @ columns)
    return rows, columns / np.linalg.norm(columns)


def _check_places(ordered: Sequence[Slice], gaps: NDArray[np.float64]) -> None:
    # The bound shrinks with the pixels, for slices of a microscope may honestly lie less than 0.01 mm apart.
    same = min(0.01, 0.05 * min(ordered[0].pixel_spacing or (1.0,)))
    for index in map(int, np.flatnonzero(gaps < same)):
        first, second = ordered[index], ordered[index + 1]
        # Echoes, phases of the heart and b-values are stored under one series and lie at the same places. The
        # sentence names the attribute, since that is what a user needs to separate them.
        apart = [name for (name, one), (_, two) in zip(first.details, second.details, strict=True) if one != two]
        why = f"they differ in {', '.join(apart)}" if apart else "nothing tells them apart"
        raise RefusedFile(
            second.name,
            f"it lies at the same place as {first.name!r} ({why}; {int((gaps < same).sum())} such pairs)",
            _SEPARATE if apart else "keep one of the two",
        )


def _check_gaps(ordered: Sequence[Slice], gaps: NDArray[np.float64]) -> tuple[str, ...]:
    median = float(np.median(gaps))
    # The room for rounding is held below a quarter of the gap: otherwise thin slices could lose one of four and still
    # pass as evenly spaced.
    allowed = max(SPACING_TOLERANCE * median, min(POSITION_ROUNDING_MM, 0.25 * median))
    wrong = np.flatnonzero(np.abs(gaps - median) > allowed)
    if len(wrong):
        # The widest gap is named and not the first one, because behind the widest a slice is most likely missing.
        index = int(wrong[np.argmax(gaps[wrong])])
        missing = round(gaps[index] / median) - 1
        what = f"{missing} slices are missing" if missing >= 1 else "the slices are not evenly spaced"
        raise RefusedFile(
            ordered[index + 1].name,
            f"it lies {gaps[index]:.4g} mm from {ordered[index].name!r} where {median:.4g} mm is usual: {what}",
            "fetch the missing slices, or exclude the case",
        )
    if np.abs(gaps - median).max() > 1e-3 * median:
        return (f"slice positions are rounded: gaps of {gaps.min():.4g} to {gaps.max():.4g} mm, their mean was taken",)
    return ()


def _check_straight(
    ordered: Sequence[Slice], positions: NDArray[np.float64], step: NDArray[np.float64], normal: NDArray[np.float64]
) -> None:
    """Refuse a sheared stack: a tilted gantry moves every slice sideways, which no rectangular grid can hold."""
    # A shift of less than half a pixel cannot move a voxel to its neighbour; more than that would draw a mask beside
    # its organ, so nothing is sheared back in silence.
    half_pixel = 0.5 * min(ordered[0].pixel_spacing or (1.0,))
    on_line = positions[0] + np.outer(np.arange(len(ordered)), step)
    sideways = positions - on_line
    sideways -= np.outer(sideways @ normal, normal)
    worst = int(np.argmax(np.linalg.norm(sideways, axis=1)))
    if np.linalg.norm(sideways[worst]) > half_pixel:
        raise RefusedFile(ordered[worst].name, "it is shifted sideways against its neighbours", "exclude the case")
    drift = step - normal * (step @ normal)
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(drift), abs(step @ normal))))
    # Both conditions are needed: a small angle over many slices is visible, and a large one over two thin slices may
    # be no more than the rounding of their positions.
    if tilt > TILT_DEGREES and np.linalg.norm(drift) * (len(ordered) - 1) > half_pixel:
        raise RefusedFile(
            ordered[0].name,
            f"its series was scanned with the gantry tilted by {tilt:.1f}°",
            "resample it to a rectangular grid first (dcm2niix does), or exclude the case",
        )
