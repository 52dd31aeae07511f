"""Contours of masks: those of scikit-image, and every pixel's centre on its own side of them."""

import numpy as np
import pytest
from skimage.measure import find_contours, points_in_poly

from equipoise.deploy.contours import area_of, boundaries, contours_of

RING = np.pad(np.ones((5, 6), bool), 2)
RING[4, 4:6] = False


def filled(contours, shape):
    """Oracle: scikit-image, point by point; an odd number of contours around a centre is inside."""
    places = np.indices(shape).reshape(2, -1).T
    inside = np.zeros(len(places), bool)
    for points in contours:
        inside ^= points_in_poly(places, points)
    return inside.reshape(shape)


def points_of(lines):
    return sorted(sorted(map(tuple, line)) for line in lines)


def test_a_ring_is_one_contour_that_holds_its_hole():
    (contour,) = contours_of(RING)
    assert np.array_equal(filled([contour], RING.shape), RING)
    outer, inner = 5 * 6 - 0.5, 2 - 0.5  # a corner cut at each of four corners, an eighth of a pixel each
    assert area_of(contour) == pytest.approx(outer - inner)
    assert np.array_equal(contours_of(np.ones((1, 1), bool))[0], [(-0.5, 0), (0, 0.5), (0.5, 0), (0, -0.5)])
    assert contours_of(np.zeros((4, 3), bool)) == []


@pytest.mark.long
def test_contours_are_those_of_scikit_image_and_hold_the_centres_of_their_pixels():
    draw = np.random.default_rng(0)
    for _ in range(150):
        shape = tuple(draw.integers(1, 20, 2))
        mask = draw.random(shape) < draw.uniform(0.1, 0.97)
        theirs = find_contours(np.pad(mask, 1).astype(float), 0.5, fully_connected="low")
        assert points_of(boundaries(mask)) == points_of(line[:-1] - 1 for line in theirs)
        assert np.array_equal(filled(contours_of(mask), shape), mask)
