"""Pictures of cases: the right slice, the right way round, in true proportions, with outlines where masks end."""

import numpy as np
import pytest
from scipy.stats import rankdata

from equipoise.cohorts.case_pictures import COLOURS, SHOWN_SIDE, SIDE, outlined, picture
from equipoise.cohorts.cohort import Image


def rgb(name: str) -> list[int]:
    return [int(name[k : k + 2], 16) for k in (1, 3, 5)]


def coloured(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 0] != picture[..., 1]) | (picture[..., 1] != picture[..., 2])


def test_two_dimensions_keep_their_proportions_and_window() -> None:
    pixels = np.linspace(0, 1000, 40 * 20).reshape(1, 40, 20)
    picture = outlined(Image(pixels, (1.0, 1.0)))
    assert picture.shape == (SHOWN_SIDE, SHOWN_SIDE // 2, 3)
    assert picture[0, 0, 0] == 0
    assert picture[-1, -1, 0] == 255
    assert outlined(Image(pixels, (0.5, 1.0))).shape == (SHOWN_SIDE, SHOWN_SIDE, 3)
    assert not coloured(picture).any()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
def test_the_picture_for_the_search_holds_mid_ranks_also_of_many_equal_values(dtype) -> None:
    pixels = np.random.default_rng(0).integers(0, 3, (1, SIDE, SIDE)).astype(dtype)
    ranks = (rankdata(pixels.ravel()) - 1) / (SIDE * SIDE - 1)
    assert np.array_equal(picture(pixels).ravel(), np.rint(255 * ranks))


def test_an_image_of_truths_is_shown() -> None:
    assert outlined(Image(np.eye(8, dtype=bool)[None], (1.0, 1.0))).max() == 255


def test_every_class_has_its_own_outline_and_the_inside_stays_grey() -> None:
    mask = np.zeros((33, 33), np.uint8)
    mask[4:20, 4:20] = 1
    mask[9:14, 9:14] = 2
    picture = outlined(Image(np.ones((1, 33, 33)), (1.0, 1.0), mask))
    scale = SHOWN_SIDE // 33
    assert picture[4 * scale, 10 * scale].tolist() == rgb(COLOURS[0])
    assert picture[9 * scale, 11 * scale].tolist() == rgb(COLOURS[1])
    inside = coloured(picture)
    assert not inside[6 * scale, 6 * scale]
    assert not inside[11 * scale, 11 * scale]
    assert not inside[: 4 * scale].any()


def test_volumes_show_their_fullest_slice_front_up_and_right_on_the_left() -> None:
    array, mask = np.zeros((1, 5, 33, 33)), np.zeros((5, 33, 33), np.uint8)
    array[0, 3, 30:, 30:] = 1  # upper slice, in front, to the right
    mask[3, 28:, 28:] = 1
    mask[1, 5, 5] = 1
    picture = outlined(Image(array, (3.0, 1.0, 1.0), mask, np.eye(4)))
    assert picture[2, 2].max() > 200
    assert picture[-1, -1].max() == 0
    assert coloured(picture)[:30, :30].any()
    assert not coloured(picture)[30:, 30:].any()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_flat_and_empty_images_are_black(value: float) -> None:
    assert outlined(Image(np.full((1, 8, 8), value), (1.0, 1.0))).max() == 0
