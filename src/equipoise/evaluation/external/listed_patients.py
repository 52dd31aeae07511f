"""Whose word counts on patients: a list that the caller gives says more than a column that its heading alone tells.

A column `Subject` was only guessed to hold patients; the list was stated, so it decides. A column `Patient No.` with
one row for each id is read as patient and case; where the list gives these ids a patient, they are names of cases:
P004_L and P004_R of the patient P004.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from shlex import quote

from equipoise.cohorts.splits.patient_names import spelling_key
from equipoise.evaluation.external import detections
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.join import Part
from equipoise.evaluation.external.likeness import refuse_unlisted
from equipoise.evaluation.external.lists import PATIENTS
from equipoise.evaluation.external.reading import Caution
from equipoise.evaluation.external.roles import patients_are_cases, was_read
from equipoise.evaluation.external.scopes import columns_of_arm


def with_listed_patients(parts: Sequence[Part], options: AuditOptions) -> list[Part]:
    """Return the parts, without a column of patients that was only guessed, where the list has such cases.

    A column that the caller states as the patient (`--columns patient=NAME`) keeps its word. Raises PredictionError
    for a list that lacks some cases of a table.
    """
    return [part if not options.patients else _overruled(part, options, options.patients) for part in parts]


def _overruled(part: Part, options: AuditOptions, patients: Mapping[str, str]) -> Part:
    reading = part.reading
    name = reading.used.get("patient")
    if name is None or "case" not in reading.columns or reading.kind == detections.KIND:
        return part
    cases = reading.columns["case"].astype(str).tolist()
    is_case = reading.used.get("case") == name
    by_caller = columns_of_arm(options.columns, part.arm).get("patient") == (name,)
    if (by_caller and not is_case) or not any(case in patients for case in cases):
        return part
    columns = {role: values for role, values in reading.columns.items() if role != "patient"}
    used = {role: column for role, column in reading.used.items() if role != "patient"}
    before = {was_read(name, reading.path, "patient"), patients_are_cases(reading.path)}
    if is_case:
        note = (
            f"The column {name!r} of {reading.path} was read as the case, because the list of patients gives its ids a "
            "patient."
        )
    else:
        listed = " ".join(["the list of patients", *(one.path for one in options.lists if one.kind == PATIENTS)])
        own = f"or let the table's own column decide (--columns {_scope(part.arm)}patient={quote(name)})"
        refuse_unlisted(cases, patients, reading.path, listed, own)
        note = _by_the_list(name, reading.path, cases, reading.columns["patient"].astype(str).tolist(), patients)
    cautions = (*reading.notes, note) if isinstance(note, Caution) else reading.notes
    readings = (*(one for one in reading.readings if one not in before), *([] if isinstance(note, Caution) else [note]))
    return replace(part, reading=replace(reading, columns=columns, used=used, readings=readings, notes=cautions))


def _scope(arm: str) -> str:
    return f"{arm}." if arm else ""


def _by_the_list(name: str, path: str, cases: list[str], own: list[str], patients: Mapping[str, str]) -> str:
    """Return the note on a column that the list overrules; a caution where the two name other people."""
    pairs = {(case, patient) for case, patient in zip(cases, own, strict=True)}
    other = sorted(case for case, patient in pairs if spelling_key(patient) != spelling_key(patients[case]))
    text = f"The patients of {path} are those of the list of patients, as stated, and not of its column {name!r}"
    if not other:
        return f"{text}."
    return Caution(f"{text}, which names another patient for {len(other)} of {len(set(cases))} cases.")
