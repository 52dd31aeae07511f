"""A clinical engineer's trial of the whole way, on real images: trial, bundle, DICOM series in, DICOM out, by commands.

The question is whether every voxel lies on its place. A short trial on the hippocampus is exported; three cases that it
never saw are answered once as NIfTI and once as DICOM series that hold the same voxels in sagittal, coronal and oblique
planes. SimpleITK opens the masks and highdicom the segmentations, and each labelled voxel is sought by its place in the
patient in the mask of the NIfTI original. Values are rounded first, because DICOM stores whole numbers.
"""

import csv
import json
import subprocess
import sys

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import CORONAL, SAGITTAL, errors_of, turned, write_volume

TRIAL_CASES, ANGLES = 24, (12, -9, 15)
PROTOCOL = """
[trial]
name = "hippocampus"
question = "Does the whole way keep every voxel on its place?"
[cohort]
source = "decathlon"
path = "data"
task = "segmentation"
[split]
fractions = [0.5, 0.2, 0.3]
[preprocessing]
scale = "zscore"
[training]
epochs = 2
batch_size = 2
loss = "dice-cross-entropy"
patch = 32
seeds = [0]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
optimizer = {name = "adamw", lr = 5e-3}
[endpoints]
primary = "dice"
secondary = ["surface_dice"]
margin = 0.05
"""


def command(folder, *arguments):
    words = [sys.executable, "-m", "equipoise", *map(str, arguments), "--quiet"]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


def rounded(source, target):
    """Write an image with whole values; return values (x, y, z) and affine."""
    image = nib.load(source)
    values = np.rint(np.asarray(image.dataobj, np.float64)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, image.affine), target)
    return values, image.affine


@pytest.fixture(scope="module")
def answered(shared_data, tmp_path_factory):
    """The folder of answers to originals and series, and the affines of the originals."""
    source, place = shared_data / "msd_hippocampus", tmp_path_factory.mktemp("engineer")
    if not source.is_dir():
        pytest.skip("msd_hippocampus is not in the folder of real images")
    stated = json.loads((source / "dataset.json").read_text())
    fits = [one for one in stated["training"] if np.max(nib.load(source / one["image"]).dataobj) < 30_000]
    trial, held_out = fits[:TRIAL_CASES], fits[TRIAL_CASES : TRIAL_CASES + 3]
    data = place / "data"
    for name in ("imagesTr", "labelsTr"):
        (data / name).mkdir(parents=True)
    for one in trial:
        rounded(source / one["image"], data / one["image"])
        (data / one["label"]).write_bytes((source / one["label"]).read_bytes())
    (data / "dataset.json").write_text(json.dumps(stated | {"training": trial, "test": [], "numTraining": len(trial)}))
    (place / "protocol.toml").write_text(PROTOCOL)
    command(place, "run", "protocol.toml", "--out", "run")
    command(place, "export", "run", "--arm", "unet", "--out", "bundle", "--although", "a trial of the way, not the arm")
    command(place, "verify", "bundle")
    affines = {}
    (place / "originals").mkdir()
    for number, one in enumerate(held_out):
        values, affine = rounded(source / one["image"], place / "originals" / f"case{number}.nii.gz")
        affines[f"case{number}"] = affine
        array = values.transpose(2, 1, 0)
        write_volume(place / "series" / f"sagittal{number}", array, affine, SAGITTAL, (True, True, bool(number % 2)))
        write_volume(place / "series" / f"coronal{number}", array, affine, CORONAL, (False, True, False))
        write_volume(
            place / "series" / f"oblique{number}", array, turned(affine, ANGLES), (0, 1, 2), (True, True, True)
        )
    command(place, "predict", "bundle", "originals", "--out", "of-originals")
    series = sorted((place / "series").iterdir())
    command(place, "predict", "bundle", *series, "--out", "of-series", "--as", "nifti,seg,sr,rtstruct", "--page")
    return place, affines


def truth_at(place, number, affine, world):
    """The labels of the original's mask at places (n, 3) in RAS mm, which must be centres of its voxels."""
    mask = np.asarray(nib.load(place / "of-originals" / f"case{number}" / "mask.nii.gz").dataobj)
    places = (np.c_[world, np.ones(len(world))] @ np.linalg.inv(affine).T)[:, :3]
    index = np.rint(places).astype(int)
    assert np.abs(places - index).max() < 0.01
    return mask[tuple(index.T)]


def upright(world, kind):
    """Turn places of an oblique series back to where the original lies."""
    return world @ turned(np.eye(4), ANGLES)[:3, :3] if kind == "oblique" else world


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sagittal", "coronal", "oblique"])
@pytest.mark.parametrize("number", range(3))
def test_every_voxel_lies_on_its_place(answered, kind, number):
    place, affines = answered
    out, affine = place / "of-series" / f"{kind}{number}", affines[f"case{number}"]
    mask = sitk.ReadImage(str(out / "mask.nii.gz"))
    labels = sitk.GetArrayFromImage(mask)
    assert set(np.unique(labels)) >= {0, 1}, "the arm marks nothing, so places cannot be compared; train it longer"
    axes = np.array(mask.GetDirection()).reshape(3, 3) * mask.GetSpacing()
    lps = np.array(mask.GetOrigin()) + np.stack(np.indices(labels.shape)[::-1], -1).reshape(-1, 3) @ axes.T
    there = truth_at(place, number, affine, upright(lps * (-1, -1, 1), kind))
    assert np.array_equal(there, labels.ravel())
    segmentation = hd.seg.segread(out / "seg.dcm").get_volume(combine_segments=True)
    index = np.stack(np.indices(segmentation.array.shape), -1).reshape(-1, 3)
    lps = index @ segmentation.affine[:3, :3].T + segmentation.affine[:3, 3]
    there = truth_at(place, number, affine, upright(lps * (-1, -1, 1), kind))
    assert np.array_equal(there, segmentation.array.ravel())


@pytest.mark.slow
def test_rows_reports_and_pages_agree(answered):
    place, _ = answered
    tables = {}
    for name in ("of-originals", "of-series"):
        with (place / name / "predictions.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = {row["case"]: row for row in csv.DictReader(file)}
    assert len(tables["of-series"]) == 9
    for case, row in tables["of-series"].items():
        original = tables["of-originals"][f"case{case[-1]}"]
        report = hd.sr.srread(place / "of-series" / case / "sr.dcm").content
        for group in report.get_volumetric_roi_measurement_groups():
            region = group.tracking_identifier
            volume = float(group.get_measurements()[0].value)
            assert float(row[f"{region}_ml"]) == pytest.approx(float(original[f"{region}_ml"]), rel=1e-6)
            assert volume == pytest.approx(float(row[f"{region}_ml"]), rel=1e-6)
            assert float(row[f"{region}_rtstruct_dice"]) == 1.0
        assert f'href="{case}/page.html"' in (place / "of-series" / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seg", "sr", "rtstruct"])
def test_another_validator_finds_no_error_in_them(answered, name):
    for kind in ("sagittal", "coronal", "oblique"):
        assert errors_of(answered[0] / "of-series" / f"{kind}0" / f"{name}.dcm") == []
