"""What speaks against the class of a structure is asked: the name of another class, another name, another code."""

import pytest

from equipoise.cohorts.layouts.structure_doubts import (
    Structures,
    called_otherwise,
    doubts,
    other_names,
    renamed,
    structures_of,
)
from equipoise.cohorts.layouts.structure_names import codes_of

CLASSES = ["background", "liver", "spleen"]
NUMBERS = codes_of(None, CLASSES)
LIVER, SPLEEN, TISSUE = ("SCT 10200004", "Liver"), ("SCT 78961009", "Spleen"), ("SCT 85756007", "Tissue")


@pytest.mark.parametrize("spleens", [1, 5])
def test_the_class_decides_and_not_the_majority(spleens):
    cases = [("a", {1: "Liver", 7: "x"}), ("b", {1: "liver_", 7: "y"}), ("d", {1: ""}), ("e", {2: "Spleen"})]
    cases += [(f"c{number}", {1: "Spleen"}) for number in range(spleens)]
    codes = {0: 0, 1: 1, 2: 2}
    wrong = "its structure 1 is called 'Spleen', and in another case 'Liver'"
    expected = {f"c{number}": wrong for number in range(spleens)}
    assert other_names(cases, codes, ["background", "liver", "spleen"]) == expected
    assert set(other_names(cases, codes, ["background", "one", "two"])) == {"a", "b", *expected}


def test_the_name_of_another_class_is_asked_though_all_files_agree():
    own = Structures({1: "Spleen", 2: "Liver"})
    wrong = doubts([("a", own), ("b", own)], NUMBERS, CLASSES)
    assert wrong.keys() == {"a", "b"}
    assert wrong["a"][0] == "its structure 1, called 'Spleen', would be the class 'liver'"
    assert 'cohort.values = ["background", "Liver", "Spleen"]' in wrong["a"][1]
    assert not doubts([("a", own)], codes_of(CLASSES, CLASSES), CLASSES)


def test_a_structure_left_out_that_is_called_as_a_class_is_asked():
    wrong = doubts([("a", Structures({1: "Liver"}, left_out=("Spleen",)))], NUMBERS, CLASSES)
    assert "'Spleen' has the name of a class" in wrong["a"][0]
    assert not doubts([("a", Structures({1: "Liver", 2: "Spleen"}, left_out=("Body", "Spleen")))], NUMBERS, CLASSES)


@pytest.mark.parametrize("values", [None, ["background", "Seg 1", "Seg 2"]])
def test_codes_that_are_exchanged_under_one_label_are_asked(values):
    one = Structures({1: "Seg 1", 2: "Seg 2"}, {1: LIVER, 2: SPLEEN})
    other = Structures({1: "Seg 1", 2: "Seg 2"}, {1: SPLEEN, 2: LIVER})
    codes = codes_of(values, CLASSES)
    wrong = doubts([("a", one), ("b", other)], codes, CLASSES)
    assert wrong.keys() == {"b"}
    assert "Seg 1" not in wrong["b"][1], "names that say nothing are no remedy"
    neutral = ["background", "one", "two"]
    wrong = doubts([("a", one), ("b", other)], codes_of(values, neutral), neutral)
    assert wrong.keys() == {"a", "b"}
    assert wrong["b"][0] == "its structure 'Seg 1' has the code of 'Spleen', and in another case of 'Liver'"


def test_the_words_of_a_code_among_the_spellings_are_believed():
    cases = [
        ("a", Structures({1: "Tumor"}, {1: TISSUE})),
        ("b", Structures({1: "Tumor"}, {1: ("SCT 4147007", "Mass")})),
    ]
    classes = ["background", "tumour"]
    assert doubts(cases, codes_of(None, classes), classes).keys() == {"a", "b"}
    assert not doubts(cases, codes_of(["background", ["Tumor", "tissue", "mass"]], classes), classes)


def test_one_code_for_two_classes_in_different_files_is_asked_unless_it_tells_nothing():
    one, other = Structures({1: "Seg 1"}, {1: TISSUE}), Structures({2: "Seg 2"}, {2: TISSUE})
    both = Structures({1: "Seg 1", 2: "Seg 2"}, {1: TISSUE, 2: TISSUE})
    assert doubts([("a", one), ("b", other)], NUMBERS, CLASSES).keys() == {"a", "b"}
    assert not doubts([("a", one), ("b", other), ("c", both)], NUMBERS, CLASSES)


def test_codes_of_two_schemes_with_the_same_words_are_one():
    cases = [("a", Structures({1: "x"}, {1: LIVER})), ("b", Structures({1: "x"}, {1: ("SRT T-62000", "Liver")}))]
    assert not doubts(cases, codes_of(None, ["background", "organ"]), ["background", "organ"])


def test_a_remark_tells_the_code_and_counts_what_is_absent():
    own = structures_of({"structures": {1: "Seg 1"}, "meanings": {1: LIVER}})
    assert renamed(own, NUMBERS, CLASSES) == [
        "its structure 1, called 'Seg 1' with the code of 'Liver', is the class 'liver'",
        "it has no structure 2: the class 'spleen' is nowhere in it",
    ]
    assert structures_of({}) is None


def test_the_file_of_a_structure_that_names_another_class_is_told():
    assert called_otherwise(Structures({1: "SPLEEN"}), 1, CLASSES) == "SPLEEN"
    assert called_otherwise(Structures({1: "x"}, {1: SPLEEN}), 1, CLASSES) == "Spleen"
    assert called_otherwise(Structures({1: "Liver", 2: "vessel"}, {1: SPLEEN}), 1, CLASSES) is None
    assert called_otherwise(Structures(), 1, CLASSES) is None
