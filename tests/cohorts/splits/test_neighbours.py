"""Near neighbours are found as by brute force, and only allowed ones."""

import numpy as np

from equipoise.cohorts.splits.neighbours import nearest


def everyone(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.ones(a.shape, dtype=bool)


def test_close_pairs_among_many_points_are_found() -> None:
    generator = np.random.default_rng(0)
    points = generator.standard_normal((3000, 16)).astype(np.float32)
    points[1500:1600] = points[:100] + 0.1 * generator.standard_normal((100, 16)).astype(np.float32)
    row, column, _ = nearest(points, [points], 3, everyone)
    pairs = set(zip(row.tolist(), column.tolist(), strict=True))
    assert np.mean([(k, 1500 + k) in pairs for k in range(100)]) >= 0.98
    assert np.all(row != column)
    assert np.bincount(row).max() <= 3


def test_few_points_are_compared_exactly() -> None:
    points = np.random.default_rng(2).standard_normal((40, 5)).astype(np.float32)
    row, column, _ = nearest(points, [points], 1, everyone)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(40, np.inf))
    np.testing.assert_array_equal(column[np.argsort(row)], distance.argmin(axis=1))


def test_only_allowed_pairs_and_the_list_they_came_from() -> None:
    points = np.arange(10, dtype=np.float32)[:, None]
    queries = [points + 100, points + 1]
    row, column, number = nearest(points, queries, 1, lambda a, b: b > a)
    assert sorted(zip(row.tolist(), column.tolist(), strict=True)) == [(k, k + 1) for k in range(9)]
    assert set(number.tolist()) == {1}


def test_equal_points_do_not_blow_up() -> None:
    points = np.zeros((2000, 4), dtype=np.float32)
    row, _, _ = nearest(points, [points], 2, everyone)
    assert np.bincount(row, minlength=2000).max() <= 2
