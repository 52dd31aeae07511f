"""Arrays with a side table: the project's own kind of data, by the names the user gives."""

import csv

import numpy as np
import pytest

from equipoise.cohorts.layouts.array_table import arrays
from equipoise.errors import CohortError, EquipoiseError, ProtocolError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 1000, (6, 5, 4)).astype(np.int16)
MASKS = RNG.choice([0, 255], (6, 5, 4)).astype(np.uint8)


@pytest.fixture
def source(tmp_path):
    np.savez(tmp_path / "d.npz", images=PIXELS, masks=MASKS, rating=np.array([1, 2, 3, 3, 4, 5]))
    (tmp_path / "d.csv").write_text(
        "id,who,rating,spacing,offset,site\n"
        + "\n".join(f"n{i},P{i // 2},{r},{0.5 + i / 10},{100 * i},Ulm" for i, r in enumerate([1, 2, 3, 3, 4, 5]))
    )
    return tmp_path / "d.npz"


def test_classes_patients_spacing_and_offsets_come_from_columns(source):
    cohort = arrays(
        source,
        images="images",
        labels="rating",
        groups="who",
        case="id",
        table="d.csv",
        spacing_mm="spacing",
        subtract="offset",
    )
    assert cohort.classes == ("1", "2", "3", "4", "5")
    assert cohort.patients.tolist() == ["P0", "P0", "P1", "P1", "P2", "P2"]
    assert [case.id for case in cohort.cases] == [f"n{i}" for i in range(6)]
    image = cohort.cases[4].read()
    assert np.array_equal(image.array[0], PIXELS[4] - 400.0)
    assert image.spacing_mm == (0.9, 0.9)
    assert image.mask is None
    assert cohort.cases[4].attributes["site"] == "Ulm"
    assert set(cohort.cases[4].sha256) == {"d.npz", "d.csv"}


def test_a_threshold_makes_two_classes_and_excludes_equals(source):
    cohort = arrays(source, images="images", labels="rating", threshold=3, classes=["benign", "malignant"])
    assert cohort.labels.tolist() == [0, 0, 1, 1]
    assert [exclusion.case for exclusion in cohort.excluded] == ["row-000002", "row-000003"]
    assert not cohort.patients_known


def test_masks_give_classes_in_the_order_of_their_values(source):
    cohort = arrays(source, images="images", masks="masks", task="segmentation", classes=["background", "tumour"])
    image = cohort.cases[2].read()
    assert np.array_equal(image.mask, MASKS[2] // 255)
    assert image.array.dtype == np.int16
    assert np.array_equal(image.array[0], PIXELS[2])


def test_axes_are_asked_for_where_the_shape_leaves_doubt(tmp_path):
    pixels = RNG.integers(0, 9, (4, 2, 5, 6)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, y=np.array([0, 1, 0, 1]))
    with pytest.raises(ProtocolError, match="set axes to one of"):
        arrays(tmp_path / "a.npz", images="images", labels="y")
    two = arrays(tmp_path / "a.npz", images="images", labels="y", axes="ncyx")
    assert two.spatial_dims == 2
    assert np.array_equal(two.cases[3].read().array, pixels[3])
    three = arrays(tmp_path / "a.npz", images="images", labels="y", axes="nzyx")
    assert three.spatial_dims == 3
    assert np.array_equal(three.cases[3].read().array[0], pixels[3])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"images": "image", "labels": "rating"}, "no array 'image', only images, masks, rating"),
        ({"images": "images"}, "cohort.labels is missing"),
        ({"images": "images", "labels": "nothing"}, "no array 'nothing'"),
        ({"images": "images", "labels": "rating", "classes": ["a", "b"]}, "holds 5 classes"),
        (
            {"images": "images", "labels": "rating", "spacing_mm": "site", "table": "d.csv"},
            "'Ulm' where a number belongs",
        ),
        ({"images": "images", "task": "segmentation"}, "cohort.masks is missing"),
        ({"images": "images", "task": "segmentation", "masks": "rating"}, r"has the shape \(6,\)"),
        ({"images": "images", "task": "segmentation", "masks": "masks", "classes": ["a"]}, "holds 2 values"),
        ({"images": "images", "task": "detection"}, "cohort.masks is missing"),
        ({"images": "images", "labels": "rating", "table": "short.csv"}, "6 images and its table 1 rows"),
    ],
)
def test_wrong_settings_say_what_to_do(source, settings, reason):
    source.with_name("short.csv").write_text("a\n1\n")
    with pytest.raises(EquipoiseError, match=reason):
        arrays(source, **settings)


@pytest.mark.long
def test_the_real_nodules_and_brain_slices_read(shared_data):
    path = shared_data / "lidc_nodules2d" / "lidc_nodules2d_dev.npz"
    cohort = arrays(
        path,
        images="images",
        labels="malignancy_primary",
        threshold=3,
        groups="patient_id",
        case="nodule_id",
        table="lidc_nodules2d_dev.csv",
        spacing_mm="pixel_spacing_mm",
        subtract="hu_offset_guess",
        size_attribute="area_px",
    )
    truth = np.load(path, allow_pickle=False)
    rating = truth["malignancy_primary"]
    assert len(cohort) == (rating != 3).sum()
    assert cohort.class_counts() == {"low": (rating < 3).sum(), "high": (rating > 3).sum()}
    with (path.with_suffix(".csv")).open() as stream:
        row = next(csv.DictReader(stream))
    image = cohort.cases[0].read()
    assert np.array_equal(image.array[0], truth["images"][0] - np.float32(row["hu_offset_guess"]))
    assert cohort.cases[0].patient == row["patient_id"]
    brains = arrays(
        shared_data / "cheng_t1c_128" / "cheng_brain_t1c_128_dev.npz",
        images="images",
        masks="masks",
        groups="pseudo_group",
        task="segmentation",
    )
    assert len(brains) == 2447
    assert len(set(brains.patients)) < 2447
    assert brains.cases[9].read().mask.max() == 1


def test_a_length_that_differs_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, y=np.array([0, 1]))
    with pytest.raises(CohortError, match="6 images and 2 values of 'y'"):
        arrays(tmp_path / "a.npz", images="images", labels="y")


def test_a_label_that_is_not_a_number_is_a_problem_and_no_class(tmp_path):
    labels = np.array([0.0, 1.0, np.nan, 1.0, 0.0, np.nan])
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=labels)
    cohort = arrays(tmp_path / "a.npz", images="images", labels="labels")
    assert cohort.classes == ("0.0", "1.0")
    assert cohort.labels.tolist() == [0, 1, 1, 0]
    assert [problem.case for problem in cohort.problems] == ["row-000002", "row-000005"]
    without = arrays(tmp_path / "a.npz", images="images", labels="labels", on_problem="exclude")
    assert [row.reason for row in without.excluded] == ["it has no labels"] * 2
    ratings = arrays(tmp_path / "a.npz", images="images", labels="labels", threshold=0.5, on_problem="exclude")
    assert (ratings.labels.tolist(), len(ratings.excluded)) == ([0, 1, 1, 0], 2)
    with pytest.raises(ProtocolError, match='choose "stop" or "exclude"'):
        arrays(tmp_path / "a.npz", images="images", labels="labels", on_problem="ignore")


def test_numbers_of_one_value_are_one_class_and_stated_values_keep_their_names(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS)
    (tmp_path / "a.csv").write_text("y\n" + "\n".join(["0", "0.0", "1", "1.0", "NA", "1"]) + "\n")
    settings = {"images": "images", "labels": "y", "table": "a.csv", "on_problem": "exclude"}
    assert arrays(tmp_path / "a.npz", **settings).class_counts() == {"0": 2, "1": 3}
    turned = arrays(tmp_path / "a.npz", classes=["1", "0"], **settings)
    assert turned.class_counts() == {"1": 3, "0": 2}, "names that are values are not given by position"
    named = arrays(tmp_path / "a.npz", classes=["healthy", "ill"], **settings)
    assert named.class_counts() == {"healthy": 2, "ill": 3}


def test_rows_without_a_patient_are_not_all_of_one(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, y=np.array([0, 1] * 3), who=np.array(["a", "b", "", "c", "nan", "d"]))
    with pytest.raises(CohortError, match="2 rows of .* have no who, first row 2; fill it in"):
        arrays(tmp_path / "a.npz", images="images", labels="y", groups="who")
