"""Near neighbours of many points by a k-d tree (scipy's), searched approximately.

An exact search in 24 dimensions looks at a growing share of all points. What is sought is a copy, which lies many times
nearer than strangers, so the search may skip any branch that cannot hold a point (1 + SLACK) times nearer than those
it has: 11 times as fast for 10,000 Gaussian points, with the same copies found (docs/experiments.md).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

SLACK = 3.0
LEAF = 64
CANDIDATES = 32
"""Points fetched for a query, several times those kept, because not all are allowed."""
CHUNK = 4096

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Allowed = Callable[[Ints, Ints], NDArray[np.bool_]]


def nearest(points: Floats, queries: list[Floats], kept: int, allowed: Allowed) -> tuple[Ints, Ints, Ints]:
    """Pairs (query row, point, list): up to `kept` of the nearest allowed points for each row, over all query lists.

    points: (n, d). queries: lists of (n, d), whose row i belongs to the same thing as point i, which is no neighbour.
    allowed(rows, points): which pairs count.
    """
    tree = cKDTree(points, leafsize=LEAF)
    parts = [_of_rows(tree, queries, rows, kept, allowed) for rows in _chunks(len(points))]
    row, point, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, point, number


def _chunks(count: int) -> list[Ints]:
    return [np.arange(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _of_rows(tree: cKDTree, queries: list[Floats], rows: Ints, kept: int, allowed: Allowed) -> tuple[Ints, Ints, Ints]:
    """The same for some of the rows."""
    ranks = np.arange(1, min(CANDIDATES, tree.n) + 1)
    answers = [tree.query(query[rows], k=ranks, eps=SLACK) for query in queries]
    distance, point = (np.hstack(part) for part in zip(*answers, strict=True))
    number = np.repeat(np.arange(len(queries)), len(ranks))
    owner = np.broadcast_to(rows[:, None], point.shape)
    distance[(point == owner) | ~allowed(owner, point)] = np.inf
    order = np.argsort(distance, axis=1, kind="stable")[:, :kept]
    i, k = np.nonzero(np.isfinite(np.take_along_axis(distance, order, axis=1)))
    column = order[i, k]
    return rows[i], point[i, column], number[column]
