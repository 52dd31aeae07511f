"""Patients from the names of files and folders."""

import re
from collections.abc import Iterable

from equipoise.cohorts.layouts.unseen_signs import as_seen
from equipoise.errors import CohortError, ProtocolError

UNKNOWN_PATIENTS = (
    "The source states no patients: every case counts as a patient of its own, which hides leaks between cases of one "
    "person; set cohort.patient_pattern if the file names state the patient."
)
# Only words that mean a person are here. What is found counts as a known patient and not as a guess, and `case`, `scan`
# or `s` number images as often as people.
_PERSON = re.compile(
    r"(?:^|[^A-Za-z])(?P<word>(?i:patient|pat|subject|subj|sub|participant|person|donor|volunteer)[-_ ]?)\d[A-Za-z0-9]*"
)

_WHOLE_NUMBER = re.compile(r"0*(\d+?)(?:\.0*)?")


def patient_of(case: str, pattern: str | None) -> str:
    """Return the first group of the pattern where it is found in a case's name, the name itself without a pattern.

    >>> patient_of("sub-07_ses-2", r"(sub-\\d+)")
    'sub-07'
    """
    if pattern is None:
        return case
    try:
        match = re.search(pattern, case)
    except re.error as error:
        raise ProtocolError(
            f"cohort.patient_pattern is not a valid regular expression ({error}); correct it"
        ) from error
    # A case that the pattern misses must not become a patient of its own, which would hide a leak.
    if match is None or not match.groups():
        raise CohortError(
            f"cohort.patient_pattern {pattern!r} finds no group in {case!r}; give one that fits every case."
        )
    return match[1]


def person_pattern(paths: Iterable[str]) -> str | None:
    """The regular expression that finds the person named in so many words in every path; None where one names none.

    >>> person_pattern(["a/patient1/x.png", "b/patient2/x.png"]), person_pattern(["a/1.png", "b/2.png"])
    ('(?:^|[^A-Za-z])(patient\\\\d[A-Za-z0-9]*)', None)
    """
    matches = [_PERSON.search(path) for path in paths]
    words = {match["word"] for match in matches if match}
    people = {match[0] for match in matches if match}
    # Of patient_1 and subject_1 in one data set nobody knows whether they are one person.
    if len(words) != 1 or None in matches or len(people) < 2:
        return None
    return f"(?:^|[^A-Za-z])({re.escape(words.pop())}\\d[A-Za-z0-9]*)"


def check_patients(patients: Iterable[str], where: str) -> None:
    """Refuse patients that may be one person written in two ways: 7, 7.0 and 007, or P7 and p7.

    Raises CohortError, for two parts that share a person would look as if they did not.
    """
    alike: dict[str, str] = {}
    for patient in patients:
        # Numbers alone lose zeros, and only whole ones do: 1.1 and 1.10 are the first and the tenth patient of site 1.
        number = _WHOLE_NUMBER.fullmatch(patient.strip())
        other = alike.setdefault(number[1] if number else "".join(as_seen(patient).split()), patient)
        if other != patient:
            unseen = as_seen(other) == as_seen(patient) and other.casefold() != patient.casefold()
            first, second = (ascii(other), ascii(patient)) if unseen else (repr(other), repr(patient))
            raise CohortError(
                f"{where} has the patients {first} and {second}, which may be one person: they differ only in "
                "capitals, spaces, zeros or invisible signs; use one spelling, or make them differ in more."
            )
