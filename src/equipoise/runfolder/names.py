"""The names by which a run folder calls the cases of its cohort, where these are pseudonyms."""

from pathlib import Path

from equipoise.cohorts import Cohort
from equipoise.cohorts.identities import renamed, user_key
from equipoise.errors import LedgerError
from equipoise.runfolder.paths import CASES, LOCK
from equipoise.runfolder.read import cases_of, read_lock

IDS = "ids"
"""The key of a lock that says how cases are named; locks of earlier versions lack it, and name them plainly."""


def as_locked(cohort: Cohort, folder: Path) -> Cohort:
    """Return the cohort with the names that a run folder gives its cases; as it is where the folder holds other data.

    The table of cases has the cohort's order, so that neither a key nor a table of names needs to be kept.
    Raises LedgerError where that table is missing or damaged.
    """
    locked = read_lock(folder)
    if IDS not in locked or locked["cohort"]["fingerprint"] != cohort.fingerprint():
        return cohort
    rows, complaint = cases_of(folder)
    if len(rows) != len(cohort):
        reason = complaint or f"it lists {len(rows)} cases, and the trial has {len(cohort)}"
        raise LedgerError(f"{folder / CASES} does not fit {LOCK}: {reason}; restore it")
    return renamed(cohort, [(row["case"], row["patient"]) for row in rows], user_key(), rows[0].keys())
