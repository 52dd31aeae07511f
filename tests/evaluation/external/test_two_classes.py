"""Of which class a single score is, and what is to be corrected where the truth does not say."""

import shlex

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.two_classes import sides

WHERE = "the reference r.csv"


def read(truths, positive=None):
    return sides(truths, "v.csv", WHERE, AuditOptions(positive=positive))


def test_the_positive_class_is_known_by_name_or_statement():
    assert read(["negativ", "positiv"]) == ("positiv", "negativ")
    assert read(["benign", "malignant"], "malignant") == ("malignant", "benign")
    assert read(["0"]) == ("1", "0")


def test_classes_of_unknown_sides_are_asked_about():
    with pytest.raises(
        PredictionError,
        match=r"not clear of which class of the reference r.csv .*--positive benign or --positive malign\)",
    ):
        read(["benign", "malign"])


@pytest.mark.parametrize(
    ("truths", "typed"),
    [
        (["keine Pneumonie", "Pneumonie"], ["--positive", "Pneumonie"]),
        (["j", "n"], ["--positive", "j"]),
        (["FALSCH", "WAHR"], ["--positive", "WAHR"]),
        (["lung cancer", "no lung cancer"], ["--positive", "lung cancer"]),
        (["abnormal", "normal"], ["--positive", "abnormal"]),
        (["benign", "large mass"], ["--positive", "benign", "or", "--positive", "large mass"]),
    ],
)
def test_the_proposed_class_is_no_denial_and_can_be_typed(truths, typed):
    with pytest.raises(PredictionError) as raised:
        read(truths)
    assert shlex.split(str(raised.value).rpartition("(")[2].rstrip(")")) == typed


def test_a_third_class_is_looked_for_in_the_truth_and_its_cases_can_be_left_out():
    with pytest.raises(PredictionError) as raised:
        read(["negativ"] * 9 + ["positiv"] * 5 + ["unklar"] * 3)
    assert "the reference r.csv has 3 classes (negativ, positiv, unklar), and the one score of v.csv" in str(
        raised.value
    )
    assert "leave the cases of the others out of all files, such as 'unklar' (3)" in str(raised.value)


@pytest.mark.parametrize("odd", ["Positiv", "posi tiv", "POSITIV"])
def test_two_ways_to_write_a_class_are_no_third_one(odd):
    with pytest.raises(PredictionError, match=rf"'positiv' \(5 cases\) and '{odd}' \(1\), which differ in capitals"):
        read(["negativ"] * 9 + ["positiv"] * 5 + [odd])


def test_a_misspelt_positive_class_gets_the_nearest():
    with pytest.raises(PredictionError, match="no class 'positive' .*did you mean 'positiv'"):
        read(["negativ", "positiv"], "positive")
