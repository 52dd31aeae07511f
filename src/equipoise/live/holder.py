"""Whether some process works on a run folder now, without disturbing it: no lock is tried, and nothing is written."""

import json
import socket
import time
from pathlib import Path

from equipoise.plain_files import text_of
from equipoise.runfolder.lease import TAKEN_AFTER_SECONDS
from equipoise.runfolder.paths import CLAIM, JOBS, LEASE, WRITER

LOCKS = Path("/proc/locks")
"""Where Linux lists the locks that processes of this machine hold."""


def is_held(folder: Path, locks: Path = LOCKS) -> bool | None:
    """Return whether a process holds the folder; None where that cannot be known from here.

    It cannot be known without a list of locks, and of a folder that another machine may hold.
    """
    # Asking for the lock would answer too, but a run that starts in that moment would be refused.
    leases = list(folder.glob(f"{LEASE}-*"))
    if leases:
        return any(_age(lease) < TAKEN_AFTER_SECONDS for lease in leases)
    try:
        number = (folder / CLAIM).stat().st_ino
        held = {line.split()[-3].rpartition(":")[2] for line in locks.read_text().splitlines() if len(line.split()) > 5}
    except FileNotFoundError:
        return False if locks.exists() else None  # the folder was never claimed
    except (OSError, ValueError):
        return None
    if str(number) in held:
        return True
    return None if _elsewhere(folder) else False


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return float("inf")


def _elsewhere(folder: Path) -> bool:
    """Return whether a job was last written by a process of another machine, whose locks are not listed here."""
    here = socket.gethostname()
    for file in (folder / JOBS).glob(f"*/*/{WRITER}"):
        try:
            if json.loads(text_of(file)).get("host", here) != here:
                return True
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
    return False
