"""A trial that has ended and is asked for again: its results are read, where the record proves that nothing changed.

Everything that a full run would do differently sends the question there: another protocol or code, a file that is
missing or is not the recorded one, another version of Equipoise, a report that is older than the predictions, results
or a page that somebody edited.
"""

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equipoise.errors import LedgerError
from equipoise.live.state import ENDED, LiveReader
from equipoise.own_modules import file_of
from equipoise.runfolder.evidence import sha256_of
from equipoise.runfolder.own_code import MODULES, code_folder
from equipoise.runfolder.paths import ATTRIBUTIONS, LOCK, REPORT
from equipoise.runfolder.read import RunFolder, read_folder, read_lock, read_results
from equipoise.runfolder.seal import is_sealed
from equipoise.tasks import recorded_task


def finished_results(protocol: Path, out: Path) -> dict[str, Any] | None:
    """Return results.json of the trial of this protocol in `out`; None where a run has anything to do."""
    if int(os.environ.get("WORLD_SIZE", "1") or 1) > 1 or not (out / LOCK).is_file() or not (out / REPORT).is_file():
        return None
    try:
        lock, results = read_lock(out), read_results(out)
        if results is None or not is_sealed(out) or not _same_plan(protocol, out, lock, results):
            return None
        if LiveReader(out).read().phase != ENDED:
            return None
        run = read_folder(out)
    except LedgerError:
        return None  # the full run says what is wrong
    return results if _is_whole(run) else None


def _same_plan(protocol: Path, out: Path, lock: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    """Return whether protocol, code and program are those of the lock."""
    if lock.get("protocol_file_sha256") is None or sha256_of(protocol) != lock["protocol_file_sha256"]:
        return False
    if (lock.get("versions") or {}).get("equipoise") != version("equipoise"):
        return False
    if results.get("protocol_sha256") != lock["protocol_sha256"] or not _is_built_in(lock):
        return False
    folder = code_folder(lock, out) if "code_folder" in lock else protocol.resolve().parent
    hashed = (lock.get("code") or {}) | (lock.get(MODULES) or {})
    return all(_hash_of(name, folder) == digest for name, digest in hashed.items())


def _is_built_in(lock: Mapping[str, Any]) -> bool:
    """Return whether task and endpoints are built in: those of the user's own would have to be run to be judged."""
    return ":" not in str(lock["cohort"].get("task", "")) and not lock.get("own")


def _hash_of(name: str, folder: Path) -> str | None:
    file = file_of(name, folder)
    return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def _is_whole(run: RunFolder) -> bool:
    """Return whether the folder agrees with its record, and nothing that a run makes is missing."""
    task = recorded_task(run.lock["cohort"])
    explained = task is None or not task.explained or (run.path / ATTRIBUTIONS).is_file()
    jobs = all(job.status != "missing" for job in (*run.jobs, *run.baselines))
    return explained and jobs and run.ledger.verified and not run.ledger.plan_changed and not run.problems
