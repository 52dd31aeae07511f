"""Fill many closed outlines on a pixel grid at once: find the pixels strictly inside each.

LIDC-IDRI readers drew the first pixel outside a nodule, so an outline's own pixels do not belong to it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FilledOutlines:
    """The bounding box of every outline and its inside as one flat array.

    low: (outlines, 2) smallest (x, y); size: (outlines, 2) pixels along (x, y).
    start: first pixel of each box in `inside`, one extra at the end; boxes are stored row by row (y, x).
    """

    low: Ints
    size: Ints
    start: Ints
    inside: NDArray[np.bool_]

    def box(self, outline: int) -> NDArray[np.bool_]:
        """Return the inside of one outline, (y, x), on its bounding box."""
        width, height = self.size[outline]
        return self.inside[self.start[outline] : self.start[outline + 1]].reshape(height, width)


def fill_outlines(points: Ints, point_start: Ints) -> FilledOutlines:
    """Find the pixels strictly inside each closed polygon by the even-odd rule, without the pixels of its line.

    points: (points, 2) whole (x, y); point_start: first point of each outline, one extra at the end. Outlines may be
    open (the last point is joined to the first) and may jump more than one pixel.
    """
    # Vectorised over all outlines, because the database has tens of thousands of them.
    first = point_start[:-1]
    low = np.minimum.reduceat(points, first)
    size = np.maximum.reduceat(points, first) - low + 1
    start = np.concatenate([[0], np.cumsum(size[:, 0] * size[:, 1])])
    outline = np.repeat(np.arange(len(first)), np.diff(point_start))
    following = np.roll(points, -1, axis=0)
    following[point_start[1:] - 1] = points[first]

    def flat(which: Ints, x: Ints, y: Ints) -> Ints:
        """Index the pixels of all outlines, which lie one after another."""
        index: Ints = start[which] + (y - low[which, 1]) * size[which, 0] + (x - low[which, 0])
        return index

    crossings = flat(*_crossings(points, following, outline))
    # A closed outline crosses every row an even number of times, so one running count serves all boxes.
    parity = np.cumsum(np.bincount(crossings, minlength=start[-1]).astype(np.uint8), dtype=np.uint8) & 1
    parity[flat(*_line_pixels(points, following, outline))] = 0
    return FilledOutlines(low, size, start, parity.astype(bool))


def _within(counts: Ints) -> tuple[Ints, Ints]:
    """Return the index of the edge and the position within it, for `counts` items per edge."""
    edge = np.repeat(np.arange(len(counts)), counts)
    return edge, np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)


def _crossings(points: Ints, following: Ints, outline: Ints) -> tuple[Ints, Ints, Ints]:
    """Find where edges cross rows: outline, first pixel at or right of the crossing, row (half-open: [low, high))."""
    # Half-open, so that a vertex between two edges crosses its row once and a peak twice: parity stays right.
    rise = following[:, 1] - points[:, 1]
    edge, step = _within(np.abs(rise))
    begin = points[edge]
    row = np.where(rise[edge] > 0, begin[:, 1] + step, begin[:, 1] - 1 - step)
    share = (row - begin[:, 1]) / rise[edge]
    x = np.ceil(begin[:, 0] + share * (following[edge, 0] - begin[:, 0])).astype(np.int64)
    return outline[edge], x, row


def _line_pixels(points: Ints, following: Ints, outline: Ints) -> tuple[Ints, Ints, Ints]:
    """List every pixel of the drawn lines, gaps filled by rounding: outline, x, y."""
    move = following - points
    length = np.maximum(1, np.abs(move).max(axis=1))
    edge, step = _within(length)
    pixel = np.rint(points[edge] + (step / length[edge])[:, None] * move[edge]).astype(np.int64)
    return outline[edge], pixel[:, 0], pixel[:, 1]
