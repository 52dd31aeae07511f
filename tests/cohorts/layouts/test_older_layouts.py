"""Layouts of earlier years: BraTS of 2012 to 2016 in MetaImage, DRIVE; and tables that say the parts of pairs."""

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from equipoise.cohorts.layouts.brats import brats
from equipoise.cohorts.layouts.pairs import pairs
from equipoise.cohorts.layouts.recognition import recognise
from equipoise.errors import CohortError

KINDS = ("MR_Flair", "MR_T1", "MR_T1c", "MR_T2")


def volume(path, seed, most):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).integers(0, most, (4, 5, 6)).astype(np.int16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
    return array


def brats_2015(folder):
    """As unpacked: a folder for each file, numbers that say nothing; returns the truths by case."""
    truths, number = {}, 54512
    for grade, cases in (
        ("HGG", ["brats_tcia_pat105_0001", "brats_tcia_pat105_0002"]),
        ("LGG", ["brats_2013_pat0001_1"]),
    ):
        for case in cases:
            for kind in (*KINDS, "OT"):
                stem = f"VSD.Brain{'_3more' if kind == 'OT' else ''}.XX.O.{kind}.{number}"
                array = volume(folder / grade / case / stem / f"{stem}.mha", number, 5 if kind == "OT" else 900)
                truths |= {case: array} if kind == "OT" else {}
                number += 1
    return truths


def test_brats_of_2015_with_its_five_tissues_and_its_patients(tmp_path):
    truths = brats_2015(tmp_path)
    assert (recognise(tmp_path).source, recognise(tmp_path).settings) == ("brats", {})
    cohort = brats(tmp_path)
    assert [case.id for case in cohort.cases] == sorted(truths)
    assert cohort.patients.tolist() == ["brats_2013_pat0001", "brats_tcia_pat105", "brats_tcia_pat105"]
    assert [case.attributes["grade"] for case in cohort.cases] == ["LGG", "HGG", "HGG"]
    assert cohort.regions == {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}
    for case in cohort.cases:
        image, truth = case.read(), truths[case.id][:, ::-1, ::-1]  # LPS → RAS
        assert np.array_equal(image.mask, truth)
        assert image.array.shape == (4, 4, 5, 6)


def test_numbered_cases_of_2013_are_told_apart_by_their_grade(tmp_path):
    for grade in ("HG", "LG"):
        for kind in (*KINDS, "OT"):
            stem = f"VSD.Brain_3more.XX.XX.{kind}" if kind == "OT" else f"VSD.Brain.XX.O.{kind}"
            volume(tmp_path / grade / "0001" / stem / f"{stem}.6560.mha", 1, 5)
    cohort = brats(tmp_path)
    assert [case.id for case in cohort.cases] == ["HG-0001", "LG-0001"]
    volume(tmp_path / "HG" / "0001" / "x" / "VSD.Brain.XX.O.MR_T1.7.mha", 1, 5)
    volume(tmp_path / "HG" / "0001" / "VSD.Brain.XX.O.MR_T1.8" / "VSD.Brain.XX.O.MR_T1.8.mha", 1, 5)
    with pytest.raises(CohortError, match="two files of t1"):
        brats(tmp_path)


def test_brats_of_2012_has_two_tissues(tmp_path):
    for case in ("BRATS_HG0001", "BRATS_LG0001"):
        for kind in ("T1", "T1C", "T2", "FLAIR", "truth"):
            volume(tmp_path / case / f"{case}_{kind}.mha", 3, 3 if kind == "truth" else 900)
    assert recognise(tmp_path).source == "brats"
    cohort = brats(tmp_path)
    assert cohort.classes == ("background", "oedema", "tumour core")
    assert cohort.cases[0].attributes["grade"] == "HGG"
    assert not cohort.problems


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def drive(folder):
    random = np.random.default_rng(0)
    for part, numbers in (("training", range(21, 27)), ("test", range(1, 7))):
        for number in numbers:
            mask = (random.random((30, 28)) > 0.8).astype(np.uint8) * 255
            picture(
                folder / part / "images" / f"{number:02d}_{part}.tif", random.integers(0, 255, (30, 28, 3), np.uint8)
            )
            picture(folder / part / "1st_manual" / f"{number:02d}_manual1.gif", mask)
            picture(folder / part / "mask" / f"{number:02d}_{part}_mask.gif", np.full((30, 28), 255, np.uint8))
            if part == "test":
                picture(folder / part / "2nd_manual" / f"{number:02d}_manual2.gif", mask)


@pytest.mark.long
def test_drive_is_judged_by_the_first_drawing_and_not_by_the_field_of_view(tmp_path):
    drive(tmp_path)
    known = recognise(tmp_path)
    assert (known.source, known.scheme) == ("pairs", "given")
    assert known.settings["mask"] == "{part}/1st_manual/{case}_manual1.gif"
    assert known.settings["images"] == ["{part}/images/{case}_{part}.tif"]
    assert any("2nd_manual" in remark for remark in known.remarks)
    cohort = pairs(tmp_path, classes=["background", "vessel"], **known.settings)
    assert [case.part for case in cohort.cases].count("train") == 6
    image = next(case for case in cohort.cases if case.id == "training/21").read()
    with Image.open(tmp_path / "training" / "1st_manual" / "21_manual1.gif") as drawn:
        expected = np.asarray(drawn.convert("L")) > 0
    assert np.array_equal(image.mask == 1, expected)


@pytest.mark.parametrize("name", ["metadata.csv", "split.csv"])
@pytest.mark.parametrize("column", ["part", "split"])
def test_a_table_that_says_the_parts_gives_the_split(name, column, tmp_path):
    random = np.random.default_rng(0)
    for number in range(6):
        picture(tmp_path / "images" / f"p{number}.png", random.integers(0, 255, (9, 8), np.uint8))
        picture(tmp_path / "masks" / f"p{number}.png", random.integers(0, 2, (9, 8), np.uint8))
    rows = [f"p{number},{['train', 'val', 'test'][number % 3]}" for number in range(6)]
    (tmp_path / name).write_text("\n".join([f"image_id,{column}", *rows]) + "\n")
    known = recognise(tmp_path)
    assert (known.source, known.scheme, known.settings["table"]) == ("pairs", "given", name)
    cohort = pairs(tmp_path, classes=["background", "a"], **known.settings)
    assert {case.id: case.part for case in cohort.cases}["p2"] == "test"
