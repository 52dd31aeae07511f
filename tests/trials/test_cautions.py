"""Warnings before training: rare classes, and one patient with most of the cases."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.splits.leakage import Leak
from equipoise.protocol import Protocol
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.cautions import (
    cautions,
    doubtful_patients,
    equal_arms,
    equal_patients,
    prevailing_patient,
    rare_classes,
)
from equipoise.trials.plan import plan


def cohort_of(patients, **named):
    cohort = phantom(task="segmentation", cases=len(patients), patients=len(patients), size=16)
    cases = tuple(replace(case, patient=f"p{name}") for case, name in zip(cohort.cases, patients, strict=True))
    return replace(cohort, cases=cases, **named)


@pytest.mark.parametrize(("held", "cases", "warned"), [(1, 60, True), (2, 60, False), (0, 60, True), (1, 9, False)])
def test_a_class_of_hardly_any_case_is_named(held, cases, warned):
    """At most one of fifty cases, or a single one; of nine cases nobody can tell."""
    cohort = cohort_of(range(cases), classes=("background", "usual", "stray"))
    rows = [{"case": f"c{k}", "label_voxels": {"0": 9, "1": 5, **({"2": 1} if k < held else {})}} for k in range(cases)]
    sentences = rare_classes(cohort, rows)
    assert [f"'stray' occurs in {held} of {cases} cases" in one for one in sentences] == [True] * warned


def test_empty_masks_are_named_unless_all_are_empty():
    cohort = cohort_of(range(12))
    rows = [{"case": f"c{k}", "label_voxels": {"0": 9, "1": 5 * (k > 1)}} for k in range(12)]
    assert [one[:52] for one in rare_classes(cohort, rows)] == ["2 of 12 cases have an empty mask ('c0', 'c1'), so th"]
    assert rare_classes(cohort, [{"case": str(k), "label_voxels": {"0": 9, "1": 5}} for k in range(12)]) == []


def test_a_patient_with_most_cases_is_told_without_a_name():
    (sentence,) = prevailing_patient(cohort_of([0] * 46 + list(range(1, 55))))
    assert "46 of 100 cases (46 %) are of one patient" in sentence
    assert "p0" not in sentence
    assert prevailing_patient(cohort_of([0, 0, 1, 1, 2, 2])) == []
    assert prevailing_patient(cohort_of([*[0] * 19, *range(1, 82)])) == []


def test_a_channel_of_all_patients_is_named():
    """The second channel of every phantom is the first case's; as it is read, and not by its file."""
    pairs = phantom(cases=12, patients=12, size=16, channels=2)
    atlas = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)

    def with_atlas(read):
        image = read()
        return replace(image, array=np.stack([image.array[0], atlas]))

    cases = tuple(replace(case, read=partial(with_atlas, case.read)) for case in pairs.cases)
    with_one = replace(pairs, cases=cases, recipe=None, channels=("t1", "atlas"))
    protocol = '[cohort]\nsource = "phantom"\n[[arms]]\nname = "a"\nmodel = "unet"\n'
    sentences = {
        name: [one for one in cautions(plan(Protocol.parse(protocol), cohort, "unused")) if "the same in" in one]
        for name, cohort in (("own", pairs), ("atlas", with_one))
    }
    assert sentences["own"] == []
    assert [one[:46] for one in sentences["atlas"]] == ["The channel atlas is the same in 12 of 12 case"]


def test_equal_pictures_of_two_patients_are_told_where_they_are_no_leak():
    cohort = cohort_of(range(12))
    again = replace(cohort.cases[5], id="copy", patient="p99")
    cohort = replace(cohort, cases=(*cohort.cases, again))
    cards, first = CaseCards(cohort), cohort.cases[5].id
    (sentence,) = equal_patients(cohort, cards, [])
    assert "1 pair of cases of different patients are equal, which `equipoise check` names" in sentence
    assert f"('{first}' and 'copy')" in equal_patients(cohort, cards, [], named=True)[0]
    assert equal_patients(cohort, cards, [Leak("copy", first, "equal")]) == []
    assert equal_patients(cohort, cards, [], [[first, "copy"]]) == []


@pytest.mark.parametrize(
    ("patients", "ending"), [("stated", "if they are, give the true patients"), ("confirmed", "each is a patient")]
)
def test_sides_of_some_patients_are_told(patients, ending):
    cohort = cohort_of([*range(10, 22), *(f"{k}_{side}" for k in range(30, 33) for side in "LR")])
    protocol = (
        f'[cohort]\nsource = "phantom"\n[split]\npatients = "{patients}"\n'
        '[endpoints]\nprimary = "dice"\nsecondary = []\n'
        '[[arms]]\nname = "a"\nmodel = "unet"\n'
    )
    (sentence,) = doubtful_patients(plan(Protocol.parse(protocol), cohort, "unused"))
    assert sentence.startswith("3 pairs of names differ only in _L and _R,")
    assert sentence.endswith(ending)


def test_arms_that_are_equal_but_for_their_names_are_told_and_not_refused():
    """As two arms of one network whose start an environment variable decides."""
    arm = '[[arms]]\nname = "%s"\nmodel = "unet"\noptimizer = {name = "adam", lr = %s}\n'
    text = '[cohort]\nsource = "phantom"\n' + arm % ("plain", "1") + arm % ("mine", "1.0") + arm % ("other", "0.1")
    protocol = Protocol.parse(text)
    (sentence,) = equal_arms(protocol.arms)
    assert sentence.startswith("The arms plain and mine are equal in all but their names: a difference between them is")
    assert equal_arms(protocol.arms[1:]) == []
    cohort = phantom(cases=60, size=12)
    assert sentence in cautions(plan(protocol, cohort, "run", CaseCards(cohort)))
