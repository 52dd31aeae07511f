"""Label smoothing conserves mass; opening and closing agree with scipy's on isotropic grids and know millimetres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from equipoise.preprocessing.labels import Smoothing, closed, opened, soft_targets


def blobs(shape: tuple[int, ...], classes: int, seed: int) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2)
    edges = np.quantile(field, np.linspace(0, 1, classes + 1)[1:-1])
    return np.digitize(field, edges).astype(np.uint8)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(14, 17), (8, 10, 9)]),
    st.integers(2, 4),
    st.floats(0.1, 6),
    st.floats(0.3, 4),
    st.integers(0, 999),
)
def test_soft_targets_sum_to_one_and_conserve_each_class(
    shape: tuple[int, ...], classes: int, sigma: float, spacing: float, seed: int
) -> None:
    mask = blobs(shape, classes, seed)
    spacings = (spacing,) * (len(shape) - 1) + (1.0,)
    soft = soft_targets(mask, spacings, sigma, classes)
    assert soft.shape == (classes, *shape)
    np.testing.assert_allclose(soft.sum(axis=0), 1, atol=1e-5)
    assert soft.min() >= 0
    np.testing.assert_allclose(
        soft.reshape(classes, -1).sum(axis=1), np.bincount(mask.ravel(), minlength=classes), rtol=1e-4
    )


def test_the_filter_is_as_wide_in_millimetres_on_every_axis() -> None:
    mask = np.zeros((41, 81), dtype=np.uint8)
    mask[20, 40] = 1
    soft = soft_targets(mask, (2.0, 1.0), 4.0, 2)[1]
    spread = [
        np.sqrt(np.sum(soft.sum(axis=1 - axis) * ((np.arange(n) - n // 2) * s) ** 2))
        for axis, (n, s) in enumerate(((41, 2.0), (81, 1.0)))
    ]
    np.testing.assert_allclose(spread, 4.0, rtol=0.02)


def test_classes_that_are_absent_are_zero() -> None:
    soft = soft_targets(np.ones((4, 4), np.uint8), (1.0, 1.0), 1.0, 3)
    np.testing.assert_allclose(soft[[0, 2]], 0)


def ball(radius: int, dims: int) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(-radius, radius + 1)] * dims, indexing="ij")
    return sum(axis**2 for axis in axes) <= radius**2


@pytest.mark.parametrize("shape", [(30, 34), (16, 18, 15)])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_opening_and_closing_agree_with_scipy(shape: tuple[int, ...], radius: int) -> None:
    mask = np.pad(blobs(shape, 2, radius), radius + 1)  # away from the edge, where the conventions differ
    structure = ball(radius, len(shape))
    spacing = (1.0,) * len(shape)
    np.testing.assert_array_equal(opened(mask, spacing, radius), ndimage.binary_opening(mask, structure))
    np.testing.assert_array_equal(closed(mask, spacing, radius), ndimage.binary_closing(mask, structure))


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 4), st.floats(0.5, 3), st.integers(2, 4), st.integers(0, 999))
def test_properties_of_opening_and_closing(radius: float, spacing: float, classes: int, seed: int) -> None:
    mask = blobs((15, 18), classes, seed)
    spacings = (spacing, 1.0)
    if classes == 2:
        assert np.all(opened(mask, spacings, radius) <= mask)
        once = opened(mask, spacings, radius)
        np.testing.assert_array_equal(opened(once, spacings, radius), once)
        once = closed(mask, spacings, radius)
        np.testing.assert_array_equal(closed(once, spacings, radius), once)
    grown = closed(mask, spacings, radius)
    np.testing.assert_array_equal(grown[mask > 0], mask[mask > 0])
    assert set(np.unique(opened(mask, spacings, radius))) <= set(np.unique(mask)) | {0}


def test_radii_are_millimetres_on_anisotropic_grids() -> None:
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[8:12, 2:18] = 1  # 4 rows of 3 mm are 12 mm thick, 16 columns of 1 mm are 16 mm long
    assert opened(mask, (3.0, 1.0), 4.0).any()
    assert not opened(mask, (1.0, 1.0), 4.0).any()


def test_what_opening_removes_goes_to_the_nearest_class() -> None:
    mask = np.zeros((21, 21), dtype=np.uint8)
    mask[4:17, 4:17] = 1
    mask[10, 10] = 2
    assert set(np.unique(opened(mask, (1.0, 1.0), 2.0))) == {0, 1}
    assert opened(mask, (1.0, 1.0), 2.0)[10, 10] == 1


def test_closing_at_the_edge_fills_nothing_new() -> None:
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[5:7, 2:10] = 1
    np.testing.assert_array_equal(closed(mask, (1.0, 1.0), 3.0), mask)


def test_steps_in_order_and_batches() -> None:
    masks = np.stack([blobs((12, 12), 3, seed) for seed in range(4)])
    smoothing = Smoothing(gaussian_mm=1.0, opening_mm=1.0, closing_mm=1.0)
    together = smoothing.apply(masks, (1.0, 1.0), 3)
    assert together.shape == (4, 3, 12, 12)
    by_hand = soft_targets(closed(opened(masks[2], (1.0, 1.0), 1.0), (1.0, 1.0), 1.0), (1.0, 1.0), 1.0, 3)
    np.testing.assert_array_equal(together[2], by_hand)
    assert Smoothing(opening_mm=1.0).apply(masks, (1.0, 1.0), 3).shape == masks.shape
