"""Equal pixels of two patients within one part."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.cohorts import Image
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.splits.copies import copies
from equipoise.testing.phantoms.cases import phantom


def cohort_of(pictures, patients, **named):
    """A cohort whose cases show these pictures by number; of a negative number, a plain one that all share."""
    noise = np.random.default_rng(0).normal(0, 40, (10, 1, 48, 48)).astype(np.float32)

    def image(number):
        return Image(noise[number] if number >= 0 else np.zeros((1, 48, 48), np.float32), (1.0, 1.0))

    made = phantom(cases=len(pictures), size=16)
    cases = tuple(
        replace(case, id=f"c{place}", patient=patient, read=lambda number=number: image(number), sha256={})
        for place, (case, number, patient) in enumerate(zip(made.cases, pictures, patients, strict=True))
    )
    return replace(made, cases=cases, recipe=None, **named)


@pytest.mark.parametrize(
    ("pictures", "patients", "named", "pairs"),
    [
        ([0, 1, 0, 2], "abcd", {}, [("c0", "c2")]),
        ([0, 1, 0, 2], "abad", {}, []),
        ([0, 0, 0, 0], "abca", {}, [("c0", "c1"), ("c0", "c2"), ("c1", "c3")]),
        ([-1, -1, 0, 1], "abcd", {}, []),
        ([0, 1, 0, 2], "abcd", {"patients_known": False}, [("c0", "c2")]),
        ([0, 1, 0, 2], "abcd", {"patients_known": False, "patients_guessed": True}, []),
    ],
)
def test_equal_pixels_of_two_patients_are_a_pair(pictures, patients, named, pairs):
    cohort = cohort_of(pictures, patients, **named)
    assert copies(cohort, CaseCards(cohort)) == pairs
    assert copies(cohort, CaseCards(cohort), {frozenset(pair) for pair in pairs}) == []
