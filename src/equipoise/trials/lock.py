"""Lock the plan in the run folder before training, and verify the lock when a run is resumed."""

import csv
import fcntl
import hashlib
import io
import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json, write_text
from equipoise.cohorts import Cohort
from equipoise.cohorts.splits.split import Fold
from equipoise.errors import EquipoiseError, LedgerError
from equipoise.protocol import Protocol
from equipoise.runfolder.ledger import LOCKED, Ledger
from equipoise.runfolder.ownership import RUN, claim, prove_ours
from equipoise.runfolder.paths import CASES, CLAIM, LOCK, PROTOCOL
from equipoise.runfolder.read import read_lock
from equipoise.statistics.own import describe_own
from equipoise.training.preparation.staging import own_metrics

SCHEMA = 2
DRAWS_OF_SCIPY = 2
"""Locks of schema 1 hold draws of tuning from another scrambled Sobol sequence; all else reads alike."""
PACKAGES = ("equipoise", "torch", "numpy", "scipy")


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Create the run folder if necessary, and hold it for this process alone until the block ends.

    Raises EquipoiseError for a folder that is not ours, or that another process holds; it is then unchanged.
    """
    prove_ours(folder, RUN)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / CLAIM, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise EquipoiseError(f"the run folder {folder} cannot be written ({error}); name another with --out") from error
    try:
        # An advisory lock of the operating system and not a file that is removed at the end: it ends with the process,
        # so a killed run does not block the folder.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise EquipoiseError(f"{folder} is in use by another run; wait for it, or name another with --out") from error
    try:
        yield folder
    finally:
        os.close(handle)


def lock(folder: Path, protocol: Protocol, cohort: Cohort, folds: Sequence[Fold], record: dict[str, Any]) -> Ledger:
    """Lock the plan before training, or verify that the folder holds this very plan.

    record: further facts of the plan (device, hashes of the user's own code).
    Raises LedgerError where the folder belongs to another protocol, cohort or split; nothing is overwritten.
    """
    plan = describe(protocol, cohort, folds) | record
    file = folder / LOCK
    if file.is_file():
        _verify(folder, plan)
        ledger = Ledger(folder)
        _verify_hash(folder, ledger)
        return ledger
    claim(folder, RUN)
    write_text(folder / PROTOCOL, protocol.text)
    write_text(folder / CASES, cases_table(cohort, folds))
    plan |= {"protocol_file_sha256": _sha256(folder / PROTOCOL)}
    if plan["own"] or ":" in cohort.task:
        plan["code_folder"] = os.path.relpath(protocol.folder, folder)
    plan |= {"versions": _versions(), "machine": platform.platform()}
    plan |= {"locked_at": datetime.now(UTC).isoformat(timespec="seconds")}
    # The file is on the disk before its hash is in the ledger: a power cut between the two must not leave the hash of a
    # file that does not exist.
    write_json(file, plan)
    ledger = Ledger(folder)
    ledger.append(LOCKED, protocol_sha256=plan["protocol_sha256"], lock_sha256=_sha256(file))
    return ledger


def describe(protocol: Protocol, cohort: Cohort, folds: Sequence[Fold]) -> dict[str, Any]:
    """Return the plan as in lock.json: everything that decides the result."""
    endpoints, training = protocol.endpoints, protocol.training
    names = [case.id for case in cohort.cases]
    task = cohort.task_record
    parts = ("train", "validation", "test")
    return {
        "schema": SCHEMA,
        "name": protocol.trial.name,
        "question": protocol.trial.question,
        "protocol_sha256": protocol.sha256(),
        "cohort": describe_cohort(cohort),
        "split": {
            "scheme": protocol.split.scheme,
            "unit": protocol.split.unit,
            "folds": [{part: [names[i] for i in getattr(fold, part)] for part in parts} for fold in folds],
        },
        "endpoints": endpoints.model_dump(mode="json")
        | {"positive": cohort.classes[1] if task.has_labels and len(cohort.classes) == 2 else None},
        "arms": [arm.model_dump(mode="json") for arm in protocol.arms],
        "seeds": list(training.seeds),
        "shared_seeds": training.shared_seeds,
        "jobs": [
            {"arm": arm.name, "fold": fold, "seed": seed}
            for fold in range(len(folds))
            for seed in training.seeds
            for arm in (*protocol.arms, *protocol.untuned())
        ],
        "threads": training.threads,
        "own": describe_own(own_metrics(protocol, cohort) or endpoints.own, protocol.folder, masks=task.has_masks),
    }


def describe_cohort(cohort: Cohort) -> dict[str, Any]:
    """Describe the data for the report: numbers, classes, exclusions with their reasons."""
    patients: dict[str, set[str]] = {}
    for exclusion in cohort.excluded:
        patients.setdefault(exclusion.reason, set()).add(exclusion.patient)
    counts = Counter(exclusion.reason for exclusion in cohort.excluded)
    return {
        "name": cohort.name,
        "task": cohort.task,
        "fingerprint": cohort.fingerprint(),
        "patients": len(set(cohort.patients.tolist())),
        "cases": len(cohort),
        "classes": cohort.task_record.counts(cohort),
        "regions": list(cohort.task_record.structures(cohort)),
        "channels": list(cohort.channels),
        "excluded": [{"reason": r, "cases": n, "patients": len(patients[r])} for r, n in counts.items()],
        "notes": [*cohort.notes, *(_sentence(str(remark)) for remark in cohort.remarks)],
        "patients_known": cohort.patients_known,
        "patients_guessed": cohort.patients_guessed,
        "size_attribute": cohort.size_attribute,
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def cases_table(cohort: Cohort, folds: Sequence[Fold]) -> str:
    """Return cases.csv: every case with patient, label, its part in each fold, and its attributes."""
    attributes = list(dict.fromkeys(name for case in cohort.cases for name in case.attributes))
    part_of = [["" for _ in folds] for _ in cohort.cases]
    for number, fold in enumerate(folds):
        for part in ("train", "validation", "test"):
            for index in getattr(fold, part):
                part_of[index][number] = part
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "patient", "label", *(f"part_{n}" for n in range(len(folds))), *attributes])
    for case, parts in zip(cohort.cases, part_of, strict=True):
        label = "" if case.label is None else cohort.classes[case.label]
        writer.writerow([case.id, case.patient, label, *parts, *(case.attributes.get(name, "") for name in attributes)])
    return text.getvalue()


def _verify(folder: Path, plan: dict[str, Any]) -> None:
    """Compare the folder's lock with the plan; raise LedgerError with the first difference."""
    locked = read_lock(folder)
    checks = (
        (("protocol_sha256",), "belongs to another protocol"),
        (("cohort", "fingerprint"), "was locked with other data: a file, label or patient of the cohort has changed"),
        (("split",), "was locked with another split"),
        (("code",), "was locked with other code of your own modules"),
        (("own",), "was locked with other endpoints of your own"),
        (("pretrained",), "was locked with other pretrained weights"),
        (("tuning",), _other_draws(locked.get("schema", 1))),
    )
    for keys, complaint in checks:
        before, now = locked, plan
        for key in keys:
            before, now = before.get(key, {}), now.get(key, {})
        if before != now:
            raise LedgerError(f"{folder} {complaint}; nothing was overwritten, name a new folder with --out")


def _other_draws(schema: int) -> str:
    if schema < DRAWS_OF_SCIPY:
        return (
            "was begun by an earlier version, which drew the settings of tuning otherwise; finish it with that version"
        )
    return "was locked with other draws of tuning"


def _verify_hash(folder: Path, ledger: Ledger) -> None:
    """Require the lock file whose hash is the first event; an event that a crash prevented is added."""
    locked = ledger.last(LOCKED)
    digest = _sha256(folder / LOCK)
    if locked is None and not ledger.events:
        ledger.append(LOCKED, protocol_sha256=read_lock(folder)["protocol_sha256"], lock_sha256=digest)
    elif locked is None or locked.data["lock_sha256"] != digest:
        raise LedgerError(f"{folder / LOCK} was changed after locking; restore it, or run into a new folder")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
