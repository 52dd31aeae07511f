"""Closed contours around the pixels of a mask, by marching squares at one half, with holes joined to their outlines.

A contour runs through the middle between a pixel inside and its neighbour outside, so every pixel's centre lies on its
own side of it, whatever rule a reader has for points on a line. Pixels that touch at a corner alone stay apart. A hole
is joined to what surrounds it by a channel without width, as DICOM wants it of closed planar contours (PS3.3
C.8.8.6.3); the channel runs between rows, and so through no pixel's centre.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
# Clockwise in a picture whose rows run downwards, so that the inside lies to the right: along the top of a pixel, down
# its right side, back along its bottom, up its left side.
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def contours_of(mask: NDArray[np.bool_]) -> list[Points]:
    """Return the closed contours (n, 2) of a mask (row, column), in rows and columns with pixel centres at integers.

    Outlines run clockwise (rows downwards) and hold their holes; an empty mask has none.
    """
    loops = [_Loop(_without_straight(loop)) for loop in boundaries(mask)]
    outlines = [loop for loop in loops if area_of(loop.points) > 0]
    holes = [loop for loop in loops if area_of(loop.points) <= 0]
    for hole in sorted(holes, key=lambda loop: loop.start):
        _join(hole, loops)
    return [outline.points for outline in outlines]


def area_of(points: Points) -> float:
    """Return the area that a closed contour holds, in pixels; negative where it runs anticlockwise."""
    following = np.roll(points, -1, axis=0)
    return float(((points[:, 1] * following[:, 0]) - (following[:, 1] * points[:, 0])).sum() / 2)


def boundaries(mask: NDArray[np.bool_]) -> list[Points]:
    """Return every closed boundary (n, 2), holes as loops of their own: the middles of the pixels' outer sides."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    beside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    corners = ((0, 0), (0, 1), (1, 1), (1, 0))  # where the side along each step begins
    leaving: dict[tuple[int, int], dict[int, None]] = {}
    for way, neighbour in enumerate(beside):
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            leaving.setdefault((row + corners[way][0], column + corners[way][1]), {})[way] = None
    loops = []
    while leaving:
        corner = next(iter(leaving))
        loops.append(_followed(corner, next(iter(leaving[corner])), leaving))
    return loops


def _followed(corner: tuple[int, int], way: int, leaving: dict[tuple[int, int], dict[int, None]]) -> Points:
    """Follow one boundary until it closes, and take its sides out of those that are left."""
    middles, begun = [], (corner, way)
    while True:
        step = _STEPS[way]
        middles.append((corner[0] - 0.5 + step[0] / 2, corner[1] - 0.5 + step[1] / 2))
        following = (corner[0] + step[0], corner[1] + step[1])
        # Where two pixels touch at a corner, the turn to the right stays with the same pixel.
        turn = next(one for one in ((way + 1) % 4, way, (way + 3) % 4) if one in leaving[following])
        if (following, turn) == begun:
            break
        _take(leaving, following, turn)
        corner, way = following, turn
    _take(leaving, *begun)
    return np.array(middles)


def _take(leaving: dict[tuple[int, int], dict[int, None]], corner: tuple[int, int], way: int) -> None:
    del leaving[corner][way]
    if not leaving[corner]:
        del leaving[corner]


def _without_straight(points: Points) -> Points:
    """Leave out the points on straight lines between their neighbours."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turning: Points = points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return turning


@dataclass(eq=False)
class _Loop:
    """A closed line that may take up others."""

    points: Points

    @property
    def start(self) -> tuple[float, float]:
        """The leftmost of its topmost points: to its left lies the inside of the mask."""
        row, column = min(map(tuple, self.points.tolist()))
        return float(row), float(column)


def _join(hole: _Loop, loops: list[_Loop]) -> None:
    """Join a hole to the first line to the left of its start, by a channel there and back."""
    row, column = hole.start
    best, at, whom = -np.inf, 0, None
    for loop in loops:
        if loop is hole:
            continue
        following = np.roll(loop.points, -1, axis=0)
        low, high = np.minimum(loop.points[:, 0], following[:, 0]), np.maximum(loop.points[:, 0], following[:, 0])
        meets = (low <= row) & (row <= high)
        for index in np.flatnonzero(meets):
            place = _crossing(loop.points[index], following[index], row, column)
            if best < place < column:
                best, at, whom = place, int(index), loop
    if whom is None:
        raise AssertionError("a hole has nothing around it")
    first = hole.points.tolist().index([row, column])
    round_trip = np.concatenate([np.roll(hole.points, -first, axis=0), hole.points[first : first + 1]])
    door = np.array([[row, best]])
    whom.points = np.concatenate([whom.points[: at + 1], door, round_trip, door, whom.points[at + 1 :]])
    loops.remove(hole)


def _crossing(start: Points, end: Points, row: float, column: float) -> float:
    """Return the column where a segment meets a row: of one along the row, the end nearest to the left of a column."""
    if start[0] == end[0]:
        return max((float(point[1]) for point in (start, end) if point[1] < column), default=-np.inf)
    return float(start[1] + (row - start[0]) / (end[0] - start[0]) * (end[1] - start[1]))
