"""Inputs that could be read in two ways: each is a refusal with a remedy, or an answer with a warning."""

import csv
import hashlib
import io
import json
import zipfile
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from deploy_bundles import contract_for, training_images
from dicom_series import write_volume
from serving_client import served

from equipoise.cohorts.cohort import Case, Image
from equipoise.deploy.file_reading import count_unplaced
from equipoise.deploy.inputs import find_cases, read_input
from equipoise.deploy.limits import limits_of, outside, shear_degrees
from equipoise.deploy.predict import predict
from equipoise.deploy.predictor import Bundle, Predictor
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


def spoilt(folder, how):
    """A series of six slices, the outermost of which cannot be known for one."""
    write_volume(folder, np.random.default_rng(0).integers(0, 3, (6, 9, 8)).astype(np.int16), SPACING)
    last = max(folder.iterdir())
    content = last.read_bytes()
    last.unlink()
    name = f"{last.name}.dcm.part" if how == "part" else last.name
    content = {"part": content, "zeros": bytes(len(content)), "empty": b"", "bare": content[132:]}[how]
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.long
def test_a_slice_that_is_no_dicom_is_told_in_the_row(tmp_path, pristine_bundle):
    folders = [spoilt(tmp_path / how, how) for how in ("part", "zeros", "empty", "bare")]
    write_volume(tmp_path / "whole", np.ones((6, 9, 8), np.int16), SPACING)
    (tmp_path / "whole" / "README.TXT").write_text("a viewer")
    predict(pristine_bundle, [*folders, tmp_path / "whole"], tmp_path / "out")
    table = rows(tmp_path / "out")
    assert "left out" not in table.pop("whole")["warnings"]
    for how, row in table.items():
        assert (row["status"], row["sides"]) == ("answered", "5; 9; 8"), how
        assert "1 file is no DICOM and left out, first 'IM0185" in row["warnings"], how
        assert "an outer slice of the series may be missing" in row["warnings"], how


@pytest.mark.long
@pytest.mark.parametrize("how", ["part", "zeros"])
def test_a_server_tells_it_too(tmp_path, pristine_bundle, how):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for file in sorted(spoilt(tmp_path / "series", how).iterdir()):
            archive.write(file, f"series/{file.name}")
    with served(pristine_bundle, tmp_path) as client:
        status, headers, content = client.ask("POST", "/predict?as=json", stream.getvalue(), "application/zip")
    assert (status, json.loads(content)["row"]["sides"]) == (200, [5, 9, 8])
    assert "1 file is no DICOM and left out" in headers["equipoise-warnings"]


def test_the_image_of_an_archive_is_not_guessed(tmp_path, pristine_bundle):
    scan, mask = values().transpose(2, 1, 0), np.zeros((6, 9, 8), np.uint8)
    names = np.array(["a", "b"])
    archives = {
        "two": {"mask": mask, "scan": scan},
        "none": {"weights": np.ones(3), "names": names},
        "both": {"image": scan, "images": np.stack([scan] * 2)},
        "one": {"names": names, "scan": scan, "ages": np.ones(3)},
        "named": {"mask": mask, "image": scan},
    }
    for name, arrays in archives.items():
        np.savez(tmp_path / f"{name}.npz", **arrays, affine=SPACING)
    files = [tmp_path / f"{name}.npz" for name in archives]
    predict(pristine_bundle, files, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert [table[name]["status"] for name in archives] == ["failed"] * 3 + ["answered"] * 2
    assert "several arrays that could be the image ('mask', 'scan')" in table["two"]["reason"]
    assert "none of 'weights', 'names'" in table["none"]["reason"]
    assert "both 'image' and 'images'" in table["both"]["reason"]
    for name in ("one", "named"):
        kept = np.asarray(nib.load(tmp_path / "out" / name / "mask.nii.gz").dataobj).transpose(2, 1, 0)
        assert np.array_equal(kept, (scan > 0.5).astype(int) + (scan > 1.5)), name


def test_images_of_several_cases_are_never_the_channels_of_one(tmp_path):
    contract = replace(contract_for(oriented=False), spatial_dims=2, channels=("a", "b", "c"))
    np.savez(tmp_path / "n.npz", images=np.zeros((3, 9, 8)))
    (tmp_path / "t.csv").write_text("case,image\none,n.npz\n")
    (case,) = find_cases([tmp_path / "t.csv"], contract)
    with pytest.raises(EquipoiseError, match="'images' of several cases where one image belongs; give the file itself"):
        read_input(case, contract)


def test_an_empty_cell_of_a_table_is_not_the_folder_of_the_table(tmp_path):
    write_volume(tmp_path, np.ones((6, 9, 8), np.int16), SPACING)
    (tmp_path / "t.csv").write_text("case,image\nfirst,IM0000\nsecond,\n")
    first, second = find_cases([tmp_path / "t.csv"], contract_for())
    assert first.refusal is None
    assert "row 2 of t.csv has nothing in the column image" in second.refusal
    (tmp_path / "t.csv").write_text("image,age\nIM0000,3\n ,4\n")
    assert [case.id for case in find_cases([tmp_path / "t.csv"], contract_for())] == ["IM0000", "row-2"]


def test_a_constant_image_is_told_and_strict_refuses_it(tmp_path, pristine_bundle):
    for name, value in (("zero", 0), ("one", 1)):
        nib.save(nib.Nifti1Image(np.full((8, 9, 6), value, np.int16), SPACING), tmp_path / f"{name}.nii")
    nib.save(nib.Nifti1Image(values(), SPACING), tmp_path / "scan.nii")
    files = sorted(tmp_path.glob("*.nii"))
    predict(pristine_bundle, files, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert "the image is constant (0 everywhere)" in table["zero"]["warnings"]
    assert "the image is constant (1 everywhere)" in table["one"]["warnings"]
    assert "constant" not in table["scan"]["warnings"]
    predict(pristine_bundle, files, tmp_path / "strict", strict=True)
    assert [row["status"] for row in rows(tmp_path / "strict").values()] == ["failed", "answered", "failed"]


def test_one_constant_channel_of_several_is_named():
    contract = contract_for(channels=("t1", "t2"))
    images = training_images(contract)
    image = replace(images[0], array=images[0].array * np.array([1, 0], np.float32).reshape(2, 1, 1, 1))
    sentences = outside(limits_of(images), image, contract.channels)
    assert [text for text in sentences if "constant" in text] == ["t2 is constant (0 everywhere)"]


def test_dicom_whose_values_lie_in_other_bits_is_refused(tmp_path, pristine_bundle):
    write_volume(tmp_path / "scan", np.random.default_rng(0).integers(0, 3, (6, 9, 8)).astype(np.int16), SPACING)
    for file in (tmp_path / "scan").iterdir():
        data = pydicom.dcmread(file)
        data.BitsStored, data.HighBit = 12, 15
        data.save_as(file)
    predict(pristine_bundle, [tmp_path / "scan"], tmp_path / "out")
    row = rows(tmp_path / "out")["scan"]
    assert row["status"] == "failed"
    assert "its HighBit is 15, where the 12 bits that are stored end at bit 11" in row["reason"]


def unplaced_files(folder):
    """The same volume in files that state no orientation, and in one that does."""
    image = nib.Nifti1Image(values(), None)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, folder / "codes.nii")
    sizes, raw = "8 9 6", values().transpose(2, 1, 0).astype("<f4").tobytes()
    header = f"NRRD0005\ntype: float\ndimension: 3\nsizes: {sizes}\nspacings: 1 1 1\nendian: little\nencoding: raw\n\n"
    (folder / "space.nrrd").write_bytes(header.encode() + raw)
    header = f"NDims = 3\nDimSize = {sizes}\nElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
    (folder / "matrix.mha").write_bytes(header.encode() + raw)
    nib.save(nib.MGHImage(values(), SPACING), folder / "flag.mgh")
    content = bytearray((folder / "flag.mgh").read_bytes())
    content[28:30] = bytes(2)
    (folder / "flag.mgh").write_bytes(content)
    nib.save(nib.Spm2AnalyzeImage(values(), SPACING), folder / "analyze.img")
    (folder / "analyze.mat").unlink(missing_ok=True)
    nib.save(nib.Nifti1Image(values(), SPACING), folder / "placed.nii")
    names = ("codes.nii", "space.nrrd", "matrix.mha", "flag.mgh", "analyze.hdr", "placed.nii")
    return [folder / name for name in names]


def test_a_file_without_orientation_is_refused_where_the_trial_had_one(tmp_path, pristine_bundle):
    *files, placed = unplaced_files(tmp_path)
    predict(pristine_bundle, [*files, placed], tmp_path / "out")
    table = rows(tmp_path / "out")
    assert table.pop("placed")["status"] == "answered"
    assert len(table) == 5
    for case, row in table.items():
        assert row["status"] == "failed", case
        assert "left and right are not known" in row["reason"], case
    bundle = Bundle(pristine_bundle)
    for file in files:
        with pytest.raises(EquipoiseError, match="states no orientation"):
            bundle.predict(file)
    bundle.files.record["reading"]["unplaced"] = 1
    for file in files:
        assert bundle.predict(file).masks
    assert Predictor(replace(bundle.contract, oriented=False), bundle.network).predict(files[0]).masks


def test_a_trial_of_files_without_orientation_is_known_by_its_cases(tmp_path):
    *files, placed = unplaced_files(tmp_path)
    cases = [
        Case(file.name, file.name, lambda: None, sha256={file.name: hashlib.sha256(file.read_bytes()).hexdigest()})
        for file in (files[0], placed, files[1])
    ]
    assert count_unplaced(cases, tmp_path) == 2
    assert count_unplaced(cases[1:2], tmp_path) == 0
    assert count_unplaced(cases, None) == 0
