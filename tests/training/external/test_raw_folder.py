"""nnU-Net's raw layout of a job: training and validation cases of this very split, and nothing else."""

import json

import nibabel
import numpy as np
import pytest
from nnunet_jobs import job, squares

from equipoise.training.external.raw_folder import DATASET, as_volume, raw_folder, stamp_of


@pytest.fixture
def parts():
    return {"train": squares(3), "validation": squares(2, seed=1, prefix="v")}


def test_images_and_labels_lie_as_nnunet_wants_them(tmp_path, parts):
    split = raw_folder(job(tmp_path), parts, tmp_path / "nnunet")
    place = tmp_path / "nnunet" / "raw" / DATASET
    assert split == {"train": ["t00000", "t00001", "t00002"], "val": ["v00000", "v00001"]}
    assert sorted(file.name for file in (place / "imagesTr").iterdir()) == sorted(
        f"{name}_0000.nii" for names in split.values() for name in names
    )
    described = json.loads((place / "dataset.json").read_text())
    # a class that its user named "ignore" must not become nnU-Net's
    assert described["labels"] == {"background": 0, "class 1": 1}
    assert described["numTraining"] == 5
    image = nibabel.load(place / "imagesTr" / "t00001_0000.nii")
    assert image.header.get_zooms() == (1.0, 1.0, 2.0)
    assert np.array_equal(image.get_fdata().transpose(2, 1, 0).astype(np.float32), parts["train"].images[1][0])
    mask = nibabel.load(place / "labelsTr" / "v00000.nii").get_fdata().transpose(2, 1, 0)
    assert np.array_equal(mask, parts["validation"].targets[0])


def test_unlabelled_voxels_become_nnunets_ignore(tmp_path, parts):
    parts["train"].targets[0, :3] = 255
    raw_folder(job(tmp_path, ignores=True), parts, tmp_path / "nnunet")
    place = tmp_path / "nnunet" / "raw" / DATASET
    assert json.loads((place / "dataset.json").read_text())["labels"]["ignore"] == 2
    assert (nibabel.load(place / "labelsTr" / "t00000.nii").get_fdata()[..., :3] == 2).all()


def test_flat_images_are_single_planes_far_from_the_next():
    volume, spacing = as_volume(np.zeros((1, 4, 5)), (2.0, 1.0))
    assert volume.shape == (1, 1, 4, 5)
    assert spacing == (1998.0, 2.0, 1.0)
    assert as_volume(np.zeros((1, 4, 5, 6)), (1.0, 2.0, 3.0))[1] == (1.0, 2.0, 3.0)


def test_test_cases_cannot_be_written(tmp_path, parts):
    for wrong in ({**parts, "test": squares(1)}, {"train": parts["train"]}):
        with pytest.raises(ValueError, match="trains with train and validation"):
            raw_folder(job(tmp_path), wrong, tmp_path / "nnunet")
    assert not (tmp_path / "nnunet").exists()


@pytest.mark.long
def test_what_lies_there_from_another_split_or_plan_is_removed(tmp_path, parts):
    folder = tmp_path / "nnunet"
    raw_folder(job(tmp_path), parts, folder)
    stale = folder / "preprocessed" / "stale"
    stale.mkdir(parents=True)
    raw_folder(job(tmp_path), parts, folder)
    assert stale.exists()  # these very cases: what was prepared of them is kept
    other = {"train": parts["validation"], "validation": parts["train"]}
    for the_job, cases in (
        (job(tmp_path), other),
        (job(tmp_path, planner="nnUNetPlannerResEncM"), parts),
        (job(tmp_path), {**parts, "train": squares(3, seed=5)}),
    ):
        stale.mkdir(parents=True, exist_ok=True)
        raw_folder(the_job, cases, folder)
        assert not stale.exists()
    (folder / "whole.json").write_text("{")  # a kill while it was written
    stale.mkdir(parents=True)
    raw_folder(job(tmp_path), parts, folder)
    assert not stale.exists()
    assert len(list((folder / "raw" / DATASET / "labelsTr").iterdir())) == 5


def test_the_stamp_depends_on_pixels_names_and_settings(tmp_path, parts):
    stamps = {stamp_of(job(tmp_path, **settings), parts) for settings in ({}, {"epochs": 2}, {"minutes": 2.0})}
    changed = parts["train"].images.copy()
    changed[0, 0, 0, 0, 0] += 1
    from dataclasses import replace

    stamps.add(stamp_of(job(tmp_path), {**parts, "train": replace(parts["train"], images=changed)}))
    renamed = replace(parts["train"], cases=("x", *parts["train"].cases[1:]))
    stamps.add(stamp_of(job(tmp_path), {**parts, "train": renamed}))
    assert len(stamps) == 5
