"""Find patients whose names differ by blanks, case or leading zeros alone, and take each group for one patient.

Tables that were typed or joined by hand hold "P01", "p1" and "P 01" of one person. Taken for three patients they let
test images into training and make intervals too narrow; taken for one, they cost a patient where they were several.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from equipoise.cohorts.cohort import Cohort
from equipoise.protocol.look_alikes import skeleton

_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def spelling_key(name: str) -> str:
    """Return what names of one patient have in common.

    >>> spelling_key("P 01") == spelling_key("p1"), spelling_key("p10") == spelling_key("p1")
    (True, False)
    """
    plain = skeleton(name).casefold()
    return _LEADING_ZEROS.sub("", "".join(plain.split()))


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """Return the first spelling for every name that has another spelling before it; empty where all differ."""
    first: dict[str, str] = {}
    spellings = {}
    for name in dict.fromkeys(names):
        known = first.setdefault(spelling_key(name), name)
        if known != name:
            spellings[name] = known
    return spellings


def spelling_note(spellings: dict[str, str]) -> str:
    """Return the remark on names that were taken for one patient; spellings: every other spelling → the first."""
    other, first = next(iter(spellings.items()))
    invisible = _looks(first) == _looks(other)
    names = f"{first!a} and {other!a}" if invisible else f"{first!r} and {other!r}"
    how = "look alike and differ only in Unicode" if invisible else "differ only by blanks, case or leading zeros"
    patients = len(set(spellings.values()))
    if patients == 1 and len(spellings) == 1:
        return f"Patients {names} were taken for one: {'they' if invisible else 'their names'} {how}"
    whose = f"{patients} patients are written" if patients > 1 else "1 patient is written"
    each = "each was taken for one" if patients > 1 else "was taken for one"
    return f"{whose} in several ways (first {names}), and {each}: the spellings {how}"


def _looks(name: str) -> str:
    """Return a name without differences of Unicode that nobody sees."""
    return unicodedata.normalize("NFC", skeleton(name))


def with_one_spelling(cohort: Cohort) -> Cohort:
    """Return the cohort with one name for every patient, and a note where names were joined."""
    # Without stated patients, every case is named for itself.
    spellings = one_spelling(case.patient for case in cohort.cases) if cohort.patients_known else {}
    if not spellings:
        return cohort
    cases = tuple(replace(case, patient=spellings.get(case.patient, case.patient)) for case in cohort.cases)
    notes = (*cohort.notes, f"{spelling_note(spellings)}.")
    return replace(cohort, cases=cases, notes=notes, joined={**cohort.joined, **spellings})
