"""nnU-Net's own spellings: lists of version 1, the dataset key, regions, ignore, RGB, TIFF with sidecars, endings."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from equipoise.cohorts.cohort import IGNORED
from equipoise.cohorts.finding_labels import as_detection
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.nnunet import nnunet


def describe(root: Path, **content) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def tree(root: Path, write, values=(0, 1), ending=".nii.gz", channels=1, cases=4) -> None:
    for n in range(cases):
        for channel in range(channels):
            write.volume(root / "imagesTr" / f"c{n}_{channel:04d}{ending}")
        write.volume(root / "labelsTr" / f"c{n}{ending}", values)


def test_the_list_of_version_1_names_cases_without_their_channel(tmp_path: Path, write, started: Callable) -> None:
    tree(tmp_path, write)
    pairs = [{"image": f"./imagesTr/c{n}.nii.gz", "label": f"./labelsTr/c{n}.nii.gz"} for n in range(4)]
    describe(tmp_path, modality={"0": "CT"}, labels={"0": "background", "1": "liver"}, training=pairs, test=[])
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.source == "nnunet"
    assert (len(cohort), cohort.problems) == (4, ())


@pytest.mark.long
def test_the_dataset_key_lists_files_anywhere_below(tmp_path: Path, write, started: Callable) -> None:
    dataset = {}
    for n in range(4):
        files = [write.volume(tmp_path / "raw" / f"{kind}{n}.nii.gz") for kind in ("ct", "pet")]
        mask = write.volume(tmp_path / "truth" / f"m{n}.nii.gz", (0, 1))
        names = [str(file.relative_to(tmp_path)) for file in (*files, mask)]
        dataset[f"case{n}"] = {"images": names[:2], "label": names[2]}
    described = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "a": 1},
        "file_ending": ".nii.gz",
    }
    describe(tmp_path, **described, dataset=dataset)
    _, cohort = started(tmp_path)
    assert [case.id for case in cohort.cases] == [f"case{n}" for n in range(4)]
    assert np.array_equal(cohort.cases[2].read().array[1], write.stored(tmp_path / "raw" / "pet2.nii.gz"))
    describe(tmp_path, **described, dataset={"a": {"images": ["../x.nii.gz"], "label": "y.nii.gz"}})
    with pytest.raises(
        RefusedFile, match="not a file below its folder; correct it, or link the files below its folder"
    ):
        nnunet(tmp_path)
    describe(tmp_path, **described, dataset={"a": {"images": "x.nii.gz"}})
    with pytest.raises(RefusedFile, match="does not list the images and the label of 'a'"):
        nnunet(tmp_path)


@pytest.mark.parametrize("last", [3, [3]])
def test_one_list_makes_every_foreground_entry_a_region(tmp_path: Path, write, started: Callable, last: object) -> None:
    tree(tmp_path, write, (0, 1, 2, 3))
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": last}
    describe(tmp_path, channel_names={"0": "T1"}, labels=labels, regions_class_order=[1, 2, 3], file_ending=".nii.gz")
    _, cohort = started(tmp_path)
    assert cohort.regions == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    stored = write.stored(tmp_path / "labelsTr" / "c1.nii.gz")
    mask = cohort.cases[1].read().mask
    assert (np.isin(mask, cohort.regions["enhancing"]) == (stored == 3)).all()


def test_voxels_of_the_ignore_label_are_marked(tmp_path: Path, write, started: Callable) -> None:
    tree(tmp_path, write, (0, 1, 2, 3))
    describe(tmp_path, channel_names={"0": "CT"}, labels={"background": 0, "a": 1, "b": 2, "ignore": 3})
    _, cohort = started(tmp_path)
    assert cohort.classes == ("background", "a", "b")
    assert cohort.ignores
    stored = write.stored(tmp_path / "labelsTr" / "c0.nii.gz")
    mask = cohort.cases[0].read().mask
    assert np.array_equal(mask == IGNORED, stored == 3)
    assert np.array_equal(mask[mask != IGNORED], stored[stored != 3])
    sought = as_detection(cohort).cases[0].read().mask
    assert np.array_equal(sought, np.array([0, 1, 1, 2])[stored]), "a finding there is neither a hit nor false"


def test_regions_with_ignore(tmp_path: Path, write) -> None:
    tree(tmp_path, write, (0, 1, 2, 3))
    describe(tmp_path, channel_names={"0": "CT"}, labels={"background": 0, "all": [1, 2], "b": 2, "ignore": 3})
    cohort = nnunet(tmp_path)
    assert cohort.regions == {"all": (1, 2), "b": (2,)}
    assert cohort.ignores


@pytest.mark.long
def test_one_picture_of_three_channels_stands_for_all(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        write.picture(tmp_path / "imagesTr" / f"road_{n}_0000.png", rgb=True)
        write.picture(tmp_path / "labelsTr" / f"road_{n}.png", (0, 1))
    names = {"0": "R", "1": "G", "2": "B"}
    describe(tmp_path, channel_names=names, labels={"background": 0, "road": 1}, file_ending=".png")
    _, cohort = started(tmp_path)
    assert cohort.channels == ("R", "G", "B")
    stored = np.asarray(Image.open(tmp_path / "imagesTr" / "road_2_0000.png"))
    assert np.array_equal(cohort.cases[2].read().array, stored.transpose(2, 0, 1))
    write.picture(tmp_path / "imagesTr" / "road_3_0000.png")
    grey = nnunet(tmp_path)
    # three equal colours would be a guess: the plan names R, G and B, and one channel is there
    assert len(grey) == 3
    assert [problem.case for problem in grey.problems] == ["road_3"]


@pytest.mark.long
def test_the_spacing_of_a_tiff_lies_beside_it(tmp_path: Path, started: Callable) -> None:
    rng = np.random.default_rng(0)
    for n in range(4):
        for folder, name, most in (("imagesTr", f"c{n}_0000.tif", 255), ("labelsTr", f"c{n}.tif", 2)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            values = rng.integers(0, most, (5, 8, 9)).astype(np.uint8)
            tifffile.imwrite(tmp_path / folder / name, values, photometric="minisblack")
            (tmp_path / folder / f"c{n}.json").write_text('{"spacing": [2.0, 0.5, 0.7]}')
    describe(tmp_path, channel_names={"0": "EM"}, labels={"background": 0, "a": 1}, file_ending=".tif")
    _, cohort = started(tmp_path)
    image = cohort.cases[1].read()
    assert image.spacing_mm == (2.0, 0.5, 0.7)
    assert np.array_equal(image.array[0], tifffile.imread(tmp_path / "imagesTr" / "c1_0000.tif"))
    assert np.array_equal(image.mask, tifffile.imread(tmp_path / "labelsTr" / "c1.tif"))
    before = cohort.recipe
    (tmp_path / "imagesTr" / "c1.json").write_text('{"spacing": [3.0, 0.5, 0.7]}')
    _, other = started(tmp_path)
    assert other.recipe != before, "what was kept of the case with the old spacing is not used again"
    for wrong in ('{"spacing": "x"}', "{}", '{"spacing": [0, 1, 1]}', "["):
        (tmp_path / "imagesTr" / "c1.json").write_text(wrong)
        with pytest.raises(RefusedFile, match="spacing"):
            nnunet(tmp_path)
    (tmp_path / "imagesTr" / "c1.json").write_text('{"spacing": [0.5, 0.7]}')
    assert nnunet(tmp_path).problems[0].problem == "the file beside it states 2 spacings for 3 axes"


def test_the_ending_is_the_one_present_or_both_are_named(tmp_path: Path, write, started: Callable) -> None:
    tree(tmp_path, write, ending=".nii")
    described = {"modality": {"0": "CT"}, "labels": {"background": 0, "a": 1}}
    describe(tmp_path, **described)
    _, cohort = started(tmp_path)
    assert len(cohort) == 4
    describe(tmp_path, **described, file_ending=".nii.gz")
    with pytest.raises(RefusedFile, match=r'its "file_ending" is \'.nii.gz\' and labelsTr holds \*.nii; correct'):
        nnunet(tmp_path)
    write.volume(tmp_path / "labelsTr" / "c9.nii.gz", (0, 1))
    describe(tmp_path, **described)
    with pytest.raises(RefusedFile, match=r'no "file_ending" and labelsTr holds \*.nii, \*.nii.gz; add "file_ending"'):
        nnunet(tmp_path)


def test_what_macos_leaves_behind_is_no_case(tmp_path: Path, write) -> None:
    tree(tmp_path, write)
    for folder, name in (("imagesTr", "._c0_0000.nii.gz"), ("labelsTr", "._c0.nii.gz")):
        (tmp_path / folder / name).write_bytes(b"\0\5\x16\7")
    describe(tmp_path, channel_names={"0": "CT"}, labels={"background": 0, "a": 1})
    assert len(nnunet(tmp_path)) == 4


@pytest.mark.long
def test_links_are_followed_and_a_folder_of_data_sets_is_named(tmp_path: Path, write, started: Callable) -> None:
    root = tmp_path / "raw" / "Dataset001_A"
    for folder, name, values in (("imagesTr", "c{}_0000.nii.gz", None), ("labelsTr", "c{}.nii.gz", (0, 1))):
        (root / folder).mkdir(parents=True)
        for n in range(4):
            stored = write.volume(tmp_path / "store" / f"{folder}{n}.nii.gz", values)
            (root / folder / name.format(n)).symlink_to(stored)
    described = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}}
    describe(root, **described)
    protocol, cohort = started(tmp_path / "raw")
    assert len(cohort) == 4
    assert protocol.cohort_path == root
    assert np.array_equal(cohort.cases[3].read().array[0], write.stored(tmp_path / "store" / "imagesTr3.nii.gz"))
    describe(tmp_path / "raw" / "Dataset002_B", **described)
    with pytest.raises(Exception, match="holds 2 data sets .*Dataset001_A, Dataset002_B.*; give one of them"):
        started(tmp_path / "raw")


def test_labels_that_contradict_each_other_are_refused(tmp_path: Path, write) -> None:
    tree(tmp_path, write)
    for labels in (
        {"background": 0, "a": 1, "b": 1},
        {"background": 0, "a": 1, "ignore": 1},
        {"background": 0, "a": 1.5},
    ):
        describe(tmp_path, channel_names={"0": "CT"}, labels=labels)
        with pytest.raises(RefusedFile, match="labels"):
            nnunet(tmp_path)


def test_a_value_that_no_label_names_is_a_row_with_a_remedy(tmp_path: Path, write) -> None:
    tree(tmp_path, write)
    nib.save(
        nib.Nifti1Image(np.full((6, 5, 4), 7, np.int16), np.diag([-1.0, -1.0, 2.0, 1.0])),
        tmp_path / "labelsTr" / "c2.nii.gz",
    )
    describe(tmp_path, channel_names={"0": "CT"}, labels={"background": 0, "a": 1})
    (problem,) = nnunet(tmp_path).problems
    assert problem.problem == "the mask holds the label 7, the cohort knows 0, 1"
    assert 'name the value in "labels" of dataset.json' in problem.remedy
