"""Cohorts become arrays: batches equal single cases, it is fast, and what cannot be stacked is named."""

import time
from functools import partial

import numpy as np
import pytest

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.errors import CohortError, ProtocolError
from equipoise.preprocessing import Pipeline, prepare
from equipoise.testing.phantoms.cases import phantom

TABLES = [
    {},
    {"scale": "zscore", "size": 20},
    {"scale": {"percentiles": [1, 99]}, "resample": 1.7, "size": [18, 22]},
    {"crop": True, "size": 24},
]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_batches_equal_single_cases(table: dict[str, object], task: str) -> None:
    cohort = phantom(task=task, cases=12, size=24, channels=2, classes=3)
    pipeline = Pipeline.from_settings(table)
    order = [7, 0, 11, 3]
    images, targets = prepare(cohort, order, pipeline)
    assert images.dtype == np.float32
    for row, index in enumerate(order):
        single = pipeline.apply(cohort.cases[index].read())
        np.testing.assert_allclose(images[row], single.image, rtol=1e-5, atol=1e-6)
        if single.target is not None:
            np.testing.assert_array_equal(targets[row], single.target)
    if task == "classification":
        np.testing.assert_array_equal(targets, cohort.labels[order])
        assert targets.dtype == np.int64


def test_smoothed_labels_are_soft_targets_of_all_classes() -> None:
    cohort = phantom(task="segmentation", cases=4, size=16, classes=4)
    _, targets = prepare(cohort, range(4), Pipeline.from_settings({"smooth_labels": 1.0}))
    assert targets.shape == (4, 4, 16, 16)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)


def test_volumes_of_different_grids_need_a_size() -> None:
    small, large = phantom(cases=2, size=12, spatial_dims=3), phantom(cases=3, size=16, spatial_dims=3, seed=1)
    cases = (small.cases[0], *(Case("x" + case.id, case.patient, case.read, case.label) for case in large.cases))
    cohort = Cohort("mixed", "classification", cases, small.classes, small.channels, 3)
    images, _ = prepare(cohort, range(4), Pipeline.from_settings({"size": 14}))
    assert images.shape == (4, 1, 14, 14, 14)
    with pytest.raises(CohortError, match=r"case xphantom-00000 .* \(1, 16, 16, 16\) .* set preprocessing.size"):
        prepare(cohort, range(4), Pipeline())


def without_mask(case: Case) -> Image:
    image = case.read()
    return Image(image.array, image.spacing_mm)


def test_a_missing_mask_is_named() -> None:
    cohort = phantom(task="segmentation", cases=3)
    bare = Case("bare", "p", partial(without_mask, cohort.cases[0]))
    mixed = Cohort("mixed", "segmentation", (*cohort.cases, bare), cohort.classes, cohort.channels, 2)
    with pytest.raises(CohortError, match="case bare of cohort mixed has no mask"):
        prepare(mixed, range(4), Pipeline())


def test_smoothing_labels_of_a_classification_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"preprocessing\.smooth_labels works on masks"):
        prepare(phantom(cases=4), range(4), Pipeline.from_settings({"smooth_labels": 1.0}))


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(CohortError, match="no case of cohort"):
        prepare(phantom(cases=4), [], Pipeline())


@pytest.mark.long
def test_1500_images_of_one_grid_take_less_than_a_second() -> None:
    stock = np.random.default_rng(0).random((50, 3, 48, 48)).astype(np.float32)
    cases = tuple(Case(f"c{i}", f"p{i}", partial(Image, stock[i % 50], (1.0, 1.0)), i % 2) for i in range(1500))
    cohort = Cohort("fast", "classification", cases, ("a", "b"), ("r", "g", "b"), 2)
    begin = time.process_time()  # a busy machine makes it slower, not more work
    images, _ = prepare(cohort, range(1500), Pipeline.from_settings({"scale": "unit"}))
    assert time.process_time() - begin < 2  # 0.2 s on an idle core
    assert images.shape == (1500, 3, 48, 48)
