"""Cases in files: grids are compared in the world, not by their storage, and masks keep only known numbers."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.masks import class_mask
from equipoise.cohorts.layouts.same_grid import check_same_grid
from equipoise.cohorts.layouts.volumes import Layout, channel_names, make_cohort, read_any
from equipoise.errors import CohortError


def scan(array, affine=None, spacing=None):
    return Scan(np.asarray(array), spacing or (1.0,) * (np.ndim(array) - 1), affine, {})


def layout(root, task="segmentation", classes=("background", "tumour"), channels=("ct",)):
    return Layout("test", root, task, classes, channels)


def write(path, data, affine):
    nib.save(nib.Nifti1Image(np.asarray(data), affine), path)
    return path


def test_a_mask_stored_in_another_orientation_still_fits(tmp_path):
    data = np.random.default_rng(0).integers(0, 2, (4, 5, 6)).astype(np.int16)
    image = write(tmp_path / "i.nii", data * 7, np.diag([1.0, 1.0, 2.0, 1.0]))
    flipped = np.diag([-1.0, 1.0, 2.0, 1.0])
    flipped[0, 3] = 3.0
    mask = write(tmp_path / "m.nii", data[::-1], flipped)
    cohort = make_cohort(layout(tmp_path), [CaseFiles("a", "p", (image,), mask)], "stop")
    read = cohort.cases[0].read()
    assert np.array_equal(read.mask * 7, read.array[0])


def test_grids_that_lie_apart_are_refused_with_their_distance():
    here = scan(np.zeros((1, 4, 4, 4)), np.eye(4))
    for shift, fits in ((0.05, True), (0.5, False)):
        affine = np.eye(4)
        affine[0, 3] = shift
        if fits:
            check_same_grid(Path("b"), scan(np.zeros((1, 4, 4, 4)), affine), Path("a"), here)
        else:
            with pytest.raises(RefusedFile, match=r"lies up to 0\.5 mm beside 'a'"):
                check_same_grid(Path("b"), scan(np.zeros((1, 4, 4, 4)), affine), Path("a"), here)


def test_masks_hold_whole_known_numbers_in_one_channel():
    stored = scan([[[0.0, 4.0], [1.0, 0.0]]])
    assert class_mask(stored, Path("m"), {0: 0, 1: 1, 4: 3}).tolist() == [[0, 3], [1, 0]]
    for array, reason in (
        ([[[0.5, 0.0]]], "holds 0.5"),
        ([[[9, 0]]], "the label 9, the cohort knows 0, 1, 4"),
        ([[[0]], [[1]]], "2 channels"),
    ):
        with pytest.raises(RefusedFile, match=reason):
            class_mask(scan(array), Path("m"), {0: 0, 1: 1, 4: 3})
    with pytest.raises(RefusedFile, match="the label -1"):
        class_mask(scan([[[-1, 0]]]), Path("m"), None)


def test_channels_are_counted_and_named(tmp_path):
    assert channel_names(1) == ("image",)
    assert channel_names(2) == ("channel 0", "channel 1")
    one = write(tmp_path / "1.nii", np.zeros((4, 4, 4), np.uint8), np.eye(4))
    two = write(tmp_path / "2.nii", np.zeros((4, 4, 4, 2), np.uint8), np.eye(4))
    entries = [CaseFiles("a", "a", (one,), label="x"), CaseFiles("b", "b", (two,), label="y")]
    cohort = make_cohort(layout(tmp_path, "classification", ("x", "y"), ()), entries, "stop")
    assert cohort.channels == ("image",)
    assert cohort.problems[0].problem == "it has 2 channels and the cohort 1 (image)"


def test_flat_and_deep_images_do_not_mix(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "p.png")
    deep = write(tmp_path / "v.nii", np.zeros((4, 4, 4), np.uint8), np.eye(4))
    entries = [CaseFiles("a", "a", (deep,), label="x"), CaseFiles("b", "b", (tmp_path / "p.png",), label="y")]
    with pytest.raises(CohortError, match="mixes 2D and 3D"):
        make_cohort(layout(tmp_path, "classification", ("x", "y"), ()), entries, "stop")


def test_files_of_unknown_kind_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(RefusedFile, match="file type is not recognised"):
        read_any(tmp_path / "a.txt")
