"""Nearest neighbours of many points, each from a few hundred candidates: random projection trees.

Time grows as n log n and memory as n, because every point is compared with one leaf of each tree only. A neighbour
much nearer than the rest is split from its point by few of the random cuts, so some tree holds both.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

TREES = 10
LEAF = 48
CHUNK = 2048

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Allowed = Callable[[Ints, Ints], NDArray[np.bool_]]


def nearest(
    points: Floats, queries: list[Floats], kept: int, allowed: Allowed, generator: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Pairs (query row, point, list): up to `kept` of the nearest allowed points for each row, over all query lists.

    points: (n, d). queries: lists of (n, d), whose row i belongs to the same thing as point i, which is no neighbour.
    allowed(rows, points): which pairs count.
    """
    rows = len(points)
    best = np.full((rows, kept), np.inf, dtype=np.float32)
    code = np.full((rows, kept), -1, dtype=np.int64)
    for _ in range(TREES):
        tree = _Tree(points, generator)
        for number, query in enumerate(queries):
            for start in range(0, rows, CHUNK):
                part = np.arange(start, min(start + CHUNK, rows))
                found, distance = tree.search(query[part], part, kept, allowed)
                ids = np.where(np.isfinite(distance), found * len(queries) + number, -1)
                best[part], code[part] = _merged(best[part], code[part], distance, ids)
    row, column = np.nonzero(code >= 0)
    return row, code[row, column] // len(queries), code[row, column] % len(queries)


def _merged(best: Floats, code: Ints, distance: Floats, ids: Ints) -> tuple[Floats, Ints]:
    """The nearest of both lists per row, each neighbour once."""
    kept = best.shape[1]
    far, every = np.hstack([best, distance]), np.hstack([code, ids])
    by_id = np.argsort(every, axis=1, kind="stable")
    sorted_ids = np.take_along_axis(every, by_id, axis=1)
    again = np.zeros(every.shape, dtype=bool)
    np.put_along_axis(again, by_id[:, 1:], sorted_ids[:, 1:] == sorted_ids[:, :-1], axis=1)
    far[again] = np.inf
    order = np.argsort(far, axis=1, kind="stable")[:, :kept]
    far, every = np.take_along_axis(far, order, axis=1), np.take_along_axis(every, order, axis=1)
    return far, np.where(np.isfinite(far), every, -1)


class _Tree:
    """Points dealt to leaves by the medians of random projections, one direction a level."""

    def __init__(self, points: Floats, generator: np.random.Generator) -> None:
        self.points = points
        levels = max(0, int(np.ceil(np.log2(len(points) / LEAF))))
        self.directions = generator.standard_normal((levels, points.shape[1])).astype(np.float32)
        self.cuts: list[Floats] = []
        node = np.zeros(len(points), dtype=np.int64)
        for level, direction in enumerate(self.directions):
            height = points @ direction
            order = np.lexsort((height, node))
            edge = np.searchsorted(node[order], np.arange(2**level + 1))
            middle = np.minimum((edge[:-1] + edge[1:]) // 2, len(points) - 1)
            self.cuts.append(height[order[middle]])
            node = 2 * node + (height >= self.cuts[-1][node])
        self.order = np.argsort(node, kind="stable")
        self.edge = np.searchsorted(node[self.order], np.arange(2**levels + 1))

    def search(self, query: Floats, rows: Ints, kept: int, allowed: Allowed) -> tuple[Ints, Floats]:
        """The `kept` nearest allowed points in each query's leaf, (queries, kept), and their squared distances."""
        node = np.zeros(len(query), dtype=np.int64)
        for direction, cut in zip(self.directions, self.cuts, strict=True):
            node = 2 * node + (query @ direction >= cut[node])
        place = self.edge[node][:, None] + np.arange(2 * LEAF)  # equal points may crowd a leaf: a bounded share is seen
        valid = place < self.edge[node + 1][:, None]
        found = self.order[np.minimum(place, len(self.order) - 1)]
        distance = np.sum((self.points[found] - query[:, None]) ** 2, axis=2)
        owner = np.broadcast_to(rows[:, None], found.shape)
        distance[~valid | (found == owner) | ~allowed(owner, found)] = np.inf
        near = np.argsort(distance, axis=1)[:, :kept]
        return np.take_along_axis(found, near, axis=1), np.take_along_axis(distance, near, axis=1)
