"""Guess patients from the similarity of their images, for sources without patient ids."""

from dataclasses import replace

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.layouts.patients import ALONE
from equipoise.cohorts.splits.leakage import propose_groups


def with_guessed_patients(cohort: Cohort, cards: CaseCards | None = None) -> Cohort:
    """Return the cohort with patients guessed from image similarity, and a note that says so.

    cards: of the cohort; without them every image is read.

    A cohort whose source has patient ids is returned unchanged.
    """
    if cohort.patients_known:
        return cohort
    groups = propose_groups(cohort, cards)
    cases = tuple(replace(case, patient=str(group)) for case, group in zip(cohort.cases, groups, strict=True))
    note = (
        f"Patients are guesses: {len(cohort)} cases were joined to {len(set(groups))} groups of equal or alike images, "
        "in place of the patient ids that the source does not state; a patient whose images differ may be in several. "
        "Set cohort.patient_pattern if the file names state the patient."
    )
    # That every case is a patient of its own is true no longer.
    notes = (*(one for one in cohort.notes if ALONE not in one), note)
    return replace(cohort, cases=cases, patients_guessed=True, notes=notes)
