"""Files of test cases, read by predict, against what the trial's source gave."""

import hashlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from deploy_bundles import contract_for, make_bundle

from equipoise.cohorts.cohort import Case, Image
from equipoise.cohorts.formats.reading import read_any
from equipoise.deploy.file_reading import note, read_alike
from equipoise.deploy.predictor import Bundle


def case_of(root, names, change=lambda image: image):
    """A case of NIfTI files with a mask among them; change: what its source does to the image."""
    draw, scans = np.random.default_rng(0), []
    for name in names:
        values = draw.integers(0, 9, (4, 5, 6)).astype(np.int16)
        nib.save(nib.Nifti1Image(values, np.diag([-1.0, 2.0, 1.0, 1.0])), root / name)
        scans.append(read_any(root / name))
    images = scans[1:]  # the first is the mask
    image = Image(np.concatenate([scan.array for scan in images]), images[0].spacing_mm, None, images[0].affine)
    hashes = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}
    return Case("a", "a", lambda: change(image), sha256=hashes)


@pytest.mark.parametrize("names", [("mask.nii", "image.nii"), ("mask.nii", "b.nii", "a.nii")])
def test_files_that_give_the_arrays_of_the_trial(tmp_path, names):
    contract = replace(contract_for(), channels=names[1:])
    case = case_of(tmp_path, names)
    assert read_alike([case], tmp_path, contract) == {"cases": 1, "with_files": 1, "alike": 1}
    assert read_alike([case], None, contract) == {"cases": 1, "with_files": 0, "alike": 0}
    (tmp_path / names[1]).write_bytes(b"other")
    assert read_alike([case], tmp_path, contract)["alike"] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda image: replace(image, array=image.array[..., ::-1]),
        lambda image: replace(image, array=image.array[:, :3]),
        lambda image: replace(image, spacing_mm=(1.0, 1.0, 1.0)),
        lambda image: replace(image, affine=None),
        lambda image: replace(image, affine=np.eye(4)),
        lambda image: replace(image, array=image.array + 1),
    ],
)
def test_a_source_that_changes_what_files_hold_is_told(tmp_path, change):
    case = case_of(tmp_path, ("mask.nii", "image.nii"), change)
    reading = read_alike([case], tmp_path, contract_for())
    assert reading == {"cases": 1, "with_files": 1, "alike": 0}
    assert "of new files are as in the trial" in note(reading)


@pytest.mark.long
def test_every_answer_to_a_file_says_so(tmp_path, monkeypatch):
    bundle = Bundle(make_bundle(tmp_path / "bundle"))
    nib.save(nib.Nifti1Image(np.ones((8, 9, 6), np.float32), np.diag([0.5, 1.0, 2.0, 1.0])), tmp_path / "v.nii")
    assert not any("of new files are as in the trial" in text for text in bundle.predict(tmp_path / "v.nii").warnings)
    bundle.files.record["reading"] = {"cases": 3, "with_files": 0, "alike": 0}
    assert any("of new files are as in the trial" in text for text in bundle.predict(tmp_path / "v.nii").warnings)
    assert note({"cases": 3, "with_files": 2, "alike": 2}) == ""
