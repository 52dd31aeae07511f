"""Hold a run folder for one process: by a lock of the system, or by a lease file where there are no locks."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from equipoise.atomic_write import make_folder
from equipoise.errors import EquipoiseError
from equipoise.plain_files import opened, refuse_links
from equipoise.progress import remark
from equipoise.runfolder.lease import Lease
from equipoise.runfolder.ownership import RUN, prove_ours
from equipoise.runfolder.paths import CLAIM

NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What flock answers on a file system without locks, as on some network disks."""
Held = Callable[[], None]
"""Raises Superseded where another process has taken the folder over."""


@contextmanager
def claimed(folder: Path) -> Iterator[Held]:
    """Create the run folder if necessary, and hold it for this process alone until the block ends.

    Yields a check that raises Superseded where another process has taken the folder over, as it may a lease that was
    not renewed. Raises EquipoiseError for a folder that is not ours, or that another process holds; it is then
    unchanged.
    """
    prove_ours(folder, RUN)
    try:
        make_folder(folder)
        # Jobs, logs and the ledger are written in many places, by several processes: nothing there leads elsewhere.
        refuse_links(folder)
        handle = _locked(folder)
    except BlockingIOError as error:
        raise _in_use(folder) from error
    except OSError as error:
        raise EquipoiseError(f"the run folder {folder} cannot be written ({error}); name another with --out") from error
    if handle is None:
        with Lease.taken(folder) as lease:
            yield lease.check
        return
    try:
        yield _always
    finally:
        os.close(handle)


def refuse_in_use(folder: Path) -> None:
    """Raise EquipoiseError where another process holds the folder now, by a lock of the system; nothing is written."""
    try:
        import fcntl  # as in `_locked`

        with opened(folder / CLAIM) as file:
            # Shared, so that of two processes that ask at the same time neither refuses the other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _in_use(folder) from error
    except (ImportError, OSError):
        return  # a new folder, or a file system without locks, whose leases `claimed` compares


def _in_use(folder: Path) -> EquipoiseError:
    return EquipoiseError(f"{folder} is in use by another run; wait for it, or name another with --out")


def _locked(folder: Path) -> int | None:
    """Return a handle that holds the folder's lock; None where the file system knows no locks.

    Raises BlockingIOError where another process holds it, OSError where the folder cannot be written.
    """
    try:
        import fcntl  # here, because Windows has none, and what only reads a run folder needs none
    except ImportError:
        return None
    file = folder / CLAIM
    is_new = not file.exists()
    handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))
    try:
        # An advisory lock of the operating system and not a file that is removed at the end: it ends with the process,
        # so a killed run does not block the folder.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno not in NO_LOCKS:
            raise
        if is_new:
            file.unlink(missing_ok=True)
        remark(
            f"the file system of {folder} does not support locks ({error.strerror}), so a lease file protects the run "
            "folder; if a run is killed on another machine, the next run waits two minutes before it takes over"
        )
        return None
    return handle


def _always() -> None:
    """Check nothing: a lock of the system ends with this process alone."""
