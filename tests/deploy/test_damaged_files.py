"""Damaged images: each is a row with its reason or an answer that a reader could give; no crash and no hang."""

import csv
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from deploy_bundles import contract_for, make_bundle
from dicom_series import write_volume
from PIL import Image as Picture

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha", ".npz", ".dcm")
PICTURES = (".png", ".tif", ".bmp")
SECONDS = 240
"""For a hundred files; sound ones take a tenth of it on a busy machine."""


def sound(folder, suffix):
    """A sound file of a kind, as bytes."""
    draw, file = np.random.default_rng(1), folder / f"sound{suffix}"
    values = draw.integers(0, 3, (6, 9, 8)).astype(np.int16)
    if suffix.startswith(".nii"):
        nib.save(nib.Nifti1Image(values, np.diag([0.5, 1.0, 2.0, 1.0])), file)
    elif suffix == ".npz":
        np.savez(file, image=values.astype(np.float32), affine=np.diag([0.5, 1.0, 2.0, 1.0]))
    elif suffix == ".dcm":
        write_volume(folder / "series", values[:1], np.diag([0.5, 1.0, 2.0, 1.0]))
        (folder / "series" / "IM0000").rename(file)
    elif suffix in PICTURES:
        Picture.fromarray(values[0].astype(np.uint8)).save(file)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(values), str(file))
    return file.read_bytes()


def damaged(content, draw):
    """The same bytes, cut, with bits flipped, a stretch of zeros, or a stretch twice; headers more often than not."""
    broken, size = bytearray(content), len(content)
    kind = draw.integers(4)
    if kind == 0:
        return bytes(broken[: draw.integers(size)])
    for _ in range(draw.integers(1, 6)):
        at = int(draw.integers(min(size, 400 if draw.random() < 0.7 else size)))
        if kind == 1:
            broken[at] ^= 1 << int(draw.integers(8))
        elif kind == 2:
            broken[at : at + 8] = bytes(len(broken[at : at + 8]))
        else:
            broken[at:at] = broken[at : at + int(draw.integers(1, 40))]
    return bytes(broken)


def predicted(bundle, files, out):
    """The rows of the command in a process of its own, which may not take longer than SECONDS."""
    command = [
        sys.executable,
        "-m",
        "equipoise",
        "predict",
        str(bundle),
        *map(str, files),
        "--out",
        str(out),
        "--quiet",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ended.returncode in (0, 1), ended.stderr
    assert "Traceback" not in ended.stderr
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def check(rows, files, out):
    """A row for each file; a reason where it failed, and a mask where it did not."""
    assert len(rows) == len(files)
    for row in rows:
        assert row["status"] in ("answered", "failed")
        assert (row["reason"] != "") == (row["status"] == "failed")
        assert not of_a_program(row["reason"])
        assert (out / row["case"]).is_dir() == (row["status"] == "answered"), row
    return sum(row["status"] == "failed" for row in rows)


def of_a_program(reason):
    """Whether a reason is a program's and not a sentence."""
    return "Traceback" in reason or "Error(" in reason or "0x" in reason


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1])
def test_two_hundred_damaged_files_are_rows(tmp_path, part):
    contract = contract_for() if part == 0 else replace(contract_for(oriented=False), spatial_dims=2)
    training = {} if part == 0 else {"sides": (9, 8), "spacing": (1.0, 1.0)}
    bundle, kinds = make_bundle(tmp_path / "bundle", contract, **training), (VOLUMES, PICTURES)[part]
    draw, files = np.random.default_rng(part), []
    for suffix in kinds:
        content = sound(tmp_path, suffix)
        for number in range(-(-100 // len(kinds))):
            file = tmp_path / f"{suffix.replace('.', '')}-{number}{suffix}"
            file.write_bytes(damaged(content, draw))
            files.append(file)
    failed = check(predicted(bundle, files, tmp_path / "out"), files, tmp_path / "out")
    assert 20 < failed < len(files)  # some damage hits what nobody reads, most of it does not
