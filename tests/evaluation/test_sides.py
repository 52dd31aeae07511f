"""The sides of a picture by its affine: letters only where the axes are those of the body."""

import numpy as np
import pytest

from equipoise.evaluation.display_planes import sides_of


def turned(degrees):
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine


@pytest.mark.parametrize(
    ("affine", "letters"),
    [
        (np.diag([-1.0, -1.0, 1.0, 1.0]), "RLAP"),
        (np.diag([0.7, 0.7, 3.0, 1.0]), "LRPA"),
        (turned(10), "LRPA"),
        (turned(20), ""),
        (np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]), "APSI"),
        (np.zeros((4, 4)), ""),
        (None, ""),
    ],
)
def test_letters(affine, letters):
    assert sides_of(affine, 3) == letters
    assert sides_of(affine, 2) == ""
