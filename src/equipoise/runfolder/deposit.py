"""Deposit the head of a ledger elsewhere: the one defence against a ledger that was written anew as a whole.

Every hash in a run folder can be computed again by whoever holds the folder. A small file with the hash of the last
event, left with a journal, a registry or a colleague, fixes all events up to it.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json
from equipoise.errors import EquipoiseError, LedgerError
from equipoise.plain_files import text_of
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.paths import LEDGER, PROTOCOL
from equipoise.runfolder.read import RunFolder

KIND = "equipoise ledger deposit"
_SCHEMA = 1


def deposit_of(run: RunFolder) -> dict[str, Any]:
    """Return what is deposited: the head of the ledger, and what the trial is.

    Raises LedgerError for a folder that contradicts its record: its deposit would prove the wrong history.
    """
    if not run.ledger.verified or not run.ledger.head:
        raise LedgerError(f"{run.path} cannot be deposited: {run.ledger.problem}")
    last = Ledger(run.path).events[-1]
    return {
        "kind": KIND,
        "schema": _SCHEMA,
        "name": run.lock["name"],
        "question": run.lock["question"],
        "protocol_sha256": run.lock["protocol_sha256"],
        "events": run.ledger.events,
        "head": run.ledger.head,
        "last_event": last.time,
        "test_openings": run.ledger.test_openings,
        "deposited_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_deposit(run: RunFolder, file: Path) -> dict[str, Any]:
    """Write the deposit into a new file; nothing is overwritten."""
    deposit = deposit_of(run)
    if os.path.lexists(file):  # a link that leads nowhere too
        raise EquipoiseError(f"{file} exists already; name another file with --out")
    try:
        write_json(file, deposit, public=True)
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another with --out") from error
    return deposit


def read_deposit(file: Path) -> dict[str, Any]:
    """Read a deposit; raises EquipoiseError for a file that is none."""
    try:
        deposit = json.loads(text_of(file))
    except (OSError, ValueError, RecursionError) as error:
        raise EquipoiseError(f"{file} is not readable ({error}); name a file of `equipoise ledger deposit`") from error
    events = deposit.get("events") if isinstance(deposit, dict) and deposit.get("kind") == KIND else None
    if type(events) is not int or events < 1 or not isinstance(deposit.get("head"), str):
        raise EquipoiseError(f"{file} is not a deposit; name a file of `equipoise ledger deposit`")
    return dict(deposit)


def verification(run: RunFolder, deposit: Path | None = None) -> dict[str, Any]:
    """Return whether a folder agrees with its ledger, with its plan and with a deposit, every problem, and notes."""
    problems = [one.text for one in run.ledger.contradictions]
    if run.ledger.plan_changed:
        problems.append(f"{PROTOCOL} is not the one that was locked")
    other = deposit_problem(run, read_deposit(deposit)) if deposit is not None and run.ledger.head else None
    problems += [other] if other else []
    return {
        "verified": not problems,
        "problems": problems,
        "notes": [
            f"an older version made this ledger, which holds no hash of {name}" for name in run.ledger.unrecorded
        ],
        "head": run.ledger.head,
        "events": run.ledger.events,
        "test_openings": run.ledger.test_openings,
        "prior_openings": list(run.ledger.prior_openings),
    }


def deposit_problem(run: RunFolder, deposit: Mapping[str, Any]) -> str | None:
    """Return how the ledger of a folder contradicts a deposit; None where it holds all that was deposited."""
    events = Ledger(run.path).events
    if len(events) < deposit["events"]:
        return f"{LEDGER} has {len(events)} events, and {deposit['events']} were deposited: it was cut or replaced"
    if events[deposit["events"] - 1].hash != deposit["head"]:
        return f"{LEDGER} is not the one that was deposited: its event {deposit['events'] - 1} has another hash"
    return None
