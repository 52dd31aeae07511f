"""Inputs that could be read in two ways: each is a refusal with a remedy, or an answer with a warning."""

import csv
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from deploy_bundles import contract_for, training_images

from equipoise.cohorts.cohort import Image
from equipoise.deploy.inputs import find_cases
from equipoise.deploy.limits import limits_of, shear_degrees
from equipoise.deploy.predict import predict
from equipoise.deploy.predictor import Predictor
from equipoise.errors import EquipoiseError

SPACING = np.diag([0.5, 1.0, 2.0, 1.0])


def values(seed=0, sides=(8, 9, 6)):
    """Values 0 to 2 of a volume (x, y, z)."""
    return np.random.default_rng(seed).uniform(0, 2, sides).astype(np.float32)


def rows(out):
    """The rows of predictions.csv by case."""
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def tilted(degrees):
    """The grid whose slices are shifted along y by a tilt, as gantries do."""
    affine = SPACING.copy()
    affine[1, 2] = 2.0 * np.tan(np.radians(degrees))
    return affine


def test_a_sheared_grid_is_refused(tmp_path, pristine_bundle):
    for degrees in (0, 0.3, 20):
        nib.save(nib.Nifti1Image(values(), tilted(degrees)), tmp_path / f"t{degrees}.nii.gz")
    predict(pristine_bundle, [tmp_path], tmp_path.parent / "sheared")
    table = rows(tmp_path.parent / "sheared")
    assert [table[f"t{degrees}"]["status"] for degrees in (0, 0.3, 20)] == ["answered", "answered", "failed"]
    assert "sheared by 20.0°" in table["t20"]["reason"]
    assert "resample it to a rectangular grid" in table["t20"]["reason"]


def test_a_shear_is_the_angle_off_a_right_one_in_any_orientation():
    draw = np.random.default_rng(0)
    for degrees in (0, 5, 30, 45):
        turn, _ = np.linalg.qr(draw.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = turn @ tilted(degrees)[:3, :3]
        image = Image(values().transpose(2, 1, 0)[None], (2.0, 1.0, 0.5), None, affine)
        assert shear_degrees(image) == pytest.approx(degrees, abs=1e-6)
    assert shear_degrees(replace(image, affine=None)) == 0
    flat = Image(np.zeros((1, 1, 9, 8)), (2.0, 1.0, 0.5), None, tilted(0.4))
    assert shear_degrees(flat) == 0


def test_a_trial_of_sheared_images_is_answered_as_it_was_judged():
    contract = contract_for()
    images = [replace(image, affine=tilted(20)) for image in training_images(contract)]
    assert "sheared" not in limits_of(training_images(contract))
    assert limits_of(images)["sheared"] is True
    assert not Predictor(contract, lambda array: array, limits_of(images)).check(images[0])
    with pytest.raises(EquipoiseError, match="sheared by 20"):
        Predictor(contract, lambda array: array, limits_of(training_images(contract))).check(images[0])


@pytest.mark.parametrize("names", ["a_0000 a_0001 a_0002", "a_0000 a_0001 a_0002 b_0000 b_0001", "a_0000", "0000 0001"])
def test_numbers_of_cases_are_not_taken_for_those_of_channels(tmp_path, names):
    contract = replace(contract_for(), channels=("axial", "coronal", "sagittal"))
    for name in names.split():
        (tmp_path / f"{name}.png").touch()
    if names == "0000 0001":
        assert [case.id for case in find_cases([tmp_path], contract)] == ["0000", "0001"]
        return
    with pytest.raises(EquipoiseError, match="give a table with the columns case and image_axial, image_coronal"):
        find_cases([tmp_path], contract)


def test_complete_sets_of_several_cases_are_channels(tmp_path):
    contract = replace(contract_for(), channels=("t1", "t2"))
    for name in ("a_0000", "a_0001", "b_0001", "b_0000"):
        (tmp_path / f"{name}.nii").touch()
    cases = {case.id: [file.name for file in case.images] for case in find_cases([tmp_path], contract)}
    assert cases == {"a": ["a_0000.nii", "a_0001.nii"], "b": ["b_0000.nii", "b_0001.nii"]}
    contract = replace(contract_for(), channels=("0000", "0001"))
    for file in tmp_path.glob("b_*"):
        file.unlink()
    assert [case.id for case in find_cases([tmp_path], contract)] == ["a"]
