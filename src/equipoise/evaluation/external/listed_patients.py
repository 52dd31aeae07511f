"""Whether a table's one column of ids names patients or cases, where a list of patients says more than the heading.

A column `Patient No.` with one row for each id is read as patient and case. Where the caller's list gives these ids a
patient, they are names of cases: P004_L and P004_R of the patient P004.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from equipoise.evaluation.external.join import Part
from equipoise.evaluation.external.roles import patients_are_cases, was_read


def with_listed_patients(parts: Sequence[Part], patients: Mapping[str, str] | None) -> list[Part]:
    """Return the parts, without the column `patient` where it is that of the cases and the list names one of these.

    patients: case → patient, as the caller gives them; None without a list. A table whose cases have a column of their
    own keeps its patients.
    """
    return [part if patients is None else _overruled(part, patients) for part in parts]


def _overruled(part: Part, patients: Mapping[str, str]) -> Part:
    reading = part.reading
    name = reading.used.get("patient")
    if name is None or reading.used.get("case") != name:
        return part
    if not any(case in patients for case in reading.columns["case"].astype(str).tolist()):
        return part
    columns = {role: values for role, values in reading.columns.items() if role != "patient"}
    used = {role: column for role, column in reading.used.items() if role != "patient"}
    before = {was_read(name, reading.path, "patient"), patients_are_cases(reading.path)}
    note = (
        f"The column {name!r} of {reading.path} was read as the case, because the list of patients gives its ids a "
        "patient."
    )
    notes = (*(one for one in reading.readings if one not in before), note)
    return replace(part, reading=replace(reading, columns=columns, used=used, readings=notes))
