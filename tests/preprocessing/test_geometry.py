"""Grids: world directions after orientation, windows by hand, resampling against Pillow and SimpleITK, and back."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from equipoise.preprocessing.geometry import (
    Orientation,
    Resampling,
    Window,
    centred_window,
    foreground_window,
    resampling_to,
    towards_ras,
)

ORIENTATIONS = [
    (permutation, signs)
    for permutation in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def affine_of(permutation: tuple[int, ...], signs: tuple[int, ...], spacing_zyx: tuple[float, ...]) -> np.ndarray:
    """Voxel axis v (x, y, z) points along world axis permutation[v] with its sign."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel, world in enumerate(permutation):
        affine[world, voxel] = signs[voxel] * spacing_zyx[2 - voxel]
    affine[:3, 3] = (12.0, -7.0, 30.0)
    return affine


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_after_orientation_x_grows_right_y_front_z_up(permutation: tuple[int, ...], signs: tuple[int, ...]) -> None:
    shape, spacing = (3, 4, 5), (3.0, 0.5, 1.2)
    affine = affine_of(permutation, signs, spacing)
    generator = np.random.default_rng(0)
    tilt = np.linalg.qr(np.eye(3) + 0.15 * generator.standard_normal((3, 3)))[0]
    affine[:3, :3] = (tilt * np.sign(np.diag(tilt))) @ affine[:3, :3]  # scanners are rarely straight
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    world = np.einsum("wv,vzyx->wzyx", affine, np.stack([x, y, z, np.ones_like(x)]).astype(float))[:3]
    orientation = towards_ras(affine)
    turned = orientation.forward(world)
    for channel, axis in ((0, -1), (1, -2), (2, -3)):
        assert np.all(np.diff(turned[channel], axis=axis) > 0)
    np.testing.assert_array_equal(orientation.back(turned), world)
    assert sorted(orientation.per_axis(spacing)) == sorted(spacing)
    step = [abs(np.diff(turned, axis=1 + k)).max() for k in range(3)]
    np.testing.assert_allclose(step, orientation.per_axis(spacing), rtol=0.1)


def test_the_identity_is_known() -> None:
    assert towards_ras(np.diag([0.7, 0.7, 2.0, 1.0])).identity
    assert not Orientation((0, 1, 2), (False, False, True)).identity
    assert not Orientation((0, 2, 1), (False, False, False)).identity


def test_windows_cut_and_pad_by_hand() -> None:
    row = np.arange(5)[None]
    assert Window((1,), (5,), (3,)).forward(row).tolist() == [[1, 2, 3]]
    assert Window((-2,), (5,), (8,)).forward(row, 9).tolist() == [[9, 9, 0, 1, 2, 3, 4, 9]]
    assert Window((3,), (5,), (4,)).forward(row, 9).tolist() == [[3, 4, 9, 9]]
    assert Window((9,), (5,), (2,)).forward(row, 7).tolist() == [[7, 7]]
    assert centred_window((5,), (3,)).start == (1,)
    assert centred_window((4,), (7,)).start == (-2,)


def test_each_leading_index_may_have_its_own_outside() -> None:
    pair = np.zeros((2, 1))
    assert Window((-1,), (1,), (3,)).forward(pair, [1.0, 0.5]).tolist() == [[1, 0, 1], [0.5, 0, 0.5]]


def test_foreground_windows_hold_everything_and_little_more() -> None:
    inside = np.zeros((6, 10), dtype=bool)
    inside[2, 4], inside[3, 7] = True, True
    assert foreground_window(inside, (0, 0)) == Window((2, 4), (6, 10), (2, 4))
    assert foreground_window(inside, (1, 5)) == Window((1, 0), (6, 10), (4, 10))
    assert foreground_window(np.zeros((3, 3), dtype=bool), (0, 0)) == Window((0, 0), (3, 3), (3, 3))


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=3),
    st.lists(st.integers(1, 12), min_size=3, max_size=3),
    st.lists(st.integers(-9, 9), min_size=3, max_size=3),
)
def test_a_window_and_back_keeps_what_was_inside(before: list[int], after: list[int], start: list[int]) -> None:
    n = len(before)
    window = Window(tuple(start[:n]), tuple(before), tuple(after[:n]))
    array = np.arange(1, np.prod(before) + 1).reshape(before)
    forth = window.forward(array)
    returned = window.back(forth)
    kept = returned != 0
    np.testing.assert_array_equal(returned[kept], array[kept])
    assert kept.sum() == (forth != 0).sum()


@pytest.mark.parametrize(("before", "after"), [((9, 14), (20, 30)), ((30, 41), (13, 17)), ((16, 16), (8, 40))])
def test_resampling_agrees_with_pillow(before: tuple[int, int], after: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random(before).astype(np.float32)
    ours = Resampling(before, after).forward(pixels)
    peer = Picture.fromarray(pixels).resize(after[::-1], Picture.Resampling.BILINEAR)
    np.testing.assert_allclose(ours, np.asarray(peer), atol=1e-5)


def test_finer_grids_agree_with_simpleitk_in_the_world() -> None:
    generator = np.random.default_rng(2)
    pixels, spacing = generator.random((7, 9, 8)).astype(np.float32), (3.0, 1.5, 1.0)
    step = resampling_to(pixels.shape, spacing, (1.0, 1.0, 1.0))
    assert step.after == (21, 14, 8)
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing(spacing[::-1])
    new = tuple(s * b / a for s, b, a in zip(spacing, step.before, step.after, strict=True))
    image.SetOrigin([s / 2 for s in spacing[::-1]])  # faces at zero on both grids
    peer = sitk.Resample(
        image, step.after[::-1], sitk.Transform(), sitk.sitkLinear, [s / 2 for s in new[::-1]], new[::-1]
    )
    inner = (slice(3, -3), slice(2, -2), slice(1, -1))  # beyond the outer centres SimpleITK has no value
    np.testing.assert_allclose(step.forward(pixels)[inner], sitk.GetArrayFromImage(peer)[inner], atol=1e-5)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=3), st.lists(st.integers(1, 30), min_size=3, max_size=3))
def test_constants_and_ranges_survive_resampling(before: list[int], after: list[int]) -> None:
    step = Resampling(tuple(before), tuple(after[: len(before)]))
    np.testing.assert_allclose(step.forward(np.full(before, 3.5)), 3.5)
    noise = np.random.default_rng(0).random(before)
    assert noise.min() - 1e-9 <= step.forward(noise).min()
    assert step.forward(noise).max() <= noise.max() + 1e-9
    labels = (noise * 4).astype(np.int16)
    assert set(np.unique(step.forward(labels))) <= set(np.unique(labels))


def test_masks_are_resampled_class_by_class_not_through_the_numbers_between() -> None:
    mask = np.zeros((1, 12), dtype=np.uint8)
    mask[:, 6:] = 4
    fine = Resampling((1, 12), (1, 48)).forward(mask)
    assert set(np.unique(fine)) == {0, 4}
    assert (fine == 4).sum() == 24
    np.testing.assert_array_equal(Resampling((1, 12), (1, 48)).back(fine), mask)


def test_leading_axes_pass_through() -> None:
    pixels = np.random.default_rng(3).random((2, 3, 6, 8))
    step = Resampling((6, 8), (9, 5))
    np.testing.assert_allclose(step.forward(pixels)[1, 2], step.forward(pixels[1, 2]))
