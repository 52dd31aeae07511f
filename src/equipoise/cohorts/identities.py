"""Give the cases and patients of a cohort pseudonyms, so that what a trial writes names nobody.

A pseudonym is a keyed hash of the name, behind the name's place among all sorted names of the cohort. Everything that
decides a number compares names or sorts them, and a pseudonym compares and sorts as its name does: no number changes.
The key lies in the user's cache, readable by its owner alone, and in no output.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Problem
from equipoise.cohorts.name_sieve import NameSieve
from equipoise.cohorts.store import cache_folder

PLAIN, PSEUDONYMS = "plain", "pseudonyms"
NOTE = "Cases and patients are named by pseudonyms; `equipoise ids` names them where the data are."
NOTE_OF_AUDIT = "Cases and patients are named by pseudonyms; `equipoise audit … --ids plain` writes their own names"
_PUBLISHED = ("lidc", "lidccontours", "lidcnodules", "phantom")
"""Sources whose names were published with the data, or made up; `public:` sources are such too."""
_KEY, _KEY_BYTES = "identities.key", 32
_DIGITS = 10
_SMALL_NUMBER = re.compile(r"[-+]?\d{1,3}(\.\d{1,2})?")
"""An age, a grade, a number of a site; a record number is longer, whichever way a table's reader writes it."""
_NUMBER = re.compile(r"[-+]?(\d|\.\d)[\d.]*(e[-+]?\d+)?", re.IGNORECASE)
_MOST_LISTED = 6
_TRAITS = (
    "age", "agegroup", "bodypart", "center", "centre", "device", "ethnicity", "gender", "grade", "hospital",
    "laterality", "manufacturer", "modality", "model", "protocol", "race", "scanner", "sex", "side", "site", "stage",
    "vendor", "view",
)  # fmt: skip
"""Names of attributes (letters alone, small) that describe groups of patients in any paper."""


def are_published(source: str) -> bool:
    """Return whether the names of a source's cases are public, or of nobody.

    >>> are_published("lidc-contours"), are_published("public:msd-hippocampus"), are_published("manifest")
    (True, True, False)
    """
    return source.startswith("public:") or re.sub(r"[-_]", "", source.lower()) in _PUBLISHED


def user_key(folder: Path | None = None) -> bytes:
    """Return the user's key, made at the first call; where it cannot be kept, a key for this call alone.

    folder: by default the user's cache. A lost key costs only that later trials have other pseudonyms: the order of the
    cases and the data themselves lead back from a run folder to its cases.
    """
    file = (folder or cache_folder()) / _KEY
    made = secrets.token_bytes(_KEY_BYTES)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Exclusively, so that of two commands at once both get the key of the first; never readable by others.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _kept(file) or made
    except OSError:
        return made
    with os.fdopen(handle, "wb") as out:
        out.write(made)
    return made


def _kept(file: Path) -> bytes | None:
    try:
        key = file.read_bytes()
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None


def pseudonyms(names: Iterable[str], key: bytes, letter: str) -> dict[str, str]:
    """Return a pseudonym for every name; they sort as the names do.

    letter: the first of every pseudonym, so that no spreadsheet takes one for a number.

    >>> list(pseudonyms(["b", "a"], bytes(32), "p"))[0], len(pseudonyms(["b", "a"], bytes(32), "p")["a"])
    ('a', 13)
    """
    ordered = sorted(set(names))
    width = len(str(len(ordered)))
    return {name: f"{letter}{place:0{width}d}-{digest_of(name, key)}" for place, name in enumerate(ordered, start=1)}


def digest_of(name: str, key: bytes) -> str:
    """Return the digits of a name's pseudonym: a keyed hash (HMAC-SHA-256), cut short."""
    return hmac.new(key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]


def with_pseudonyms(cohort: Cohort, key: bytes, planned: Collection[str] = ()) -> Cohort:
    """Return the cohort with pseudonyms of its cases and patients, and sentences that name no file of theirs.

    planned: the attributes that the plan names, which are kept whatever they hold; of others see `kept_attributes`.
    """
    kept = {*planned, *kept_attributes(cohort)}
    cases, patients = {case.id for case in cohort.cases}, {case.patient for case in cohort.cases}
    if cases & patients:
        # A case that is named as its patient must go on to be: readers compare the two.
        every = pseudonyms(cases | patients, key, "p")
        return renamed(cohort, [(every[case.id], every[case.patient]) for case in cohort.cases], key, kept)
    of_case, of_patient = pseudonyms(cases, key, "c"), pseudonyms(patients, key, "p")
    return renamed(cohort, [(of_case[case.id], of_patient[case.patient]) for case in cohort.cases], key, kept)


def kept_attributes(cohort: Cohort) -> set[str]:
    """Return the attributes that outputs may show without being asked: well-known traits that name nobody.

    A table of patients holds addresses, remarks and record numbers too. An attribute is kept where its name is that of
    a common trait (sex, age, site, scanner), its numbers are small, and its words do not tell most patients apart. No
    other column is kept for holding numbers: nothing about a number says that it is a measurement and no record number.
    """
    values: dict[str, dict[str, str]] = {}
    for case in cohort.cases:
        for name, value in case.attributes.items():
            values.setdefault(name, {})[case.patient] = str(value)
    return {
        name for name, by_patient in values.items() if name == cohort.size_attribute or _is_harmless(name, by_patient)
    }


def _is_harmless(name: str, by_patient: Mapping[str, str]) -> bool:
    if re.sub(r"[^a-z]", "", name.lower()) not in _TRAITS:
        return False
    known = [value for value in by_patient.values() if value]
    if any(_NUMBER.fullmatch(value) and not _SMALL_NUMBER.fullmatch(value) for value in known):
        return False
    # A person's age may be that of nobody else; a word that nobody shares is a name.
    words = [value for value in known if not _SMALL_NUMBER.fullmatch(value)]
    counts = Counter(words)
    return not words or 2 * sum(counts[value] == 1 for value in words) <= len(known)


def _left_out(cohort: Cohort, kept: Collection[str]) -> tuple[str, ...]:
    """Return the note on attributes that outputs do not show."""
    names = [name for name in dict.fromkeys(name for case in cohort.cases for name in case.attributes)
             if name not in kept]  # fmt: skip
    if not names:
        return ()
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    note = (
        f"Outputs leave out the columns {listed} of the table of cases, because such columns may name patients; "
        "endpoints.subgroups names the columns to keep."
    )
    return (note,)


def renamed(cohort: Cohort, names: Sequence[tuple[str, str]], key: bytes, kept: Collection[str]) -> Cohort:
    """Return the cohort with these names of case and patient, in the order of its cases, and these attributes alone."""
    sieve = sieve_of(cohort, names, key)
    text, of_name, new = sieve.text, sieve.of_name, known_names(cohort, names)
    names_of_attributes = {name for case in cohort.cases for name in case.attributes}
    # Only the code of a task of one's own says which attribute is its truth: its cases have all, and tables do not.
    held = names_of_attributes if ":" in cohort.task else kept
    return replace(
        cohort,
        cases=tuple(_renamed(case, *pair, held) for case, pair in zip(cohort.cases, names, strict=True)),
        notes=(*map(text, cohort.notes), *_left_out(cohort, kept), NOTE),
        remarks=tuple(replace(one, text=text(one.text), first=new.get(one.first, "")) for one in cohort.remarks),
        excluded=tuple(
            # Without the file, whose reason then counts for all files that share it.
            Exclusion(of_name(one.case), of_name(one.patient), text(one.reason))
            for one in cohort.excluded
        ),
        problems=tuple(
            Problem(of_name(one.case), of_name(one.file), text(one.problem), text(one.remedy))
            for one in cohort.problems
        ),
        unshown=frozenset(names_of_attributes.difference(kept)),
        joined={},
        known_fingerprint=cohort.fingerprint(),
    )


def sieve_of(cohort: Cohort, names: Sequence[tuple[str, str]], key: bytes) -> NameSieve:
    """Return what takes names out of sentences about a cohort, whose cases and patients have these new names."""
    return NameSieve.of(cohort, known_names(cohort, names), names_aside(cohort, key))


def names_aside(cohort: Cohort, key: bytes) -> dict[str, str]:
    """Return the pseudonym of every name that the cohort holds beside those of its cases and their patients.

    These are names of cases that are left out or cannot be used, of their patients, and other spellings of patients.
    """
    aside = {name for one in cohort.excluded for name in (one.case, one.patient)}
    aside |= {one.case for one in cohort.problems} | set(cohort.joined)
    return {name: f"x-{digest_of(name, key)}" for name in aside if name}


def known_names(cohort: Cohort, names: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the new name for every name of a case or patient of the cohort."""
    known = {case.patient: patient for case, (_, patient) in zip(cohort.cases, names, strict=True)}
    return known | {case.id: new for case, (new, _) in zip(cohort.cases, names, strict=True)}


def _renamed(case: Case, name: str, patient: str, kept: Collection[str]) -> Case:
    attributes = MappingProxyType({key: value for key, value in case.attributes.items() if key in kept})
    return replace(case, id=name, patient=patient, attributes=attributes, true_name=case.id)
