"""Damage is a row: every corrupt or non-finite image is named, and left out on request; remarks are counted."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import tifffile

from equipoise.cohorts.layouts.array_table import arrays
from equipoise.cohorts.layouts.brats import brats
from equipoise.cohorts.layouts.decathlon import decathlon
from equipoise.cohorts.layouts.folders import folders
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.layouts.nnunet import nnunet
from equipoise.errors import CohortError, ProtocolError

RNG = np.random.default_rng(0)


def volume(path, holes=False):
    data = RNG.normal(size=(6, 5, 4)).astype(np.float32)
    if holes:
        data[:2] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return data


def corrupt(path):
    raw = bytearray(path.read_bytes())
    raw[-12] ^= 1  # within the compressed voxels' last bytes: the header is sound
    path.write_bytes(raw)


@pytest.fixture
def table(tmp_path):
    for name in "abcdef":
        volume(tmp_path / f"{name}.nii.gz", holes=name in "bd")
    corrupt(tmp_path / "e.nii.gz")
    rows = [f"{name},P{name},{name}.nii.gz,{index % 2}" for index, name in enumerate("abcdef")]
    (tmp_path / "m.csv").write_text("\n".join(["case,patient,image,label", *rows]) + "\n")
    return tmp_path / "m.csv"


def test_all_damaged_cases_are_listed(table):
    cohort = manifest(table)
    assert [case.id for case in cohort.cases] == ["a", "c", "f"]
    assert [problem.case for problem in cohort.problems] == ["b", "d", "e"]
    assert "NaN" in cohort.problems[0].problem
    assert "gzip" in cohort.problems[2].problem


def test_they_can_be_left_out_or_their_holes_read_as_zero(table):
    cohort = manifest(table, on_problem="exclude")
    assert [left.case for left in cohort.excluded] == ["b", "d", "e"]
    assert not cohort.problems
    cohort = manifest(table, on_problem="exclude", nonfinite="zero")
    assert [left.case for left in cohort.excluded] == ["e"]
    image = next(case for case in cohort.cases if case.id == "b").read()
    truth = np.nan_to_num(np.asarray(nib.load(table.with_name("b.nii.gz")).dataobj)).T
    assert np.array_equal(image.array[0], truth)
    assert str(cohort.remarks[0]) == "40 voxels that were NaN or infinite were read as 0 (2 files, first b.nii.gz)"
    with pytest.raises(ProtocolError, match='choose "refuse" or "zero"'):
        manifest(table, nonfinite="mean")


def test_every_kind_of_file_with_holes_is_a_row(tmp_path):
    import SimpleITK as sitk

    holes = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    holes[0, 0, 0] = np.inf
    for top in "ab":
        (tmp_path / top).mkdir()
        good = np.nan_to_num(holes, posinf=0)
        for suffix in ("nrrd", "mha"):
            sitk.WriteImage(sitk.GetImageFromArray(holes if top == "a" else good), str(tmp_path / top / f"v.{suffix}"))
        nib.save(nib.MGHImage(holes if top == "a" else good, np.eye(4)), tmp_path / top / "v.mgz")
        tifffile.imwrite(tmp_path / top / "v.tif", holes if top == "a" else good, photometric="minisblack")
    cohort = folders(tmp_path)
    assert [problem.case for problem in cohort.problems] == ["a/v.mgz", "a/v.mha", "a/v.nrrd", "a/v.tif"]
    assert all("1 of its voxels are NaN or infinite" in problem.problem for problem in cohort.problems)
    assert not folders(tmp_path, nonfinite="zero").problems


def test_every_source_of_files_knows_the_setting(tmp_path):
    import json

    volume(tmp_path / "imagesTr" / "a_0000.nii.gz", holes=True)
    nib.save(nib.Nifti1Image(np.ones((6, 5, 4), np.uint8), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "a.nii.gz").rename(tmp_path / "labelsTr" / "a.nii.gz")
    description = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "x": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(CohortError, match="nonfinite"):
        nnunet(tmp_path)
    assert len(nnunet(tmp_path, nonfinite="zero")) == 1
    listed = [{"image": "imagesTr/a_0000.nii.gz", "label": "labelsTr/a.nii.gz"}]
    description = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "x"}, "training": listed}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    assert len(decathlon(tmp_path, nonfinite="zero")) == 1
    for kind in ("t1", "t1ce", "t2", "flair"):
        volume(tmp_path / "B" / f"BraTS2021_00001_{kind}.nii.gz", holes=kind == "t2")
    nib.save(nib.Nifti1Image(np.ones((6, 5, 4), np.uint8), np.eye(4)), tmp_path / "B" / "BraTS2021_00001_seg.nii.gz")
    assert len(brats(tmp_path / "B", nonfinite="zero")) == 1


def test_rows_of_arrays_with_holes_are_rows_of_the_check(tmp_path):
    images = RNG.normal(size=(8, 6, 5)).astype(np.float32)
    images[3, 0, 0], images[6, 2] = np.nan, np.inf
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(8) % 2)
    cohort = arrays(tmp_path / "a.npz", images="images", labels="labels")
    assert [problem.case for problem in cohort.problems] == ["row-000003", "row-000006"]
    assert cohort.problems[1].problem == "5 of its values are NaN or infinite"
    left = arrays(tmp_path / "a.npz", images="images", labels="labels", on_problem="exclude")
    assert (len(left), len(left.excluded), left.problems) == (6, 2, ())


def test_masks_with_holes_are_named_or_read_as_zero(tmp_path):
    mask = RNG.integers(0, 2, (6, 5, 4)).astype(np.float32)
    mask[0] = np.nan
    nib.save(nib.Nifti1Image(mask, np.eye(4)), tmp_path / "m.nii")
    volume(tmp_path / "i.nii")
    (tmp_path / "m.csv").write_text("case,patient,image,mask\na,a,i.nii,m.nii\n")
    settings = {"task": "segmentation", "classes": ["background", "x"]}
    with pytest.raises(CohortError, match='20 of its voxels are NaN or infinite; .* nonfinite = "zero"'):
        manifest(tmp_path / "m.csv", **settings)
    read = manifest(tmp_path / "m.csv", nonfinite="zero", **settings).cases[0].read()
    assert np.array_equal(read.mask, np.nan_to_num(mask).T)


def test_remarks_that_differ_in_numbers_are_counted_together(tmp_path):
    for name in "abc":
        image = nib.Nifti1Image(RNG.normal(size=(6, 5, 4)).astype(np.float32), np.eye(4))
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        (tmp_path / f"{name}.nii.gz").write_bytes(gzip.compress(image.to_bytes()))
    rows = [f"{name},{name}.nii.gz,{name > 'a'}" for name in "abc"]
    (tmp_path / "m.csv").write_text("\n".join(["case,image,label", *rows]) + "\n")
    remarks = manifest(tmp_path / "m.csv").remarks
    assert [(remark.files, remark.first) for remark in remarks] == [(3, "a.nii.gz")]
    assert "states no orientation" in remarks[0].text
