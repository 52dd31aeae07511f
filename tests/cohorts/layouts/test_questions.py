"""What names and shapes cannot tell is asked, and every remedy that a question names works."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.nnunet import nnunet
from equipoise.cohorts.layouts.patients import check_patients
from equipoise.cohorts.layouts.recognition import recognise
from equipoise.errors import CohortError
from equipoise.trials.init import cohort_settings

RNG = np.random.default_rng(0)


def stated(message: str) -> dict:
    """The settings of the command that a message names."""
    words = shlex.split(re.findall(r"`(equipoise init [^`]*)`", message)[0])
    return cohort_settings([words[n + 1] for n, word in enumerate(words) if word == "--set"])


@pytest.mark.long
def test_folders_of_masks_under_any_name_are_no_class(tmp_path: Path, write, started: Callable) -> None:
    for n in range(8):
        write.picture(tmp_path / "A" / f"{n}.png")
        write.picture(tmp_path / "B" / f"{n}.png", (0, 255))
    with pytest.raises(CohortError, match="a folder B whose images hold at most 8 values, as masks do") as error:
        started(tmp_path)
    _, cohort = started(tmp_path, **stated(str(error.value)))
    assert cohort.class_counts() == {"A": 8, "B": 8}


def test_folders_of_shapes_and_of_blank_pictures_are_classes(tmp_path: Path, write) -> None:
    for name, values in {"round": (0, 255), "square": (0, 128, 255)}.items():
        for n in range(4):
            write.picture(tmp_path / "shapes" / name / f"{n}.png", values)
    assert recognise(tmp_path / "shapes").source == "folders"
    for n in range(4):
        write.picture(tmp_path / "blank" / "empty" / f"{n}.png", (0,))
        write.picture(tmp_path / "blank" / "filled" / f"{n}.png")
    assert recognise(tmp_path / "blank").source == "folders"


@pytest.mark.long
def test_img_and_lbl_are_images_and_masks(tmp_path: Path, write, started: Callable) -> None:
    for n in range(6):
        write.picture(tmp_path / "imgs" / f"img_{n}.png")
        write.picture(tmp_path / "lbls" / f"lbl_{n}.png", (0, 1))
    protocol, cohort = started(tmp_path)
    assert (protocol.cohort.source, len(cohort), cohort.problems) == ("pairs", 6, ())


@pytest.mark.long
@pytest.mark.parametrize("values", [(-1, 1), (0, 1, 255), (0, 1, 2, 255)])
def test_doubtful_mask_values_are_asked_and_can_be_stated(
    tmp_path: Path, write, started: Callable, values: tuple[int, ...]
) -> None:
    for n in range(4):
        write.volume(tmp_path / "images" / f"{n}.nii.gz")
        write.volume(tmp_path / "masks" / f"{n}.nii.gz", values)
    with pytest.raises(CohortError, match="not labelled") as error:
        started(tmp_path)
    _, cohort = started(tmp_path, **stated(str(error.value)))
    truth = write.stored(tmp_path / "masks" / "2.nii.gz")
    assert np.array_equal(cohort.cases[2].read().mask, np.searchsorted(values, truth))


@pytest.mark.long
@pytest.mark.parametrize(
    ("shape", "axes", "read"),
    [
        ((6, 3, 9, 8), "ncyx", (3, 9, 8)),
        ((6, 9, 8, 1), "nyxc", (1, 9, 8)),
        ((6, 9, 8, 4), "nyxc", (4, 9, 8)),
        ((6, 7, 9, 8, 2), "nzyxc", (2, 7, 9, 8)),
    ],
)
@pytest.mark.parametrize("prefix", ["", "train_"])
def test_channels_that_may_be_slices_are_asked(
    tmp_path: Path, started: Callable, shape: tuple[int, ...], axes: str, read: tuple[int, ...], prefix: str
) -> None:
    pixels = RNG.integers(0, 255, shape).astype(np.uint8)
    np.savez(tmp_path / "a.npz", **{f"{prefix}images": pixels, f"{prefix}labels": np.arange(6) % 2})
    with pytest.raises(CohortError, match="channels and slices cannot be told apart") as error:
        started(tmp_path / "a.npz")
    settings = stated(str(error.value))
    assert settings == {"axes": axes}
    _, cohort = started(tmp_path / "a.npz", **settings)
    array = cohort.cases[1].read().array
    assert array.shape == read
    assert np.array_equal(array, pixels[1] if axes == "ncyx" else np.moveaxis(pixels[1], -1, 0))


@pytest.mark.long
def test_volumes_and_colours_are_not_asked(tmp_path: Path, started: Callable) -> None:
    for shape, read in {(6, 9, 8): (1, 9, 8), (6, 9, 8, 3): (3, 9, 8), (6, 5, 9, 8): (1, 5, 9, 8)}.items():
        np.savez(tmp_path / "a.npz", images=RNG.integers(0, 255, shape).astype(np.uint8), labels=np.arange(6) % 2)
        _, cohort = started(tmp_path / "a.npz")
        assert cohort.cases[0].read().array.shape == read


def tree(root: Path, write, **content: object) -> None:
    for n in range(3):
        write.volume(root / "imagesTr" / f"c{n}_0000.nii.gz")
        write.volume(root / "labelsTr" / f"c{n}.nii.gz", (0, 1, 2))
    described = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1, "b": 2}, **content}
    (root / "dataset.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"a": 0, "background": 1, "b": 2}, "'background' is 1"),
        ({"0": "a", "1": "background", "2": "b"}, "'background' is 1"),
        ({"background": 0, "all": [0, 1], "b": 2}, "'all' holds 0"),
    ],
)
def test_background_is_0_in_nnunet(tmp_path: Path, write, labels: dict, reason: str) -> None:
    tree(tmp_path, write, labels=labels)
    with pytest.raises(RefusedFile, match=reason):
        nnunet(tmp_path)


def test_channels_without_a_name_are_refused_in_nnunet(tmp_path: Path, write) -> None:
    tree(tmp_path, write)
    write.volume(tmp_path / "imagesTr" / "c1_0001.nii.gz")
    with pytest.raises(
        RefusedFile, match=r"holds 'c1_0001.nii.gz', and it names 1 channels \(CT\); name every channel"
    ):
        nnunet(tmp_path)


def test_an_ending_without_its_point_and_another_count(tmp_path: Path, write) -> None:
    tree(tmp_path, write, file_ending="nii.gz", numTraining=5)
    cohort = nnunet(tmp_path)
    assert (len(cohort), cohort.problems) == (3, ())
    assert any('"numTraining": 5, and there are 3 cases' in note for note in cohort.notes)


@pytest.mark.long
def test_arrays_of_other_names_are_asked(tmp_path: Path, started: Callable) -> None:
    pixels = RNG.integers(0, 255, (6, 9, 8)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=pixels, y=np.arange(6) % 2)
    with pytest.raises(CohortError, match="holds the arrays X, y, whose names do not show") as error:
        started(tmp_path / "a.npz")
    _, cohort = started(tmp_path / "a.npz", **stated(str(error.value)))
    assert np.array_equal(cohort.cases[3].read().array[0], pixels[3])
    assert cohort.labels.tolist() == [0, 1, 0, 1, 0, 1]
    np.savez(tmp_path / "b.npz", vol=pixels, seg=(pixels > 99).astype(np.uint8))
    _, cohort = started(tmp_path / "b.npz", images="vol", masks="seg")
    assert np.array_equal(cohort.cases[3].read().mask, pixels[3] > 99)
    with pytest.raises(CohortError, match="cohort.masks is 'sag', which is not an array or column"):
        started(tmp_path / "b.npz", images="vol", masks="sag")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.webp", r"it holds 4 \*.webp \(save them as .png\), which is not read"),
        ("a.xlsx", r"4 \*.xlsx \(save the table as .csv\)"),
        ("a.czi", r"it holds 4 \*.czi, which is not read"),
    ],
)
def test_kinds_of_files_that_are_not_read_are_named(tmp_path: Path, name: str, reason: str) -> None:
    for n in range(4):
        (tmp_path / "N").mkdir(exist_ok=True)
        (tmp_path / "N" / f"{n}{name}").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(CohortError, match=reason):
        recognise(tmp_path)


@pytest.mark.long
def test_one_mask_without_an_image_does_not_hide_the_others(tmp_path: Path, write, started: Callable) -> None:
    for n in range(8):
        write.picture(tmp_path / "masks" / f"{n}.png", (0, 1))
        if n != 3:
            write.picture(tmp_path / "images" / f"{n}.png")
    _, cohort = started(tmp_path)
    assert len(cohort) == 7
    assert [problem.case for problem in cohort.problems] == ["3"]


@pytest.mark.parametrize(("one", "other"), [("7", "7.0"), ("7", "007"), ("P7", "p7"), ("P 7", "P7")])
def test_patients_that_may_be_one_person_are_refused(
    tmp_path: Path, write, started: Callable, one: str, other: str
) -> None:
    rows = [f"c{n},{(one, other, 'x', 'y')[n]},{n}.png,{n % 2}\n" for n in range(4)]
    for n in range(4):
        write.picture(tmp_path / f"{n}.png")
    (tmp_path / "manifest.csv").write_text("case,patient,image,label\n" + "".join(rows))
    with pytest.raises(CohortError, match=f"the patients '{one}' and '{other}', which may be one person"):
        started(tmp_path)


def test_patients_that_differ_are_kept() -> None:
    check_patients(["1.1", "1.10", "10", "100", "1", "P1", "P10", "P01", "1", "1"], "it")


@pytest.mark.long
@pytest.mark.parametrize("by_class", [True, False])
def test_pictures_of_two_depths_are_remarked_on(tmp_path: Path, started: Callable, by_class: bool) -> None:
    for n in range(8):
        grey = RNG.integers(0, 255, (9, 8))
        deep = n % 2 == 1 if by_class else n < 4
        file = tmp_path / "NP"[n % 2] / f"{n}.png"
        file.parent.mkdir(exist_ok=True)
        Picture.fromarray((grey * 257).astype(np.uint16) if deep else grey.astype(np.uint8)).save(file)
    _, cohort = started(tmp_path)
    remark = next(remark for remark in cohort.remarks if "it has 16 bits and others have 8" in remark.text)
    assert remark.files == 4
    assert ("the depth tells the class" in remark.text) == by_class


@pytest.mark.long
def test_a_folder_of_unlabelled_images_is_no_class(tmp_path: Path, write, started: Callable) -> None:
    for name in ("N", "P", "Unlabeled"):
        for n in range(3):
            write.picture(tmp_path / name / f"{n}.png")
    with pytest.raises(CohortError, match="a folder Unlabeled, whose name is not that of a class") as error:
        started(tmp_path)
    _, cohort = started(tmp_path, **stated(str(error.value)))
    assert cohort.class_counts() == {"N": 3, "P": 3}


def test_patients_that_look_the_same_are_asked() -> None:
    with pytest.raises(CohortError, match="or invisible signs"):
        check_patients(["M\u00fcller", "Mu\u0308ller"], "it")
