"""Scaled intensities against their definitions, MONAI, and what must never matter: batches and neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import minmax_scale

from equipoise.preprocessing.intensity import Scale, foreground

EVERY = [
    Scale("none"),
    Scale("unit"),
    Scale("symmetric"),
    Scale("zscore"),
    Scale("window_hu", -160, 240),
    Scale("percentiles", 1, 99),
]


@pytest.fixture(scope="module")
def ct() -> np.ndarray:
    generator = np.random.default_rng(0)
    pixels = generator.normal(0, 300, (2, 3, 10, 12, 14)).astype(np.int16)
    pixels[..., :2, :] = -1024
    return np.maximum(pixels, -1024)


def test_ranges(ct: np.ndarray) -> None:
    unit, symmetric = Scale("unit").apply(ct, 3), Scale("symmetric").apply(ct, 3)
    axes = (-3, -2, -1)
    np.testing.assert_allclose(unit.min(axis=axes), 0)
    np.testing.assert_allclose(unit.max(axis=axes), 1)
    np.testing.assert_allclose(symmetric, 2 * unit - 1, atol=1e-6)
    window = Scale("window_hu", -160, 240).apply(ct, 3)
    np.testing.assert_allclose(window, np.clip((ct + 160.0) / 400, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(Scale("none").apply(ct, 3), ct)


def test_zscore_counts_the_foreground_only(ct: np.ndarray) -> None:
    scaled = Scale("zscore").apply(ct, 3)
    for case in range(2):
        for channel in range(3):
            inside = ct[case, channel] > ct[case, channel].min()
            values = ct[case, channel].astype(float)
            expected = (values - values[inside].mean()) / values[inside].std()
            np.testing.assert_allclose(scaled[case, channel], expected, atol=1e-4)


def test_zscore_of_a_flat_foreground_has_no_unit() -> None:
    flat = np.array([[[0, 1 / 3], [1 / 3, 1 / 3]]], np.float32)
    for gain in (1, 1000):
        np.testing.assert_allclose(Scale("zscore").apply(flat * gain, 2)[0], [[-1, 0], [0, 0]], atol=1e-6)


def test_percentiles_are_of_the_foreground(ct: np.ndarray) -> None:
    scaled = Scale("percentiles", 5, 90).apply(ct, 3)
    values = ct[1, 2]
    low, high = np.percentile(values[values > values.min()], [5, 90])
    np.testing.assert_allclose(scaled[1, 2], np.clip((values - low) / (high - low), 0, 1), atol=1e-5)


def test_agreement_with_scikit_learn(ct: np.ndarray) -> None:
    columns = ct[0].reshape(3, -1).T.astype(float)
    peer = minmax_scale(columns, (-1, 1)).T.reshape(ct[0].shape)
    np.testing.assert_allclose(Scale("symmetric").apply(ct[0], 3), peer, atol=1e-6)


@pytest.mark.parametrize("scale", EVERY, ids=lambda scale: scale.kind)
def test_a_batch_is_its_cases_one_by_one(scale: Scale, ct: np.ndarray) -> None:
    together = scale.apply(ct, 3)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, np.stack([scale.apply(case, 3) for case in ct]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", EVERY, ids=lambda scale: scale.kind)
def test_the_input_is_left_alone_and_constant_channels_are_finite(scale: Scale) -> None:
    flat = np.full((1, 4, 4), 7, dtype=np.float32)
    result = scale.apply(flat, 2)
    assert np.isfinite(result).all()
    assert len(np.unique(result)) == 1
    result += 1
    assert np.all(flat == 7)
    constant = {"none": 7, "symmetric": -1, "window_hu": 167 / 400}.get(scale.kind, 0)
    np.testing.assert_allclose(scale.apply(flat, 2), constant, atol=1e-6)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int16, (1, 5, 6), elements=st.integers(-2000, 3000)),
    st.sampled_from(EVERY),
)
def test_scaling_never_turns_an_order_round(pixels: np.ndarray, scale: Scale) -> None:
    order = np.argsort(pixels.ravel(), kind="stable")
    scaled = scale.apply(pixels, 2).ravel()[order]
    assert np.isfinite(scaled).all()
    assert np.all(np.diff(scaled) >= -1e-6)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.int16, (1, 5, 6), elements=st.integers(-1000, 1000)),
    st.sampled_from([scale for scale in EVERY if scale.kind in ("unit", "symmetric", "zscore", "percentiles")]),
    st.floats(0.5, 4),
    st.integers(-500, 500),
)
def test_the_unit_of_the_scanner_does_not_matter(pixels: np.ndarray, scale: Scale, gain: float, offset: int) -> None:
    np.testing.assert_allclose(scale.apply(pixels * gain + offset, 2), scale.apply(pixels, 2), atol=2e-3)


def test_not_a_number_stays_visible() -> None:
    pixels = np.ones((1, 3, 3), np.float32)
    pixels[0, 1, 1] = np.nan
    for scale in EVERY:
        assert np.isnan(scale.apply(pixels, 2)).any()


def test_foreground_is_what_lies_above_the_smallest_value() -> None:
    pixels = np.array([[[0, 0], [1, 5]], [[3, 3], [3, 4]]])
    assert foreground(pixels, 2).astype(int).tolist() == [[[0, 0], [1, 1]], [[0, 0], [0, 1]]]
