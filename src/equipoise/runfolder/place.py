"""Where a trial belongs: the study whose member it is, and the trial whose contrast by case it is.

A folder's place alone proves neither: a run of any plan can be laid into another's folder. What counts is that the plan
is the one that the study, or the trial around it, planned for this place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.protocol import Protocol
from equipoise.runfolder.evidence import sha256_of
from equipoise.runfolder.ledger import SETTLED, Ledger
from equipoise.runfolder.paths import BY_CASE, LEDGER, LOCK
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.study_family import family_of, identity_of

CONTRAST = "contrast_sha256"
"""The key, of a lock and of the event "settled", with the hash of the protocol of the contrast by case."""


@dataclass(frozen=True)
class Place:
    """Where a trial belongs: the study of which it is a trial, and the trial of which it is the contrast by case.

    parent: the hash of the first event of that trial. family: what lock.json keeps of the study, as
    `study_family.family_of` returns it; None outside of one.
    """

    folder: Path
    study: str | None
    parent: str | None
    family: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, folder: Path, plan: Mapping[str, Any]) -> "Place":
        """Find out where the run folder of a plan belongs.

        plan: the lock, of which the hash of the protocol and the cohort's fingerprint are compared.
        """
        parent = _parent_of(folder, plan)
        family = family_of(*((folder, plan) if parent is None else (folder.parent, read_lock(folder.parent))))
        study = None if family is None else identity_of(family)
        return cls(folder.resolve(), study, parent, None if parent else family)


def contrast_of(protocol: Protocol) -> dict[str, str]:
    """Return what the record of a trial keeps of its contrast by case; nothing where its plan has none."""
    return {CONTRAST: protocol.by_case().sha256()} if protocol.split.contrast == "case" else {}


def _parent_of(folder: Path, plan: Mapping[str, Any]) -> str | None:
    """Return the hash of the first event of the trial that planned this very contrast; None where there is none."""
    around = folder.parent
    if folder.name != BY_CASE or not (around / LEDGER).is_file() or not (around / LOCK).is_file():
        return None
    ledger = Ledger(around)
    # By the ledger's hash of the lock: an entry that was written into it since proves nothing.
    if not ledger.events or ledger.events[0].data.get("lock_sha256") != sha256_of(around / LOCK):
        return None
    settled = ledger.last(SETTLED)
    planned = plans_contrast(read_lock(around), None if settled is None else settled.data, plan)
    return ledger.events[0].hash if planned else None


def plans_contrast(lock: Mapping[str, Any], settled: Mapping[str, Any] | None, plan: Mapping[str, Any]) -> bool:
    """Return whether a trial planned the run with the lock `plan` as its contrast by case.

    lock, settled: of the trial, its lock and its event "settled".
    """
    # A measurement of precision and compiling enters into the contrast too, and is newer than the lock.
    planned = (settled or {}).get(CONTRAST) or lock.get(CONTRAST)
    same_data = lock["cohort"].get("fingerprint") == plan["cohort"].get("fingerprint")
    return bool(planned == plan["protocol_sha256"] and same_data)
