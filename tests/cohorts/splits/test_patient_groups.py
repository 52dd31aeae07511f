"""Guessed patients: alike images share a group, and the cohort says that they are guesses."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS
from equipoise.cohorts.splits.patient_groups import with_guessed_patients


def cohort_of(patients: list[str], **known: bool) -> Cohort:
    """Noise, but images 0 and 5 are one, and 1 and 7 mirror each other."""
    pixels = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((len(patients), 48, 48)), (0, 1, 1))
    pixels[5], pixels[7] = pixels[0], pixels[1, :, ::-1]
    cases = tuple(
        Case(f"c{index}", patient, partial(Image, image[None], (1.0, 1.0)), index % 2)
        for index, (patient, image) in enumerate(zip(patients, pixels, strict=True))
    )
    return Cohort("noise", "classification", cases, ("a", "b"), ("grey",), 2, **known)


def together(cohort: Cohort) -> set[frozenset[str]]:
    """Groups of more than one case."""
    members: dict[str, set[str]] = {}
    for case in cohort.cases:
        members.setdefault(case.patient, set()).add(case.id)
    return {frozenset(group) for group in members.values() if len(group) > 1}


def test_alike_images_become_one_patient_and_the_note_says_so() -> None:
    cohort = with_guessed_patients(cohort_of([f"c{n}" for n in range(12)], patients_known=False))
    assert together(cohort) == {frozenset({"c0", "c5"}), frozenset({"c1", "c7"})}
    assert cohort.patients_guessed
    assert not cohort.patients_known
    assert "12 cases were joined to 10 groups" in cohort.notes[-1]
    assert [case.id for case in cohort.cases] == [f"c{n}" for n in range(12)]


def test_a_note_that_cases_are_alone_goes_once_they_are_joined() -> None:
    alone = replace(cohort_of([f"c{n}" for n in range(12)], patients_known=False), notes=(UNKNOWN_PATIENTS, "other"))
    notes = with_guessed_patients(alone).notes
    assert [note == "other" or "joined to 10 groups" in note for note in notes] == [True, True]
    assert "patient_pattern" in notes[-1]


def test_guesses_of_the_source_are_kept_and_joined_further() -> None:
    stated = ["x", "y", "x", "z", *(f"p{n}" for n in range(8))]
    cohort = with_guessed_patients(cohort_of(stated, patients_known=False, patients_guessed=True))
    assert together(cohort) == {frozenset({"c0", "c2", "c5"}), frozenset({"c1", "c7"})}


def test_known_patients_are_not_guessed() -> None:
    cohort = cohort_of([f"p{n}" for n in range(12)])
    assert with_guessed_patients(cohort) is cohort


@pytest.mark.long
def test_the_fingerprint_changes_with_the_groups() -> None:
    cohort = cohort_of([f"c{n}" for n in range(12)], patients_known=False)
    assert with_guessed_patients(cohort).fingerprint() != cohort.fingerprint()
    assert with_guessed_patients(cohort).fingerprint() == with_guessed_patients(replace(cohort)).fingerprint()
