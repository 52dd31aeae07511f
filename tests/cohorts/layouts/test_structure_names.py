"""Structures of DICOM masks by their names: numbers that change their meaning from file to file are never believed."""

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from equipoise.cohorts.formats.dicom_seg import Segmentation
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.layouts.structure_names import bare_name, codes_of, is_meant, numbers_of, refuse_late_background
from equipoise.errors import CohortError, ProtocolError

spec = importlib.util.spec_from_file_location(
    "made_rtstruct", Path(__file__).parents[1] / "formats" / "test_rtstruct.py"
)
rtstruct = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rtstruct)
LARGE, SMALL = rtstruct.star((13, 19), 6, 9), rtstruct.star((29, 8), 2, 3)


def cohort(folder, cases, **settings):
    """cases: per case, name → contour on slice 3, numbered 1, 2 … in this order."""
    affine = np.diag([*rtstruct.SPACING, 1.0])
    affine[:3, 3] = rtstruct.ORIGIN
    rows = ["case,patient,image,mask"]
    for number, structures in enumerate(cases):
        voxels = np.random.default_rng(number).integers(0, 99, rtstruct.SHAPE[::-1]).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, affine), folder / f"{number}.nii")
        drawn = {name: rtstruct.closed((points, 3)) for name, points in structures.items()}
        rtstruct.write(folder / f"{number}.dcm", drawn)
        rows.append(f"c{number},p{number},{number}.nii,{number}.dcm")
    (folder / "cases.csv").write_text("\n".join(rows))
    return manifest(folder / "cases.csv", task="segmentation", **settings)


@pytest.fixture
def exchanged():
    """Two organs whose numbers are exchanged in the last of three files."""
    return [{"Lung": LARGE, "GTV": SMALL}, {"Lung": LARGE, "GTV": SMALL}, {"GTV": SMALL, "Lung": LARGE}]


@pytest.mark.long
def test_exchanged_numbers_are_a_problem(tmp_path, exchanged):
    made = cohort(tmp_path, exchanged, classes=["background", "lung", "gtv"])
    (problem,) = made.problems
    assert problem.case == "c2"
    assert problem.problem == "its structure 1 is called 'GTV', and in another case 'Lung'"
    assert "cohort.values" in problem.remedy


@pytest.mark.long
def test_where_no_name_is_that_of_the_class_no_case_is_taken_for_the_right_one(tmp_path, exchanged):
    # Two files of three agree: which of the two readings the class means is still the user's to say.
    with pytest.raises(
        CohortError, match="no case that can be used: .*: its structure 1 is called 'Lung', and in another"
    ):
        cohort(tmp_path, exchanged, classes=["background", "left", "right"], on_problem="exclude")


@pytest.mark.long
def test_a_name_that_all_files_share_is_a_remark(tmp_path, exchanged):
    made = cohort(tmp_path, exchanged[:2], classes=["background", "lung", "tumour"])
    assert made.problems == ()
    assert [remark.text for remark in made.remarks] == ["its structure 2, called 'GTV', is the class 'tumour'"]


@pytest.mark.long
def test_names_find_their_structures_whatever_the_numbers(tmp_path, exchanged):
    exchanged[1] = {"Body": rtstruct.star((18, 20), 14, 17), "LUNG_": LARGE, "gtv primary": SMALL}
    names = ["background", "lung", ["GTV", "GTV-Primary"]]
    made = cohort(tmp_path, exchanged, classes=["background", "lung", "tumour"], values=names)
    assert made.problems == ()
    for case in made.cases:
        mask = case.read().mask
        assert np.array_equal(mask[3] == 1, rtstruct.rasterised(LARGE))
        assert np.array_equal(mask[3] == 2, rtstruct.rasterised(SMALL))
        assert not mask[:3].any()
        assert not mask[4:].any()


@pytest.mark.long
def test_a_spelling_that_is_not_stated_is_no_empty_mask(tmp_path, exchanged):
    exchanged[0] = {"Lung": LARGE, "Gross tumour": SMALL}
    made = cohort(tmp_path, exchanged, classes=["background", "lung", "tumour"], values=["background", "lung", "gtv"])
    (problem,) = made.problems
    assert problem.case == "c0"
    assert problem.problem == "it has no structure called 'gtv', only 'Lung', 'Gross tumour'"


def test_a_name_for_two_structures_or_in_a_file_without_names_is_refused():
    codes = codes_of(["background", "gtv"], ["background", "tumour"])
    assert numbers_of("m", {"structures": {7: "GTV"}}, codes) == {0: 0, 7: 1}
    with pytest.raises(CohortError, match="2 structures called 'gtv'"):
        numbers_of("m", {"structures": {1: "GTV", 2: "gtv_"}}, codes)
    with pytest.raises(CohortError, match="its values have no names"):
        numbers_of("m.nii", {}, codes)
    assert numbers_of("m.nii", {}, {0: 0, 4: 1}) == {0: 0, 4: 1}


def test_segments_that_are_not_meant_are_left_out_with_a_remark():
    masks = np.arange(3)[:, None, None, None] == np.arange(3).reshape(1, 3, 1, 1)
    found = Segmentation(masks, (4, 5, 9), ("a", "b", "c"), {"f": "0"}).only(lambda number, name: name in "ac")
    assert found.label_map().ravel().tolist() == [4, 0, 9]
    assert (found.left_out, found.remarks) == (("b",), ("segments left out: 'b'",))


@pytest.mark.parametrize(
    "values", [[0], [0, 0], ["a", "A"], [0, 1, 2], [0, ["x", 4]], [0, ["x", "X "]], [0, {}], [0, 1.5], [0, True]]
)
def test_values_that_do_not_fit_the_classes_are_refused(values):
    with pytest.raises(ProtocolError, match=r"cohort\.values"):
        codes_of(values, ["background", "tumour"])


@pytest.mark.parametrize("number", [0, -1, 65536, 70000])
def test_a_number_that_is_no_label_is_refused_and_names_do_without_it(number):
    masks = np.arange(1, 3)[:, None, None, None] == np.arange(3).reshape(1, 3, 1, 1)
    made = Segmentation(masks, (number, 4464), ("GTV", "Lung"), {"f": "0"})
    with pytest.raises(CohortError, match=f"structure 'GTV' has the number {number}, .* names in cohort.values"):
        made.label_map()
    assert made.label_map(own=True).ravel().tolist() == [0, 1, 2]


def test_no_structure_has_the_number_of_what_lies_outside():
    assert not is_meant(0, "Lung", {0: 0, 1: 1})
    assert not is_meant(0, "Lung", {5: 0, 0: 1})
    with pytest.raises(CohortError, match="0 is what lies outside"):
        numbers_of("m", {"structures": {1: "Lung"}}, {5: 0, 0: 1, 1: 2})


def test_a_structure_is_not_made_the_background():
    codes = codes_of(["Liver", "Spleen"], ["liver", "spleen"])
    with pytest.raises(CohortError, match="'Liver' would be the background"):
        numbers_of("m", {"structures": {1: "Spleen"}, "left_out": ("Liver",)}, codes)
    own = codes_of(["background", "Liver"], ["background", "liver"])
    assert numbers_of("m", {"structures": {2: "Liver"}, "left_out": ("Background",)}, own) == {0: 0, 2: 1}


def test_a_class_is_not_given_the_name_of_another_one():
    with pytest.raises(ProtocolError, match="the class 'liver' the structure 'spleen'"):
        codes_of(["background", "Spleen", "Liver"], ["background", "liver", "spleen"])
    with pytest.raises(ProtocolError, match="at most 255"):
        codes_of(None, [str(number) for number in range(256)])


def test_what_is_wrong_with_a_name_is_told_with_a_remedy_that_helps():
    codes = codes_of(["background", ["Liver", "hepar"]], ["background", "liver"])
    with pytest.raises(CohortError, match="nothing is drawn of its structure 'Liver'; draw it"):
        numbers_of("m", {"structures": {1: "Spleen"}, "empty": ("Liver",), "left_out": ("Liver",)}, codes)
    with pytest.raises(CohortError, match="'Liver', 'liver'; rename or remove"):
        numbers_of("m", {"structures": {1: "Liver", 2: "liver"}}, codes)
    with pytest.raises(CohortError, match="'Liver', 'Hepar'; leave all but one of these spellings out"):
        numbers_of("m", {"structures": {1: "Liver", 2: "Hepar"}}, codes)


def test_overlapping_segments_are_named_with_what_to_do():
    made = Segmentation(np.ones((2, 1, 1, 1), bool), (1, 2), ("BODY", "Liver"), {"f": "0"})
    with pytest.raises(CohortError, match="segments 'BODY' and 'Liver' overlap; list in cohort.values"):
        made.label_map()


@pytest.mark.parametrize(
    ("one", "other"), [("GTV-", "GTV"), ("level -1", "level 1"), ("IDL 5.0", "IDL 5 0"), ("a +", "a"), ("-1", "1")]
)
def test_names_that_differ_in_a_sign_are_two(one, other):
    assert bare_name(one) != bare_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("N\u00e9bu", "Ne\u0301bu"), ("GTV - primary", "gtv_primary"), ("No. 1", "no 1"), ("a\u200b", "A ")],
)
def test_names_that_differ_in_writing_are_one(one, other):
    assert bare_name(one) == bare_name(other)


@pytest.mark.parametrize(
    ("classes", "refused"),
    [
        (["tumour", "background"], True),
        (["tumour", "Back-Ground "], True),
        (["tumour", "organ", "bg"], True),
        (["1", "0"], True),
        (["tumour", "other"], True),
        (["background", "tumour"], False),
        (["healthy", "tumour", "other"], False),
        (["background", "other"], False),
        (["0", "1"], False),
        (["outside", "background"], False),
        (None, False),
    ],
)
def test_a_background_that_is_not_the_first_class_is_refused(classes, refused):
    if not refused:
        refuse_late_background(classes)
        return
    with pytest.raises(ProtocolError, match="put background first, and its value first in cohort.values"):
        refuse_late_background(classes)
