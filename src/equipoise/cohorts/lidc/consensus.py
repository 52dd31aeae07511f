"""Group the marks of single readers into nodules, and count the readers that agree on each voxel.

Positions are (x, y, z) in mm of the scan's own slices: x and y grow with column and row, z with the slice position.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from equipoise.cohorts.lidc.database import LidcDatabase
from equipoise.cohorts.lidc.polygons import FilledOutlines, fill_outlines

Floats = NDArray[np.float64]

JOIN_MM = 8.0
READERS_PER_SCAN = 4
SHARE_UNITS = 12  # a share of 1–4 readers is a whole number of twelfths, exact in one byte


@dataclass(frozen=True)
class Marks:
    """Every mark with its measures: centre_mm (marks, 3), volume_mm3, diameter_mm, and its first contour.

    diameter_mm is the longest distance between two points of one outline on one slice, less one pixel, because the
    outline lies outside the nodule on both sides.
    """

    database: LidcDatabase
    filled: FilledOutlines
    contour_start: NDArray[np.int64]
    centre_mm: Floats
    volume_mm3: Floats
    diameter_mm: Floats


def measure_marks(database: LidcDatabase) -> Marks:
    """Fill every contour and measure every mark; exclusion contours count as holes."""
    filled = fill_outlines(database.points, database.point_start)
    marks = len(database.mark_scan)
    contours = len(database.z_mm)
    # One pass over the pixels of all contours, because the database has tens of thousands of them.
    pixel = np.flatnonzero(filled.inside)
    contour = np.searchsorted(filled.start, pixel, side="right") - 1
    within = pixel - filled.start[contour]
    sign = np.where(database.inclusion, 1, -1)
    area = np.bincount(contour, minlength=contours) * sign
    x = np.bincount(contour, within % filled.size[contour, 0], minlength=contours) * sign + area * filled.low[:, 0]
    y = np.bincount(contour, within // filled.size[contour, 0], minlength=contours) * sign + area * filled.low[:, 1]
    moments = [np.bincount(database.contour_mark, m, minlength=marks) for m in (area, x, y, area * database.z_mm)]
    voxels = np.maximum(moments[0], 1)
    pixel_mm, slice_mm = database.pixel_mm[database.mark_scan], database.slice_mm[database.mark_scan]
    return Marks(
        database=database,
        filled=filled,
        contour_start=np.searchsorted(database.contour_mark, np.arange(marks + 1)),
        centre_mm=np.stack([moments[1] * pixel_mm, moments[2] * pixel_mm, moments[3]], axis=1) / voxels[:, None],
        volume_mm3=moments[0] * pixel_mm**2 * slice_mm,
        diameter_mm=_diameters(database),
    )


def _diameters(database: LidcDatabase) -> Floats:
    """Measure the longest in-plane diameter in mm per mark (see Marks)."""
    longest = np.zeros(len(database.mark_scan))
    pixel_mm = database.pixel_mm[database.mark_scan]
    for contour in np.flatnonzero(database.inclusion):
        points = database.points[database.point_start[contour] : database.point_start[contour + 1]]
        mark = database.contour_mark[contour]
        span = points.max(axis=0) - points.min(axis=0)
        if np.hypot(*span) <= longest[mark]:  # no two points of this box can be farther apart
            continue
        longest[mark] = max(longest[mark], _farthest(points))
    return np.maximum(longest - 1, 1) * pixel_mm


def _farthest(points: NDArray[np.int64]) -> float:
    """Measure the largest distance between two points; only the outermost points of each column can have it."""
    low, high = points[:, 0].min(), points[:, 0].max()
    top, bottom = np.full(high - low + 1, np.inf), np.full(high - low + 1, -np.inf)
    np.minimum.at(top, points[:, 0] - low, points[:, 1])
    np.maximum.at(bottom, points[:, 0] - low, points[:, 1])
    x = np.flatnonzero(np.isfinite(top))
    gap = np.maximum(bottom[x][:, None] - top[x][None], bottom[x][None] - top[x][:, None])
    return float(np.sqrt(((x[:, None] - x[None]) ** 2 + gap**2).max()))


def group_marks(marks: Marks) -> tuple[tuple[int, ...], ...]:
    """Group marks into nodules (tuples of marks), in the order of their scans and first marks.

    Rule: complete linkage on the distance of centres; marks join while it is at most 8 mm or the larger mark's radius
    (of the sphere of its volume). A group of more than four marks (a scan had four readers) is divided by lowering
    that limit in steps of a tenth until no part holds more than four.
    """
    # Complete and not single linkage: a chain of marks, each near the next, would join two neighbouring nodules.
    radius = np.cbrt(3 * np.maximum(marks.volume_mm3, 0) / (4 * np.pi))
    nodules: list[tuple[int, ...]] = []
    for scan in np.unique(marks.database.mark_scan):
        members = np.flatnonzero(marks.database.mark_scan == scan)
        reach = np.maximum(JOIN_MM, np.maximum(radius[members][:, None], radius[members][None]))
        apart = squareform(pdist(marks.centre_mm[members])) / reach
        groups = _divide(apart, np.arange(len(members)), 1.0)
        nodules += sorted(tuple(int(m) for m in members[group]) for group in groups)
    return tuple(nodules)


def _divide(apart: Floats, members: NDArray[np.int64], limit: float) -> list[NDArray[np.int64]]:
    """Form complete-linkage groups of `members` at `limit`, each of at most four."""
    if len(members) == 1:
        return [members]
    # Distance cannot divide marks at the same position; without this end the recursion would not stop.
    if limit < 1e-3:
        return [members[start : start + READERS_PER_SCAN] for start in range(0, len(members), READERS_PER_SCAN)]
    tree = linkage(squareform(apart[np.ix_(members, members)], checks=False), "complete")
    label = fcluster(tree, limit, "distance")
    groups: list[NDArray[np.int64]] = []
    for value in np.unique(label):
        group = members[label == value]
        groups += [group] if len(group) <= READERS_PER_SCAN else _divide(apart, group, 0.9 * limit)
    return groups


def mark_volume(marks: Marks, mark: int) -> tuple[NDArray[np.bool_], tuple[float, int, int]]:
    """Return one reader's nodule on the scan's own grid, (z, y, x), and its origin (z in mm, first row and column)."""
    database, filled = marks.database, marks.filled
    contours = np.arange(marks.contour_start[mark], marks.contour_start[mark + 1])
    z_low = float(database.z_mm[contours].min())
    slices = np.rint((database.z_mm[contours] - z_low) / database.slice_mm[database.mark_scan[mark]]).astype(int)
    low = filled.low[contours].min(axis=0)
    width, height = (filled.low[contours] + filled.size[contours]).max(axis=0) - low
    volume = np.zeros((slices.max() + 1, height, width), dtype=bool)
    # Holes come last, so that they are cut out of the outlines of their slice whatever the order in the file.
    for contour, z in sorted(zip(contours, slices, strict=True), key=lambda pair: not database.inclusion[pair[0]]):
        (x, y), (nx, ny) = filled.low[contour] - low, filled.size[contour]
        target = volume[z, y : y + ny, x : x + nx]
        target[filled.box(contour)] = database.inclusion[contour]
    return volume, (z_low, int(low[1]), int(low[0]))


def nodule_centre(marks: Marks, nodule: Sequence[int]) -> Floats:
    """Average the marks' centres, (x, y, z) in mm."""
    centre: Floats = marks.centre_mm[list(nodule)].mean(axis=0)
    return centre


def mark_reach(marks: Marks, nodule: Sequence[int]) -> float:
    """Measure the largest distance in mm, along one axis, from the nodule's centre to a reader's outline box."""
    centre, reach = nodule_centre(marks, nodule), 0.0
    for mark in nodule:
        scan = marks.database.mark_scan[mark]
        volume, origin = mark_volume(marks, mark)
        step = np.array([marks.database.pixel_mm[scan]] * 2 + [marks.database.slice_mm[scan]])
        low = np.array([origin[2] * step[0], origin[1] * step[1], origin[0]])
        high = low + (np.array(volume.shape[::-1]) - 1) * step
        reach = max(reach, float(np.max(centre - low)), float(np.max(high - centre)))
    return reach


def _offsets(size: int, spacing_mm: float) -> Floats:
    """Return voxel positions in mm from the middle of the field."""
    return (np.arange(size, dtype=np.float64) - (size - 1) / 2) * spacing_mm


def _weights(
    marks: Marks, mark: int, centre: Floats, offsets_mm: Floats, origin: tuple[float, int, int], shape: tuple[int, ...]
) -> tuple[Floats, Floats, Floats]:
    """Return interpolation matrices (targets, sources) along z, y, x; x and y grow to the patient's right and front."""
    scan = marks.database.mark_scan[mark]
    pixel_mm, slice_mm = marks.database.pixel_mm[scan], marks.database.slice_mm[scan]
    places = (
        (centre[2] + offsets_mm - origin[0]) / slice_mm,
        (centre[1] - offsets_mm) / pixel_mm - origin[1],
        (centre[0] - offsets_mm) / pixel_mm - origin[2],
    )
    z, y, x = (
        np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(n))) for place, n in zip(places, shape, strict=True)
    )
    return z, y, x


def consensus_slices(marks: Marks, nodule: Sequence[int], size: int, spacing_mm: float) -> NDArray[np.uint8]:
    """Render the readers' share in twelfths on three planes through the nodule's centre: (3, size, size).

    Planes: axial (y, x), coronal (z, x), sagittal (z, y). Each reader's nodule is interpolated linearly and cut at
    one half; the share is over the readers who marked this nodule.
    """
    # The planes are interpolated directly: the whole cube would cost far more for three of its planes.
    centre = nodule_centre(marks, nodule)
    offsets, middle = _offsets(size, spacing_mm), np.zeros(1)
    total = np.zeros((3, size, size), dtype=np.uint8)
    for mark in nodule:
        volume, origin = mark_volume(marks, mark)
        z, y, x = _weights(marks, mark, centre, offsets, origin, volume.shape)
        z0, y0, x0 = (w[0] for w in _weights(marks, mark, centre, middle, origin, volume.shape))
        planes = (
            y @ np.tensordot(z0, volume, 1) @ x.T,
            z @ np.tensordot(y0, volume, (0, 1)) @ x.T,
            z @ (volume @ x0) @ y.T,
        )
        # The tolerance keeps values of exactly one half inside, however the product was rounded.
        total += np.stack([plane >= 0.5 - 1e-9 for plane in planes])
    return total * np.uint8(SHARE_UNITS // len(nodule))


def consensus_volume(marks: Marks, nodule: Sequence[int], size: int, spacing_mm: float) -> NDArray[np.uint8]:
    """Render the readers' share in twelfths on a cube about the nodule's centre: (size, size, size) as (z, y, x)."""
    centre = nodule_centre(marks, nodule)
    offsets = _offsets(size, spacing_mm)
    total = np.zeros((size, size, size), dtype=np.uint8)
    for mark in nodule:
        volume, origin = mark_volume(marks, mark)
        z, y, x = _weights(marks, mark, centre, offsets, origin, volume.shape)
        rows = y @ (volume @ x.T)
        total += np.tensordot(z, rows, 1) >= 0.5 - 1e-9
    return total * np.uint8(SHARE_UNITS // len(nodule))
