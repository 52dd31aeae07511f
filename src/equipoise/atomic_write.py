"""The one writer of files: after a crash, a full disk or a kill at any moment the old file or the new one is whole.

The content is written beside its place, synced, and renamed into place; then the folder is synced, because a rename
that is not on the disk may be undone by a power cut. A new folder is synced into its parent for the same reason.
"""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

PART = ".part"
"""How the temporary of a file ends; it begins with a dot, so no listing of a run takes it for a result."""


def write_atomic(path: Path, write: Callable[[Path], object], *, shared: bool = False) -> None:
    """Let `write` fill a file beside `path`, sync it, and rename it into place.

    shared: other processes may write the same file at the same moment, as in the user's cache; each then fills a
    temporary of its own and the last rename stands. Elsewhere the temporary has one fixed name, so that what a kill
    left is overwritten by the next attempt.

    Raises OSError, or what `write` raises; the old file is then whole and the temporary is gone.
    """
    _make_folder(path.parent)
    own = f".{os.getpid()}" if shared else ""
    temporary = path.with_name(f".{path.name}{own}{PART}")
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_bytes(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Write bytes atomically."""
    write_atomic(path, lambda file: file.write_bytes(content), shared=shared)


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Write text atomically, as UTF-8 with the line ends as they are given."""
    write_bytes(path, text.encode("utf-8"), shared=shared)


def write_json(path: Path, value: object, *, public: bool = False, shared: bool = False) -> None:
    """Write JSON atomically.

    public: files that other programs read. They hold no NaN (ValueError), which JSON does not know, and letters of
    every script as they are.
    """
    text = json.dumps(value, indent=1, allow_nan=not public, ensure_ascii=not public)
    write_text(path, text + "\n", shared=shared)


def sync(path: Path) -> None:
    """Put a file's content, or a folder's list of names, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: Path) -> None:
    """Make a folder with its parents; each new one is synced into the folder that holds it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)
