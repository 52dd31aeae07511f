"""Shapes of what preprocessing returns in 2D and 3D, as types that are checked at each call."""

import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float, Float32, Float64, Int64, Integer, TypeCheckError, UInt8, jaxtyped

from equipoise.cohorts.cohort import Cohort, Image
from equipoise.preprocessing import Pipeline, Prepared, Record, prepare
from equipoise.preprocessing.one_by_one import prepare_each
from equipoise.testing.phantoms.cases import phantom

TYPED = jaxtyped(typechecker=beartype)
SIZES = {2: (12, 15), 3: (10, 12, 15)}
TABLES = [
    {},
    {"scale": "zscore", "crop": {"margin_mm": 2}, "resample": 0.8},
    {"scale": "symmetric", "resample": 1.7, "size": 16},
    {"scale": {"percentiles": [1, 99]}, "size": 9},
]
CLASSES = 3


@TYPED
def prepared(image: Float32[np.ndarray, "channels *grid"], target: UInt8[np.ndarray, "*grid"] | None) -> None:
    """An image on the prepared grid, with its mask on the same one."""


@TYPED
def softened(image: Float32[np.ndarray, "channels *grid"], target: Float32[np.ndarray, f"{CLASSES} *grid"]) -> None: ...


@TYPED
def restored(
    pipeline: Pipeline, record: Record, own: Image, prediction: Integer[np.ndarray, "*prepared"]
) -> Integer[np.ndarray, "*own_grid"]:
    return pipeline.undo(prediction, record)


@TYPED
def there_and_back(
    record: Record, places: Float64[np.ndarray, "n axes"], shape: tuple[int, ...]
) -> Float64[np.ndarray, "n axes"]:
    return record.places_back(record.places_forward(places, shape), shape)


@TYPED
def classification_arrays(
    cohort: Cohort, n: int
) -> tuple[Float32[np.ndarray, "{n} 2 20 20"], Int64[np.ndarray, "{n}"]]:
    return prepare(cohort, range(n), Pipeline())


@TYPED
def mask_arrays(
    cohort: Cohort, n: int, pipeline: Pipeline
) -> tuple[Float32[np.ndarray, "{n} 2 *grid"], UInt8[np.ndarray, "{n} *grid"] | Float[np.ndarray, "{n} 3 *grid"]]:
    return prepare(cohort, range(n), pipeline)


@TYPED
def mask_case(
    image: Float32[np.ndarray, "channels *grid"],
    target: UInt8[np.ndarray, "*grid"] | Float32[np.ndarray, "classes *grid"],
    truth: UInt8[np.ndarray, "*own"],
) -> None: ...


def image(dims: int) -> Image:
    generator = np.random.default_rng(dims)
    pixels = generator.random((2, *SIZES[dims])).astype(np.float32)
    pixels[:, :2] = 0  # an empty border, so that a crop changes the grid
    affine = np.diag([-1.5, 1.2, 1.0, 1.0]) if dims == 3 else None
    mask = generator.integers(0, CLASSES, SIZES[dims]).astype(np.uint8)
    return Image(pixels, (1.0, 1.2, 1.5)[3 - dims :], mask, affine)


def run(dims: int, **table: object) -> tuple[Pipeline, Prepared]:
    pipeline = Pipeline.from_settings(table)
    return pipeline, pipeline.apply(image(dims), CLASSES)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("table", TABLES)
def test_image_and_mask_share_the_prepared_grid(table: dict[str, object], dims: int) -> None:
    pipeline, result = run(dims, **table)
    prepared(result.image, result.target)
    assert result.image.shape[0] == 2
    assert result.image.ndim == dims + 1
    assert restored(pipeline, result.record, image(dims), result.target).shape == SIZES[dims]
    there_and_back(result.record, np.zeros((5, dims)), result.image.shape[1:])


@pytest.mark.parametrize("dims", [2, 3])
def test_soft_targets_have_a_leading_axis_of_classes(dims: int) -> None:
    _, result = run(dims, smooth_labels=1.0, size=14)
    softened(result.image, result.target)


def test_arrays_of_a_cohort() -> None:
    classification_arrays(phantom(cases=5, size=20, channels=2), 5)
    masks = phantom(task="segmentation", cases=4, size=20, channels=2, classes=3)
    mask_arrays(masks, 4, Pipeline())
    mask_arrays(masks, 4, Pipeline.from_settings({"smooth_labels": 1.0}))
    for case in prepare_each(masks, range(2), Pipeline.from_settings({"resample": 2.0})):
        mask_case(case.image, case.target, case.truth)
        assert case.truth.shape == (20, 20)


def test_a_wrong_shape_is_noticed() -> None:
    """The check itself: a mask on another grid than its image, and doubles in place of float32."""
    _, result = run(2)
    with pytest.raises(TypeCheckError):
        prepared(result.image, result.target.T)
    with pytest.raises(TypeCheckError):
        prepared(result.image.astype(np.float64), result.target)
