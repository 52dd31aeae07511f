"""Masks come home: 48 orientations, anisotropic spacing, crops and sizes; and pipelines are data."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from equipoise.cohorts.cohort import Image
from equipoise.errors import ProtocolError
from equipoise.preprocessing import Pipeline, Record

SPACING = (2.5, 0.8, 1.3)
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def scan(permutation: tuple[int, ...] = (0, 1, 2), signs: tuple[int, ...] = (1, 1, 1), seed: int = 0) -> Image:
    """A bright body in an empty border, with two nested classes, somewhere off the middle."""
    shape = (18, 40, 30)
    generator = np.random.default_rng(seed)
    centre = np.array(shape) * generator.uniform(0.42, 0.58, 3)
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    far = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, SPACING, strict=True)))
    mask = (far < 10).astype(np.uint8) + (far < 6).astype(np.uint8)
    body = (far < 14) * (100 + generator.normal(0, 5, shape)) + mask * 50
    affine = np.zeros((4, 4))
    for voxel, world in enumerate(permutation):
        affine[world, voxel] = signs[voxel] * SPACING[2 - voxel]
    affine[3, 3] = 1
    return Image(np.stack([body, body * 2]).astype(np.float32), SPACING, mask, affine)


def near_boundary(mask: np.ndarray, voxels: int) -> np.ndarray:
    edge = ndimage.maximum_filter(mask, 3) != ndimage.minimum_filter(mask, 3)
    return ndimage.binary_dilation(edge, iterations=voxels)


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_masks_come_home_from_every_orientation(permutation: tuple[int, ...], signs: tuple[int, ...]) -> None:
    image = scan(permutation, signs)
    assert image.mask is not None
    exact = Pipeline.from_settings({"crop": {"margin_mm": 3}, "size": [30, 40, 44]})
    prepared = exact.apply(image)
    assert prepared.image.shape == (2, 30, 40, 44)
    assert prepared.target is not None
    np.testing.assert_array_equal(exact.undo(prepared.target, prepared.record), image.mask)
    coarse = Pipeline.from_settings({"crop": {"margin_mm": 3}, "resample": 1.0, "size": 48})
    prepared = coarse.apply(image)
    assert prepared.image.shape == (2, 48, 48, 48)
    assert prepared.target is not None
    home = coarse.undo(prepared.target, prepared.record)
    assert home.shape == image.mask.shape
    assert not (home != image.mask)[~near_boundary(image.mask, 0)].any()
    for value in (1, 2):
        overlap = 2 * np.sum((home == value) & (image.mask == value))
        assert overlap / (np.sum(home == value) + np.sum(image.mask == value)) > 0.95


def test_all_orientations_of_one_scan_give_the_model_the_same_pixels() -> None:
    straight = scan()
    pipeline = Pipeline.from_settings({"scale": "zscore", "crop": True, "size": 32})
    expected = pipeline.apply(straight)
    for permutation, signs in ORIENTATIONS[::5]:
        order = [2 - permutation.index(2 - axis) for axis in range(3)]  # new array axis of each old one
        turned = straight.array.transpose(0, *(1 + int(a) for a in np.argsort(order)))
        spacing = tuple(straight.spacing_mm[int(a)] for a in np.argsort(order))
        flips = [1 + axis for axis in range(3) if signs[2 - axis] < 0]
        turned = np.flip(turned, flips)
        affine = np.zeros((4, 4))
        for voxel, world in enumerate(permutation):
            affine[world, voxel] = signs[voxel] * spacing[2 - voxel]
        found = pipeline.apply(Image(np.ascontiguousarray(turned), spacing, None, affine))
        np.testing.assert_allclose(found.image, expected.image, atol=1e-5)
        assert found.record.spacing_mm == expected.record.spacing_mm


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.booleans(),
    st.one_of(st.none(), st.floats(0.7, 3), st.lists(st.floats(0.7, 3), min_size=3, max_size=3)),
    st.one_of(st.none(), st.integers(20, 50), st.lists(st.integers(20, 50), min_size=3, max_size=3)),
    st.integers(0, 99),
    st.sampled_from(ORIENTATIONS),
)
def test_any_pipeline_brings_masks_home_within_interpolation(
    crop: bool, resample: object, size: object, seed: int, orientation: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    image = scan(*orientation, seed=seed)
    assert image.mask is not None
    pipeline = Pipeline.from_settings({"crop": crop, "resample": resample, "size": size})
    prepared = pipeline.apply(image)
    assert prepared.target is not None
    record = Record.from_json(prepared.record.to_json())
    assert record == prepared.record
    home = pipeline.undo(prepared.target, record)
    reached = pipeline.undo(np.ones(prepared.target.shape, np.uint8), record).astype(bool)  # not cut away by the size
    assert home.dtype == image.mask.dtype
    wrong = (home != image.mask) & reached & ~near_boundary(image.mask, 0 if resample is None else 3)
    assert not wrong.any()
    if resample is None:
        np.testing.assert_array_equal(home[reached], image.mask[reached])


def test_probabilities_come_home_with_background_outside() -> None:
    image = scan((1, 0, 2), (1, -1, 1))
    pipeline = Pipeline.from_settings({"crop": True, "resample": 1.5, "smooth_labels": 1.0})
    prepared = pipeline.apply(image, classes=3)
    assert prepared.target is not None
    np.testing.assert_allclose(prepared.target.sum(axis=0), 1, atol=1e-5)
    home = pipeline.undo(prepared.target, prepared.record, outside=[1, 0, 0])
    assert home.shape == (3, *image.array.shape[1:])
    np.testing.assert_allclose(home.sum(axis=0), 1, atol=1e-5)
    agreement = np.mean(home.argmax(axis=0) == image.mask)
    assert agreement > 0.98


def test_the_record_knows_the_true_spacing() -> None:
    prepared = Pipeline.from_settings({"resample": [2.0, 1.0, 1.0]}).apply(scan())
    extent = [n * s for n, s in zip((18, 40, 30), SPACING, strict=True)]
    np.testing.assert_allclose(np.array(prepared.image.shape[1:]) * prepared.record.spacing_mm, extent)
    np.testing.assert_allclose(prepared.record.spacing_mm, (2.0, 1.0, 1.0), rtol=0.03)


def test_padding_is_each_channels_lowest_value_and_background_in_masks() -> None:
    image = Image(
        np.stack([np.full((4, 4), 5.0), np.arange(16.0).reshape(4, 4) - 30]), (1.0, 1.0), np.ones((4, 4), int)
    )
    prepared = Pipeline.from_settings({"scale": "none", "size": 6}).apply(image)
    assert prepared.image[:, 0, 0].tolist() == [5, -30]
    assert prepared.target is not None
    assert prepared.target[0, 0] == 0


def test_nothing_to_do_changes_nothing_but_the_type() -> None:
    image = scan()
    pipeline = Pipeline.from_settings({"scale": "none"})
    prepared = pipeline.apply(image)
    np.testing.assert_array_equal(prepared.image, image.array)
    assert prepared.record.steps == ()
    assert not np.shares_memory(prepared.image, image.array)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"scale": "symmetric", "crop": True},
        {"scale": {"window_hu": [-1000, 400]}, "crop": {"margin_mm": 5}, "resample": 1.0, "size": [32, 64, 64]},
        {"scale": {"percentiles": [0.5, 99.5]}, "smooth_labels": {"opening_mm": 2, "gaussian_mm": 1}},
    ],
)
def test_pipelines_are_data(table: dict[str, object]) -> None:
    pipeline = Pipeline.from_settings(table)
    again = Pipeline.from_json(json.dumps(json.loads(pipeline.to_json())))
    assert again == pipeline
    assert hash(again) == hash(pipeline)
    assert pipeline.hard.smoothing is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"scaling": "unit"}, r"'preprocessing.scaling' is unknown; did you mean 'scale'\? allowed: scale, crop"),
        ({"scale": "minmax"}, "preprocessing.scale = 'minmax' is not allowed: unit, symmetric, zscore, none"),
        ({"scale": {"window": [0, 1]}}, "preprocessing.scale = .* is not allowed"),
        ({"scale": {"window_hu": [400, -1000]}}, r"preprocessing.scale.window_hu = \[400, -1000\] .* the lower first"),
        ({"scale": {"window_hu": 400}}, "two numbers"),
        ({"scale": {"percentiles": [5, 101]}}, "from 0 to 100"),
        ({"crop": 5}, "preprocessing.crop = 5 is not allowed: true, false or"),
        ({"crop": {"margin_mm": -1}}, "0 to 1000 mm"),
        ({"crop": {"margin": 1}}, "margin_mm"),
        ({"resample": 0}, "preprocessing.resample = 0 is not allowed: millimetres from 0.01 to 100"),
        ({"resample": "1 mm"}, "millimetres"),
        ({"resample": [1, 1, 1, 1]}, "one per axis"),
        ({"size": 32.5}, "whole numbers of voxels"),
        ({"size": True}, "whole voxels"),
        ({"size": [0, 32]}, "from 1 to 4096"),
        ({"smooth_labels": -1}, "preprocessing.smooth_labels = -1 is not allowed: millimetres from 0 to 100"),
        ({"smooth_labels": {"sigma": 1}}, "gaussian_mm, opening_mm, closing_mm"),
    ],
)
def test_impossible_values_are_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Pipeline.from_settings(table)


def test_too_many_axes_are_named_when_the_images_are_known() -> None:
    with pytest.raises(ProtocolError, match=r"preprocessing.size = \[8, 8\] .* 3 spatial axes"):
        Pipeline.from_settings({"size": [8, 8]}).apply(scan())


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS[::3])
@pytest.mark.parametrize("settings", [{}, {"crop": {"margin_mm": 3}, "resample": 1.0, "size": 48}])
def test_places_travel_with_the_voxels(permutation, signs, settings) -> None:
    image = scan(permutation, signs)
    pipeline = Pipeline.from_settings(settings)
    prepared = pipeline.apply(image)
    shape = prepared.image.shape[1:]
    centre = np.array([ndimage.center_of_mass(image.mask > 0)])
    there = prepared.record.places_forward(centre, shape)
    np.testing.assert_allclose(there[0], ndimage.center_of_mass(prepared.target > 0), atol=0.3)
    np.testing.assert_allclose(prepared.record.places_back(there, shape), centre, atol=1e-9)


def test_places_beyond_the_window_lie_outside_the_grid() -> None:
    image = Image(np.zeros((1, 20, 30), np.float32), (1.0, 1.0))
    record = Pipeline.from_settings({"size": [10, 40]}).apply(image).record
    assert record.places_forward(np.array([[2.0, 0.0]]), (10, 40)).tolist() == [[-3.0, 5.0]]


def body(shape: tuple[int, ...], spacing: tuple[float, ...], affine: np.ndarray | None, seed: int) -> Image:
    """Nested ellipsoids of two classes, as large as the grid allows, with an affine or without."""
    generator = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    middle = [n / 2 + generator.uniform(-1, 1) for n in shape]
    far = np.sqrt(sum(((a - c) / (0.4 * n)) ** 2 for a, c, n in zip(axes, middle, shape, strict=True)))
    mask = (far < 1).astype(np.uint8) + (far < 0.6).astype(np.uint8)
    return Image((mask * 50.0 + 1)[None].astype(np.float32), spacing, mask, affine)


def mm_to_another_class(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """How far every voxel lies from the nearest voxel of another class."""
    return np.max([ndimage.distance_transform_edt(mask == value, sampling=spacing) for value in range(3)], axis=0)


LENGTHS = st.floats(0.5, 4)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.sampled_from(ORIENTATIONS),
    st.integers(0, 99),
)
def test_masks_come_home_whatever_the_spacings(
    spacing: tuple[float, ...],
    target: tuple[float, ...],
    orientation: tuple[tuple[int, ...], tuple[int, ...]],
    seed: int,
) -> None:
    """A voxel may change its class only within one voxel of the coarser grid of where classes meet."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel, world in enumerate(orientation[0]):
        affine[world, voxel] = orientation[1][voxel] * spacing[2 - voxel]
    image = body((20, 24, 22), spacing, affine, seed)
    assert image.mask is not None
    pipeline = Pipeline.from_settings({"resample": list(target)})
    prepared = pipeline.apply(image)
    assert prepared.target is not None
    home = pipeline.undo(prepared.target, prepared.record)
    coarser = np.linalg.norm(np.maximum(max(spacing), target))
    assert not (home != image.mask)[mm_to_another_class(image.mask, spacing) > coarser].any()


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.tuples(LENGTHS, LENGTHS), st.tuples(LENGTHS, LENGTHS), st.booleans(), st.integers(0, 99))
def test_masks_of_pictures_come_home(
    spacing: tuple[float, ...], target: tuple[float, ...], crop: bool, seed: int
) -> None:
    image = body((40, 36), spacing, None, seed)
    assert image.mask is not None
    pipeline = Pipeline.from_settings({"crop": crop, "resample": list(target), "size": [160, 152]})
    prepared = pipeline.apply(image)
    assert prepared.target is not None
    home = pipeline.undo(prepared.target, prepared.record)
    reached = pipeline.undo(np.ones(prepared.target.shape, np.uint8), prepared.record).astype(bool)
    coarser = np.linalg.norm(np.maximum(spacing, target))
    wrong = (home != image.mask) & reached
    assert not wrong[mm_to_another_class(image.mask, spacing) > coarser].any()


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(st.tuples(LENGTHS, LENGTHS, LENGTHS), st.floats(0.3, 5), st.one_of(st.none(), LENGTHS), st.integers(0, 99))
def test_smoothing_in_a_pipeline_conserves_the_mass_of_every_class(
    spacing: tuple[float, ...], sigma: float, resample: float | None, seed: int
) -> None:
    """What a class loses inside it gains outside: its total is that of the hard mask on the same grid."""
    image = body((18, 20, 22), spacing, None, seed)
    pipeline = Pipeline.from_settings({"resample": resample, "smooth_labels": sigma})
    soft, hard = pipeline.apply(image, classes=3).target, pipeline.hard.apply(image).target
    assert soft is not None
    assert hard is not None
    np.testing.assert_allclose(soft.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(
        soft.reshape(3, -1).sum(axis=1), np.bincount(hard.ravel(), minlength=3), rtol=1e-4, atol=1e-2
    )
