"""Filled outlines agree with flood fill and with Pick's theorem."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from equipoise.cohorts.lidc.polygons import fill_outlines


def one(points: list[tuple[int, int]]) -> np.ndarray:
    return fill_outlines(np.array(points, dtype=np.int64), np.array([0, len(points)])).box(0)


def test_a_square_keeps_its_inner_pixels_only() -> None:
    assert one([(10, 20), (14, 20), (14, 23), (10, 23)]).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_degenerate_outlines_enclose_nothing() -> None:
    assert not one([(5, 5)]).any()
    assert not one([(5, 5), (9, 5)]).any()
    assert not one([(5, 5), (9, 9), (5, 5)]).any()


def test_closing_the_outline_explicitly_changes_nothing() -> None:
    points = [(0, 0), (6, 1), (7, 6), (2, 7)]
    np.testing.assert_array_equal(one(points), one([*points, points[0]]))


def test_neighbours_in_the_list_do_not_disturb_each_other() -> None:
    shapes = [[(0, 0), (4, 0), (4, 4), (0, 4)], [(7, 7)], [(3, 1), (9, 2), (5, 8)], [(0, 5), (3, 5)]]
    start = np.cumsum([0] + [len(shape) for shape in shapes])
    filled = fill_outlines(np.array([point for shape in shapes for point in shape]), start)
    for index, shape in enumerate(shapes):
        np.testing.assert_array_equal(filled.box(index), one(shape))


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.integers(3, 30), st.integers(3, 25), st.integers(0, 10**6))
def test_star_shapes_agree_with_flood_fill_and_with_picks_theorem(corners: int, radius: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    angle = np.sort(generator.uniform(0, 2 * np.pi, corners))
    length = generator.uniform(0.5, 1, corners) * radius
    points = np.rint(np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1)).astype(int)
    steps = []  # walk pixel by pixel, as the readers' outlines do, so that lattice points and pixels agree
    for begin, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        n = max(1, int(np.abs(end - begin).max()))
        steps += [tuple(np.rint(begin + (end - begin) * k / n).astype(int)) for k in range(n)]
    assume(len(set(steps)) == len(steps))
    inside = one(steps)
    edge = np.zeros_like(inside)
    low = np.min(steps, axis=0)
    for x, y in steps:
        edge[y - low[1], x - low[0]] = True
    assume(ndimage.label(np.pad(~edge, 1, constant_values=True))[1] == 2)  # no pocket between touching lines
    np.testing.assert_array_equal(inside, ndimage.binary_fill_holes(edge) & ~edge)
    xy, following = np.array(steps), np.roll(steps, -1, axis=0)
    area = abs(np.sum(xy[:, 0] * following[:, 1] - following[:, 0] * xy[:, 1])) / 2
    diagonal_crossing = inside.sum() != area - len(steps) / 2 + 1
    if diagonal_crossing:  # Pick: inside = area − boundary / 2 + 1, for outlines that do not cross themselves
        assert _crosses_itself(steps)


def _crosses_itself(steps: list[tuple[int, int]]) -> bool:
    """Two diagonal moves through the same square of four pixels cross without sharing a pixel."""
    squares = [
        (min(a[0], b[0]), min(a[1], b[1]))
        for a, b in zip(steps, [*steps[1:], steps[0]], strict=True)
        if a[0] != b[0] and a[1] != b[1]
    ]
    return len(squares) != len(set(squares))
