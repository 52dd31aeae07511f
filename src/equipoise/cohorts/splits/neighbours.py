"""Approximate nearest neighbours of many points by a k-d tree (scipy's).

An exact search in 24 dimensions visits a growing share of all points. The search is for copies, which lie many times
nearer than other pictures, so it may skip any branch that cannot hold a point (1 + SLACK) times nearer than those
known: 11 times as fast for 10,000 Gaussian points, and it finds the same copies (docs/experiments.md).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from equipoise.cores import side_by_side

SLACK = 3.0
LEAF = 64
CANDIDATES = 32
"""Points fetched per query, several times those kept, because not all are allowed."""
CHUNK = 4096

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Allowed = Callable[[Ints, Ints], NDArray[np.bool_]]


def nearest(points: Floats, queries: list[Floats], kept: int, allowed: Allowed) -> tuple[Ints, Ints, Ints]:
    """Return (query row, point, list) of up to `kept` nearest allowed points per row, over all query lists.

    points: (n, d). queries: lists of (n, d), whose row i shows the same case as point i, which is not a neighbour.
    allowed(rows, points): which pairs count.
    """
    tree = cKDTree(points, leafsize=LEAF)
    parts = side_by_side(lambda rows: _of_rows(tree, queries, rows, kept, allowed), _chunks(len(points)))
    row, point, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, point, number


def _chunks(count: int) -> list[Ints]:
    return [np.arange(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _of_rows(tree: cKDTree, queries: list[Floats], rows: Ints, kept: int, allowed: Allowed) -> tuple[Ints, Ints, Ints]:
    """Search the neighbours of some of the rows."""
    ranks = np.arange(1, min(CANDIDATES, tree.n) + 1)
    answers = [tree.query(query[rows], k=ranks, eps=SLACK) for query in queries]
    distance, point = (np.hstack(part) for part in zip(*answers, strict=True))
    number = np.repeat(np.arange(len(queries)), len(ranks))
    owner = np.broadcast_to(rows[:, None], point.shape)
    distance[(point == owner) | ~allowed(owner, point)] = np.inf
    # Stable, so that equal distances (exact copies) come in the same order on every machine.
    order = np.argsort(distance, axis=1, kind="stable")[:, :kept]
    i, k = np.nonzero(np.isfinite(np.take_along_axis(distance, order, axis=1)))
    column = order[i, k]
    return rows[i], point[i, column], number[column]
