"""Pictures keep their likeness through what should not matter, and strangers stay strangers."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import rankdata

from equipoise.cohorts.case_pictures import SIDE, picture
from equipoise.cohorts.splits.similarity import Whitening, likeness, signatures, turned


def scans(count: int, side: int = 90, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(generator.standard_normal((count, side, side)), (0, 9, 9)) * 20
    return 1000 + 200 * (
        coarse + ndimage.gaussian_filter(generator.standard_normal((count, side, side)), (0, 1.5, 1.5))
    )


@pytest.fixture(scope="module")
def stock() -> np.ndarray:
    return scans(40)


@pytest.fixture(scope="module")
def pictures(stock: np.ndarray) -> np.ndarray:
    return np.stack([picture(scan[None]) for scan in stock])


def test_pictures_hold_ranks(stock: np.ndarray, pictures: np.ndarray) -> None:
    assert pictures.shape == (40, SIDE, SIDE)
    same_size = stock[0, :SIDE, :SIDE]
    expected = (rankdata(same_size) - 1) / (SIDE**2 - 1)
    np.testing.assert_allclose(picture(same_size[None]).ravel(), 255 * expected, atol=0.6)


def test_increasing_changes_of_intensity_leave_pictures_nearly_alone(stock: np.ndarray, pictures: np.ndarray) -> None:
    scan = stock[0]
    for changed in (3 * scan - 500, np.sqrt(scan), np.round(scan / 4)):
        assert np.abs(picture(changed[None]).astype(int) - pictures[0]).mean() < 2


@pytest.mark.parametrize("shape", [(1, 20, 30), (3, 64, 64), (1, 130, 70), (2, 9, 40, 30), (1, 1, 30, 30)])
def test_any_shape_becomes_a_picture(shape: tuple[int, ...]) -> None:
    assert picture(np.random.default_rng(0).random(shape)).shape == (SIDE, SIDE)
    assert not picture(np.full(shape, np.nan)).std()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_one_of_four_variants_finds_each_of_the_eight_symmetries(
    stock: np.ndarray, pictures: np.ndarray, turns: int, mirror: bool
) -> None:
    whitening = Whitening.of(pictures)
    changed = np.rot90(np.fliplr(stock[5]) if mirror else stock[5], turns)
    copy = picture(changed[None])[None]
    best = max(float(likeness(turned(copy, variant), pictures[5:6], whitening)[0]) for variant in range(4))
    assert best > 0.98


def test_shifts_up_to_the_reach_are_found_and_strangers_are_not(stock: np.ndarray, pictures: np.ndarray) -> None:
    whitening = Whitening.of(pictures)
    for shift in ((4, 0), (-5, 3), (6, -6)):
        moved = picture(np.roll(stock[2], shift, axis=(0, 1))[None])[None]
        assert likeness(moved, pictures[2:3], whitening)[0] > 0.9
    strangers = likeness(pictures[:-1], pictures[1:], whitening)
    assert strangers.max() < 0.6


def test_signatures_hardly_move_under_shift_and_half_turn(stock: np.ndarray, pictures: np.ndarray) -> None:
    moved = np.stack([picture(np.roll(scan, (3, -2), axis=(0, 1))[None]) for scan in stock])
    plain, shifted, half = (signatures(p) for p in (pictures, moved, pictures[:, ::-1, ::-1]))
    far = np.linalg.norm(plain[1:] - plain[:-1], axis=1).min()
    assert np.linalg.norm(shifted - plain, axis=1).max() < 0.8 * far
    np.testing.assert_allclose(half, plain, rtol=1e-2, atol=1)


@pytest.mark.long
def test_many_pictures_equal_few(pictures: np.ndarray) -> None:
    whitening = Whitening.of(pictures)
    many = np.resize(pictures, (600, SIDE, SIDE))
    scores = likeness(many, many[::-1], whitening)
    np.testing.assert_allclose(scores[:3], likeness(many[:3], many[::-1][:3], whitening), atol=1e-5)
