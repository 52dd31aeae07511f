"""A reference's own column of patients beside those of the predictions: where they contradict each other, one is wrong.

Who is one patient decides how wide intervals are, and a contradiction mostly shows ids that lie in another order than
their rows. The predictions decide, or the list of patients does; the note says how many cases are doubtful.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from shlex import quote

from equipoise.cohorts.splits.patient_names import spelling_key
from equipoise.evaluation.external.lists import REFERENCE, ListFile
from equipoise.evaluation.predictions import Predictions

_SAME = 0.5
"""Share of cases with equal ids from which a column without a known heading holds the patients."""


def contradicted_patients(table: Predictions, lists: Sequence[ListFile]) -> list[str]:
    """Return a note for each column of a reference that names other patients for some test cases than the table."""
    test = table.split == "test"
    own = dict(zip(table.case[test].tolist()[::-1], table.patient[test].tolist()[::-1], strict=True))
    notes = []
    for file in lists:
        for name, cells in (file.beside if file.kind == REFERENCE else {}).items():
            shared = {case: (patient, cells[case]) for case, patient in own.items() if cells.get(case)}
            other = _other(shared, is_patient=name == file.patient)
            if other:
                typed = f"patients.case={quote(file.columns['case'])},patients.patient={quote(name)}"
                notes.append(
                    f"The column {name!r} of the reference {file.path} contradicts the patients of the predictions in "
                    f"{len(other)} of {len(shared)} test cases, first {other[0]!r}: those of the predictions count; if "
                    f"the reference is right, give it as the list of patients (--patients {quote(file.path)} --columns "
                    f"{typed}), without another patient= in --columns"
                )
    return notes


def _other(shared: Mapping[str, tuple[str, str]], *, is_patient: bool) -> list[str]:
    """Return the cases of which two columns name different patients; none where one of them is no column of patients.

    shared: case → the patient in either. is_patient: whether the heading says so: ids may then be of two systems, and
    contradict each other where one patient of either is several of the other.
    """
    keys = {case: (spelling_key(one), spelling_key(other)) for case, (one, other) in shared.items()}
    other = [case for case, (one, two) in keys.items() if one != two]
    if len(other) <= (1 - _SAME) * len(keys):
        return other
    if not is_patient:
        return []
    pairs = set(keys.values())
    partners = Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    return [case for case, (one, two) in keys.items() if partners[0][one] > 1 or partners[1][two] > 1]
