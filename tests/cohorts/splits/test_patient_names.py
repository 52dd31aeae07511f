"""One patient under several spellings is one patient, in trials and in audits."""

import dataclasses

import numpy as np
import pytest

import equipoise
from equipoise.cohorts.splits.patient_names import one_spelling, spelling_key, spelling_note, with_one_spelling
from equipoise.protocol import Protocol
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials.plan import plan


@pytest.mark.parametrize("name", ["P 01", "p1", " P01 ", "P\u00a001", "P0001", "\uff301"])
def test_spellings_of_one_patient(name):
    assert spelling_key(name) == spelling_key("P1")


@pytest.mark.parametrize("name", ["P10", "P2", "Q1", "P1b", "P1.1", ""])
def test_other_patients(name):
    assert spelling_key(name) != spelling_key("P1")


def test_the_first_spelling_stays():
    assert one_spelling(["p7", "P1", "p 01", "P1", "p07"]) == {"p 01": "P1", "p07": "p7"}
    assert one_spelling(["a1", "a2", "a10"]) == {}


def cohort_with_spellings():
    made = phantom(cases=60, patients=60, size=12)
    respelt = (dataclasses.replace(case, patient=case.patient.upper().replace("-", "- ")) for case in made.cases[:30])
    twins = (dataclasses.replace(case, id=f"{case.id}-b") for case in respelt)
    return dataclasses.replace(made, cases=(*made.cases, *twins))


def test_a_trial_divides_no_patient_between_spellings():
    cohort = with_one_spelling(cohort_with_spellings())
    assert len(set(cohort.patients.tolist())) == 60
    assert "was taken for one: " in cohort.notes[-1]
    protocol = Protocol.parse('[cohort]\nsource = "phantom"\n[[arms]]\nname = "a"\nmodel = "unet"\n')
    trial = plan(protocol, cohort_with_spellings(), "unused")
    (fold,) = trial.folds
    parts = [set(trial.cohort.patients[list(part)].tolist()) for part in (fold.train, fold.validation, fold.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_a_source_without_patients_is_left_alone():
    cohort = dataclasses.replace(cohort_with_spellings(), patients_known=False)
    assert with_one_spelling(cohort) is cohort


def test_an_audit_counts_a_patient_once():
    rng = np.random.default_rng(0)
    n = 80
    truth = rng.integers(0, 2, n)
    patients = [f"P{k // 2:03d}" if k % 2 else f"p {k // 2}" for k in range(n)]
    columns = {"case": [f"c{k}" for k in range(n)] * 2, "patient": patients * 2, "split": ["test"] * 2 * n}
    columns |= {"arm": ["a"] * n + ["b"] * n, "fold": [0] * 2 * n, "seed": [0] * 2 * n}
    scores = np.clip(0.5 + 0.2 * (2 * np.tile(truth, 2) - 1) + 0.3 * rng.standard_normal(2 * n), 0.01, 0.99)
    columns |= {"truth": ["yes" if one else "no" for one in truth] * 2, "score_no": 1 - scores, "score_yes": scores}
    results = equipoise.audit(columns)
    assert results["cohort"]["patients"] == 40
    assert any("each was taken for one: " in warning for warning in results["warnings"])


def test_names_that_nobody_can_tell_apart_are_one_and_said_to_be_so() -> None:
    for twin in ("e\u0301p1", "\u00e9p1\u200b"):
        spellings = one_spelling(["\u00e9p1", twin])
        assert spellings == {twin: "\u00e9p1"}
        note = spelling_note(spellings)
        assert "differ only in Unicode" in note
        assert ascii(twin) in note


def test_the_note_counts_patients_and_not_spellings() -> None:
    assert spelling_note({"7": "007"}).startswith("Patients '007' and '7' were taken for one: their names differ")
    two = spelling_note({"7": "007", "8": "08"})
    assert two.startswith("2 patients are written in several ways (first '007' and '7'), and each was taken for one: ")
    assert spelling_note({"7": "007", "07": "007"}).startswith("1 patient is written in several ways (first '007'")
