"""Warnings before training: rare classes, one patient with most of the cases, training that is short."""

from dataclasses import replace

import pytest

from equipoise.protocol import Protocol
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.cautions import few_updates, prevailing_patient, rare_classes
from equipoise.trials.plan import plan

TEXT = """
[cohort]
source = "phantom"
task = "segmentation"
[training]
epochs = {epochs}
batch_size = 8
[[arms]]
name = "a"
model = "unet"
"""


def cohort_of(patients, **named):
    cohort = phantom(task="segmentation", cases=len(patients), patients=len(patients), size=16)
    cases = tuple(replace(case, patient=f"p{name}") for case, name in zip(cohort.cases, patients, strict=True))
    return replace(cohort, cases=cases, **named)


@pytest.mark.parametrize(("held", "cases", "warned"), [(1, 60, True), (2, 60, False), (0, 60, True), (1, 9, False)])
def test_a_class_of_hardly_any_case_is_named(held, cases, warned):
    """At most one of fifty cases, or a single one; of nine cases nobody can tell."""
    cohort = cohort_of(range(cases), classes=("background", "usual", "stray"))
    rows = [{"label_voxels": {"0": 9, "1": 5, **({"2": 1} if k < held else {})}} for k in range(cases)]
    sentences = rare_classes(cohort, rows)
    assert [f"'stray' occurs in {held} of {cases} cases" in one for one in sentences] == [True] * warned


def test_a_patient_with_most_cases_is_told_without_a_name():
    (sentence,) = prevailing_patient(cohort_of([0] * 46 + list(range(1, 55))))
    assert "46 of 100 cases (46 %) are of one patient" in sentence
    assert "p0" not in sentence
    assert prevailing_patient(cohort_of([0, 0, 1, 1, 2, 2])) == []
    assert prevailing_patient(cohort_of([*[0] * 19, *range(1, 82)])) == []


def test_short_training_is_told_with_the_epochs_that_suffice():
    """80 of 100 cases train, in 10 batches of 8: 1,000 updates take 100 epochs."""
    cohort = cohort_of(range(100))

    def warned(epochs):
        protocol = Protocol.parse(TEXT.format(epochs=epochs))
        return few_updates(protocol, cohort, plan(protocol, cohort, "unused").folds)

    (sentence,) = warned(42)
    assert "420 updates, and with fewer than 1,000" in sentence
    assert "training.epochs to 100" in sentence
    assert warned(100) == []
