"""What is no label is no class, and one number is one class."""

import pytest

from equipoise.cohorts.layouts.class_labels import class_names, class_of, is_missing
from equipoise.errors import CohortError


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "nan", "-nan", "NULL", "None", "<NA>", "#N/A", "?", "-"])
def test_what_spreadsheets_write_for_nothing_is_no_label(text: str) -> None:
    assert is_missing(text)
    assert not is_missing(text, [text]), "unless the protocol names it as a class"


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "no", "normal", "unknown", "negative"])
def test_what_may_be_a_class_stays_one(text: str) -> None:
    assert not is_missing(text)


def test_numbers_of_one_value_are_one_class_in_the_order_of_numbers() -> None:
    labels = ["10", "2", "2.0", "0", "0.0", "0", "NA", ""]
    assert class_names(labels, "t.csv") == ("0", "2", "10")
    assert [class_of(label, ("0", "2", "10")) for label in ("0.0", "2.00", "10", "3", "NA")] == [
        "0",
        "2",
        "10",
        None,
        None,
    ]
    assert class_names(["1.0", "0.0"], "t.csv") == ("0.0", "1.0"), "the spelling of the table stays where it is one"


def test_labels_that_look_alike_are_asked() -> None:
    for pair in (["Benign", "benign"], ["no finding", "No_Finding"]):
        with pytest.raises(
            CohortError, match="differ only in capitals or spaces; use one spelling, or name all classes"
        ):
            class_names([*pair, "x"], "t.csv")


def test_several_labels_in_one_cell_are_asked() -> None:
    for label in ("Effusion|Mass", "Effusion; Mass", "Mass, Effusion"):
        with pytest.raises(
            CohortError, match="stands for several of the others; put the intended class .* cohort.columns, or name all"
        ):
            class_names(["No Finding", "Effusion", label], "t.csv")
    assert class_names(["upper, left", "lower, right"], "t.csv") == ("lower, right", "upper, left")


def test_one_class_is_no_comparison() -> None:
    with pytest.raises(CohortError, match="has the one label 'a'"):
        class_names(["a", "NaN", ""], "t.csv")
    with pytest.raises(CohortError, match="has no label at all"):
        class_names(["NA", ""], "t.csv")


@pytest.mark.parametrize("other", ["e\u0301", "\u200b\u00e9", "\u00c9"])
def test_classes_that_look_the_same_are_asked(other):
    with pytest.raises(CohortError, match=r"which differ only in .*; use one spelling"):
        class_names(["\u00e9", other, "b"], "t.csv")
