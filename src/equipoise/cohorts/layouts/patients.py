"""Patients from the names of files and folders."""

import re
from collections.abc import Iterable, Sequence

from equipoise.cohorts.layouts.unseen_signs import as_seen
from equipoise.errors import CohortError, ProtocolError

ALONE = "counts as a patient of its own"
"""Words of the notes that hold only while no patients are stated, read from headers, or guessed."""
UNKNOWN_PATIENTS = (
    f"The source states no patients: every case {ALONE}, which hides leaks between cases of one "
    "person; set cohort.patient_pattern if the file names state the patient."
)
# Only words that mean a person are here. What is found counts as a known patient and not as a guess, and `case`, `scan`
# or `s` number images as often as people.
_PERSON = re.compile(
    r"(?:^|[^A-Za-z])(?P<word>(?i:patient|pat|subject|subj|sub|participant|person|donor|volunteer)[-_ ]?)\d[A-Za-z0-9]*"
)

_MOST_HEADS = 0.8
"""Share of the names up to which beginnings recur: a patient has more than one image."""
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


def leading_pattern(names: Sequence[str]) -> str | None:
    """Return the regular expression of names that look like PATIENT_IMAGE: a number that recurs, and one that follows.

    names: of the cases. None where any differs in form, or no number recurs. What it finds is a guess: of 01_02 nobody
    knows what the numbers count.

    >>> leading_pattern(["p01_1", "p01_2", "p02_1"]), leading_pattern(["img_1", "img_2", "img_3"])
    ('([^/_]+)_[^/]*$', None)
    """
    for sign in "_-":
        pattern = f"([^/{sign}]+){sign}[^/]*$"
        heads = [match[1] if (match := re.search(pattern, name)) else "" for name in names]
        recurs = 1 < len(set(heads)) <= _MOST_HEADS * len(names)
        if recurs and all(any(letter.isdigit() for letter in head) for head in heads):
            return pattern
    return None


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
