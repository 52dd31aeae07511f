"""Guess patients from the similarity of their images, for sources without patient ids."""

import re
from dataclasses import replace

from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.splits.leakage import propose_groups

_OF_ITS_OWN = re.compile(r": every (case|image) counts as a patient of its own(, which hides [^;.]*)?")
"""What notes of sources say of cases without patients: no longer true where these are guessed."""


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
    notes = tuple(_OF_ITS_OWN.sub("", one) for one in cohort.notes)
    return replace(cohort, cases=cases, patients_guessed=True, notes=(*notes, note))
