from dataclasses import replace

import numpy as np
import pytest

from equipoise.cohorts.splits.attribute_leakage import predictive_attributes, warnings
from equipoise.testing.phantoms.cases import phantom

PEOPLE = [f"p{k}" for k in range(200)]
RNG = np.random.default_rng(0)
CLASS = RNG.integers(0, 2, 200)
LABELS = ["benign" if one == 0 else "malignant" for one in CLASS]


@pytest.mark.parametrize(
    "values",
    [
        [str(one) for one in CLASS],
        ["low" if one == 0 else "high" for one in CLASS],
        [f"{value:.3f}" for value in CLASS + 0.8 * RNG.random(200)],
        [f"{value:.3f}" for value in -3.0 * CLASS + RNG.random(200)],
        [["a", "b", "c", "d"][2 * one + RNG.integers(0, 2)] for one in CLASS],
        ["" if k % 3 == 0 else str(one) for k, one in enumerate(CLASS)],
    ],
    ids=["class number", "word", "number above", "number below", "one site each", "unknown for a third"],
)
def test_a_label_in_an_attribute_is_found(values):
    (name, share), *others = predictive_attributes(PEOPLE, LABELS, {"leak": values, "sex": ["f", "m"] * 100}).items()
    assert name == "leak"
    assert share > 0.98
    assert not others


@pytest.mark.parametrize(
    "values",
    [
        ["f", "m"] * 100,
        [f"{value:.3f}" for value in CLASS + RNG.standard_normal(200)],  # AUC 0.76, like a diameter
        [f"{value:.3f}" for value in 1.8 * CLASS + RNG.standard_normal(200)],  # AUC 0.90
        [str(k) for k in range(200)],
        [f"study-{k}" for k in range(200)],
        ["same"] * 200,
        [""] * 200,
        ["" if k > 15 else str(one) for k, one in enumerate(CLASS)],
    ],
    ids=["sex", "weak", "strong", "row number", "own name", "constant", "unknown", "known of a few"],
)
def test_what_does_not_tell_the_class_is_left_alone(values):
    assert predictive_attributes(PEOPLE, LABELS, {"attribute": values}) == {}


def test_cases_of_one_patient_count_once():
    """Ten nodules of a patient share class and age; that tells nothing of other patients."""
    patients = [name for name in PEOPLE[:40] for _ in range(10)]
    labels = [label for label in LABELS[:40] for _ in range(10)]
    ages = [str(30 + k) for k in RNG.permutation(40) for _ in range(10)]
    assert predictive_attributes(patients, labels, {"age": ages}) == {}


def test_a_rare_class_is_not_hidden_by_the_common_one():
    labels = ["ill" if k < 12 else "well" for k in range(200)]
    assert predictive_attributes(PEOPLE, labels, {"site": ["x", "y"] * 100}) == {}
    assert predictive_attributes(PEOPLE, labels, {"site": ["x" if k < 12 else "y" for k in range(200)]}) == {
        "site": 1.0
    }


def test_several_classes_and_too_few_patients():
    grade = [str(k % 4) for k in range(200)]
    assert predictive_attributes(
        PEOPLE, grade, {"grade": grade, "sum": [str(int(g) * 10 + 1) for g in grade]}
    ).keys() == {
        "grade",
        "sum",
    }
    assert predictive_attributes(PEOPLE[:16], LABELS[:16], {"leak": LABELS[:16]}) == {}


def _with(name, value, size_attribute="diameter_mm"):
    made = phantom(cases=80, size=12)
    cases = tuple(replace(case, attributes={**case.attributes, name: value(case.label)}) for case in made.cases)
    return replace(made, cases=cases, size_attribute=size_attribute)


def test_a_cohort_is_warned_of_by_name():
    (warning,) = warnings(_with("grade", lambda label: 3 + label))
    assert "'grade' tells the class of 100 % of patients" in warning
    assert warnings(phantom(cases=80, size=12)) == []
    assert warnings(phantom(task="segmentation", cases=4, size=12)) == []


def test_the_declared_source_of_the_label_is_no_surprise_but_no_size_either():
    assert warnings(_with("grade_mean", lambda label: 3 + label), "grade") == []
    assert len(warnings(_with("grade_mean", lambda label: 3 + label, "grade_mean"), "grade")) == 1
