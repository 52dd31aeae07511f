"""Whose images they are by their own headers: PatientID and StudyInstanceUID of DICOM.

A table may be wrong and file names silent, but a header was written by the scanner. Identifiers that anonymisers put
in place of all patients tell nobody apart and are not believed.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from equipoise.cohorts.cohort import Cohort, Remark
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.patients import ALONE

_PLACEHOLDER = re.compile(
    r"(?i)[\W_]*(anon\w*|unknown|none|null|nan|n/?a|no ?name|patient|patient ?id|test|deidentified|de-identified|"
    r"removed|redacted|xxx*|0+|-+|\*+|)[\W_]*"
)
BY_ID = "The patients are those of the DICOM headers (PatientID), because the source states none."
BY_STUDY = (
    "The source and the DICOM headers state no patients: images of one study (StudyInstanceUID) were taken for one "
    "patient; a patient with several studies counts several times."
)


@dataclass(frozen=True)
class HeaderPatients:
    """A patient for every case by its headers, None where they do not tell; guessed: from studies alone."""

    patients: tuple[str, ...] | None
    guessed: bool = False
    note: str = ""


def owners_of(scan: Scan) -> dict[str, str]:
    """Return patient and study as a DICOM header names them; nothing for placeholders and other formats."""
    patient, study = (str(scan.header.get(key, "")).strip() for key in ("patient_id", "study_uid"))
    return {
        name: value
        for name, value in (("patient", patient), ("study", study))
        if value and not (name == "patient" and _PLACEHOLDER.fullmatch(value))
    }


def without_shared_name(owners: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The owners, without a PatientID that all cases have although they are of several studies: it names nobody."""
    names = {owner.get("patient", "") for owner in owners}
    studies = {owner.get("study", "") for owner in owners}
    if len(owners) > 1 and len(names) == 1 and len(studies) > 1:
        return [{name: value for name, value in owner.items() if name != "patient"} for owner in owners]
    return [dict(owner) for owner in owners]


def header_patients(owners: Sequence[Mapping[str, str]]) -> HeaderPatients:
    """Return the patients of a source that states none: by PatientID where every case has one, else by study."""
    if all("patient" in owner for owner in owners):
        return HeaderPatients(tuple(owner["patient"] for owner in owners), False, BY_ID)
    if all("study" in owner for owner in owners):
        return HeaderPatients(tuple(f"study {owner['study']}" for owner in owners), True, BY_STUDY)
    return HeaderPatients(None)


def contradictions(patients: Sequence[str], owners: Sequence[Mapping[str, str]], cases: Sequence[str]) -> list[Remark]:
    """What is to be said where a source gives images of one PatientID, or of one study, to several patients."""
    remarks = []
    for key, tag in (("patient", "PatientID"), ("study", "StudyInstanceUID")):
        members: dict[str, list[int]] = defaultdict(list)
        for index, owner in enumerate(owners):
            if key in owner:
                members[owner[key]].append(index)
        split = [shared for shared in members.values() if len({patients[index] for index in shared}) > 1]
        if split:
            text = f"one {tag} in the DICOM headers belongs to several patients of the source, who may be one person"
            remarks.append(Remark(text, sum(map(len, split)), cases[split[0][0]]))
    return remarks


def with_header_patients(cohort: Cohort) -> Cohort:
    """The cohort with what DICOM headers say of its patients: in place of a source that states none, else beside it."""
    owners = without_shared_name([case.owners for case in cohort.cases])
    cases = tuple(
        case if case.owners == owner else replace(case, owners=MappingProxyType(owner))
        for case, owner in zip(cohort.cases, owners, strict=True)
    )
    cohort = replace(cohort, cases=cases)
    by_header = header_patients(owners)
    # Patients that a source states are kept even where headers contradict them, for either may be wrong: a remark says
    # so, and the search for leaks compares both.
    if cohort.patients_known or cohort.patients_guessed or by_header.patients is None:
        ids = [case.id for case in cases]
        remarks = contradictions(cohort.patients.tolist(), owners, ids) if cohort.patients_known else []
        return replace(cohort, remarks=(*cohort.remarks, *remarks))
    named = tuple(replace(case, patient=name) for case, name in zip(cases, by_header.patients, strict=True))
    # The source's own note would now be untrue.
    notes = (*(note for note in cohort.notes if ALONE not in note), by_header.note)
    known = not by_header.guessed
    return replace(cohort, cases=named, notes=notes, patients_known=known, patients_guessed=by_header.guessed)
