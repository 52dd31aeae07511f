"""Hold a file of the user's cache for one process, where it is read, changed and written back, or appended to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path


@contextmanager
def locked(folder: Path, name: str) -> Iterator[Path]:
    """Hold the lock of that name for this process alone, and yield the folder; it ends with the process.

    Raises OSError where the folder cannot be written or locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for_lock(handle)
        yield folder
    finally:
        os.close(handle)


def _wait_for_lock(handle: int) -> None:
    """Take the lock of an open file, which ends with the process; OSError where none can be had."""
    try:
        fcntl = import_module("fcntl")
    except ImportError:  # Windows; its lock is of bytes, and tried for ten seconds
        msvcrt = import_module("msvcrt")
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
        return
    fcntl.flock(handle, fcntl.LOCK_EX)
