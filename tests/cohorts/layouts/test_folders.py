"""nnU-Net, Decathlon and folder-per-class trees, written as their tools write them, and read back."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.decathlon import decathlon
from equipoise.cohorts.layouts.folders import folders
from equipoise.cohorts.layouts.nnunet import nnunet
from equipoise.cohorts.layouts.patients import patient_of
from equipoise.errors import CohortError, ProtocolError

RNG = np.random.default_rng(0)


def volume(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(data), np.diag([-1.0, 1.5, 2.0, 1.0])), path)


def describe(root, **content):
    (root / "dataset.json").write_text(json.dumps(content))


def nnunet_tree(root, labels, values, version=2):
    for case in ("liver_001", "liver_002"):
        for index in range(2):
            volume(root / "imagesTr" / f"{case}_{index:04d}.nii.gz", RNG.integers(0, 99, (5, 4, 3)).astype(np.int16))
        volume(root / "labelsTr" / f"{case}.nii.gz", RNG.choice(values, (5, 4, 3)).astype(np.uint8))
    channels = {"0": "CT", "1": "PET"}
    describe(
        root,
        **({"channel_names": channels, "file_ending": ".nii.gz"} if version == 2 else {"modality": channels}),
        labels=labels,
    )


def test_nnunet_of_both_versions(tmp_path):
    nnunet_tree(tmp_path / "two", {"background": 0, "liver": 1, "tumour": 2}, (0, 1, 2))
    nnunet_tree(tmp_path / "one", {"0": "background", "1": "liver", "2": "tumour"}, (0, 1, 2), version=1)
    for name in ("two", "one"):
        cohort = nnunet(tmp_path / name)
        assert cohort.classes == ("background", "liver", "tumour")
        assert cohort.channels == ("CT", "PET")
        assert [case.id for case in cohort.cases] == ["liver_001", "liver_002"]
        image = cohort.cases[0].read()
        stored = np.asarray(nib.load(tmp_path / name / "labelsTr" / "liver_001.nii.gz").dataobj)
        assert np.array_equal(image.mask, stored[::-1].T)
        pet = np.asarray(nib.load(tmp_path / name / "imagesTr" / "liver_001_0001.nii.gz").dataobj)
        assert np.array_equal(image.array[1], pet[::-1].T)
        assert image.spacing_mm == (2.0, 1.5, 1.0)
        assert not cohort.patients_known
        assert "states no patients" in cohort.notes[0]


def test_nnunet_regions_and_gaps_in_the_labels(tmp_path):
    nnunet_tree(tmp_path, {"background": 0, "whole": [1, 4], "core": [4]}, (0, 1, 4))
    cohort = nnunet(tmp_path, patient_pattern=r"_(\d+)")
    assert cohort.classes == ("background", "label 1", "label 4")
    assert cohort.regions == {"whole": (1, 2), "core": (2,)}
    assert cohort.patients.tolist() == ["001", "002"]
    assert cohort.patients_known
    assert set(np.unique(cohort.cases[0].read().mask)) == {0, 1, 2}


def test_nnunet_names_images_without_masks_and_missing_channels(tmp_path):
    nnunet_tree(tmp_path, {"background": 0, "liver": 1}, (0, 1))
    (tmp_path / "labelsTr" / "liver_001.nii.gz").unlink()
    cohort = nnunet(tmp_path)
    assert [(p.case, p.problem) for p in cohort.problems] == [("liver_001", "the mask is missing")]
    (tmp_path / "imagesTr" / "liver_002_0001.nii.gz").unlink()
    with pytest.raises(CohortError, match="no case that can be used"):
        nnunet(tmp_path)


def decathlon_tree(root):
    for case in ("BRATS_001", "BRATS_002"):
        volume(root / "imagesTr" / f"{case}.nii.gz", RNG.integers(0, 99, (5, 4, 3, 2)).astype(np.float32))
        volume(root / "labelsTr" / f"{case}.nii.gz", RNG.choice((0, 1, 2), (5, 4, 3)).astype(np.float32))
    pairs = [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in ("BRATS_001", "BRATS_002")]
    return {
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "background", "1": "edema", "2": "core"},
        "training": pairs,
    }


def test_decathlon_reads_channels_from_the_fourth_axis(tmp_path):
    describe(tmp_path, **decathlon_tree(tmp_path))
    cohort = decathlon(tmp_path)
    assert cohort.channels == ("FLAIR", "T1w")
    assert cohort.classes == ("background", "edema", "core")
    image = cohort.cases[1].read()
    stored = np.asarray(nib.load(tmp_path / "imagesTr" / "BRATS_002.nii.gz").dataobj)
    assert np.array_equal(image.array, stored[::-1].transpose(3, 2, 1, 0))
    assert set(cohort.cases[1].sha256) == {"imagesTr/BRATS_002.nii.gz", "labelsTr/BRATS_002.nii.gz"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"training": [{"image": "../secret.nii", "label": "x"}]}, "not a file below its folder"),
        ({"training": [{"image": "/etc/passwd", "label": "x"}]}, "not a file below its folder"),
        ({"training": "all"}, "lists no images and labels"),
        ({"labels": {"background": "x"}}, "do not name whole numbers"),
        ({"labels": 3}, "do not name whole numbers"),
        ({"modality": {"1": "T1"}}, "does not number the channels"),
    ],
)
def test_broken_descriptions_are_refused(tmp_path, change, reason):
    describe(tmp_path, **(decathlon_tree(tmp_path) | change))
    with pytest.raises(RefusedFile, match=reason):
        decathlon(tmp_path)


def test_descriptions_that_are_no_json_object_are_refused(tmp_path):
    for content in ("[1]", "{", "[" * 100_000):
        (tmp_path / "dataset.json").write_text(content)
        with pytest.raises(RefusedFile, match="not valid JSON|not a JSON object"):
            nnunet(tmp_path)


def picture(path, value, size=(6, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


def test_folders_give_classes_parts_and_patients(tmp_path):
    for part in ("train", "val", "test"):
        for value, name in enumerate(("benign", "malignant")):
            for patient in range(2):
                picture(tmp_path / part / name / f"{part}{patient}-a.png", 10 * value + patient)
    cohort = folders(tmp_path, patient_pattern=r"(\w+\d)-")
    assert cohort.classes == ("benign", "malignant")
    assert len(cohort) == 12
    assert {case.part for case in cohort.cases} == {"train", "validation", "test"}
    assert cohort.class_counts() == {"benign": 6, "malignant": 6}
    assert len(set(cohort.patients)) == 6
    case = next(case for case in cohort.cases if case.id == "val/malignant/val1-a.png")
    assert (case.read().array == 11).all()
    assert cohort.spatial_dims == 2
    assert cohort.channels == ("image",)


def test_folders_name_broken_and_odd_files(tmp_path):
    for name in ("a", "b"):
        for index in range(3):
            picture(tmp_path / name / f"{index}.png", index + 10 * (name == "b"))
    (tmp_path / "a" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    Image.fromarray(RNG.integers(0, 9, (6, 7, 3), dtype=np.uint8)).save(tmp_path / "b" / "2.png")
    (tmp_path / "b" / "notes.txt").write_text("no image")
    cohort = folders(tmp_path)
    assert {problem.case for problem in cohort.problems} == {"a/0.png", "b/2.png"}
    assert len(cohort) == 4
    assert len(folders(tmp_path, on_problem="exclude").excluded) == 2


def test_folders_without_classes_say_so(tmp_path):
    with pytest.raises(CohortError, match="at least two"):
        folders(tmp_path)
    with pytest.raises(CohortError, match="not a folder"):
        folders(tmp_path / "none")


def test_patterns_that_do_not_fit_are_named():
    with pytest.raises(ProtocolError, match="not a valid regular expression"):
        patient_of("a", "(")
    with pytest.raises(CohortError, match="finds no group in 'a'"):
        patient_of("a", r"(\d+)")


@pytest.mark.long
def test_the_real_jpeg_slices_read_as_a_cohort(shared_data, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).symlink_to(shared_data / "brats2021_slices_jpg" / kind)
    cohort = folders(tmp_path, patient_pattern=r"(BraTS2021_\d+)", classes=["images", "masks"])
    assert len(cohort) == 80
    assert cohort.problems == ()


@pytest.mark.parametrize(("one", "other"), [("\u00e9", "e\u0301"), ("a", "A"), ("a", "a ")])
def test_class_folders_that_look_the_same_are_asked(tmp_path, one, other):
    for number, name in enumerate((one, other, "b")):
        picture(tmp_path / name / f"{number}.png", number)
    with pytest.raises(CohortError, match="class folders .* only in .*; rename one, or name all classes"):
        folders(tmp_path)
    assert folders(tmp_path, classes=[one, other, "b"]).classes == (one, other, "b")


def test_a_class_whose_folder_is_spelled_otherwise_is_asked(tmp_path):
    for number, name in enumerate(("e\u0301", "b", "c")):
        picture(tmp_path / name / f"{number}.png", number)
    with pytest.raises(CohortError, match="no folder of the class .* rename the folder"):
        folders(tmp_path, classes=["\u00e9", "b", "c"])
