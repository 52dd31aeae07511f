"""Relevant and irrelevant findings of LIDC-IDRI scans for detection, by the rules of LUNA16.

Relevant are nodules ≥ 3 mm that enough readers marked. Nodules of fewer readers are irrelevant where they were
outlined. Nodules < 3 mm and non-nodules are single points, about which a ball of 10 mm is irrelevant. A candidate on an
irrelevant finding is neither a hit nor a false positive.
Reference: A. A. A. Setio et al., Medical Image Analysis 42 (2017) 1–13.
"""

from collections.abc import Iterator, Sequence

from equipoise.cohorts.finding_labels import IRRELEVANT
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.lidc.annotations import LidcReading, NoduleMark
from equipoise.cohorts.lidc.consensus import Marks
from equipoise.cohorts.lidc.voxels import CtScan, Stamp, ball, stamp

UNMEASURED_MM = 10.0
"""Diameter of a mark without outlines, as in LUNA16."""

Voxel = tuple[int, int, int]


def unmeasured_points(reading: LidcReading, scan: CtScan) -> tuple[Voxel, ...]:
    """Return the voxels (slice, row, column) of nodules < 3 mm and non-nodules; RefusedFile where one is missing."""
    others = (mark for session in reading.sessions for mark in session.non_nodules)
    return tuple(_place(mark, reading, scan) for mark in (*reading.small_nodules(), *others))


def irrelevant_stamps(
    scan: CtScan, points: Sequence[Voxel], marks: Marks | None, few: Sequence[Sequence[int]], agreement: float
) -> Iterator[Stamp]:
    """Yield the irrelevant regions: about the points first, then nodules in `few` (marks of too few readers)."""
    for point in points:
        yield ball(point, UNMEASURED_MM, IRRELEVANT, scan)
    if marks is not None:
        yield from (stamp(marks, group, agreement, scan, IRRELEVANT) for group in few)


def _place(mark: NoduleMark, reading: LidcReading, scan: CtScan) -> Voxel:
    """Return the voxel of a point, the first one of several."""
    outline = mark.outlines[0]
    if outline.sop_uid not in scan.sops:
        raise RefusedFile(reading.file, f"it marks the slice {outline.sop_uid}, which is missing", "fetch all slices")
    column, row = (int(value) for value in outline.points[0])
    if not (0 <= row < scan.shape[1] and 0 <= column < scan.shape[2]):
        raise RefusedFile(reading.file, "it marks pixels beyond the image", "check that it belongs to the series")
    return scan.sops.index(outline.sop_uid), row, column
