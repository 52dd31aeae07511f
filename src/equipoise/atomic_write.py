"""The one writer of files: after a crash, a full disk or a kill at any moment the old file or the new one is whole.

The content is written beside its place, synced, and renamed into place; then the folder is synced, because a rename
that is not on the disk may be undone by a power cut. A new folder is synced into its parent for the same reason.
"""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

Write = Callable[[Path, Callable[[Path], object]], None]
"""Writes one file, which its second argument fills: `write_atomic`, or the same with a condition."""
PART = ".part"
"""How the temporary of a file ends; it begins with a dot, so no listing of a run takes it for a result."""


def write_atomic(
    path: Path, write: Callable[[Path], object], *, shared: bool = False, drafts: Path | None = None
) -> None:
    """Let `write` fill a file beside `path`, sync it, and rename it into place.

    shared: other processes may write the same file at the same moment, as in the user's cache; each then fills a
    temporary of its own and the last rename stands. Elsewhere the temporary has one fixed name, so that what a kill
    left is overwritten by the next attempt.

    drafts: an existing folder on the same disk for the temporary, in place of the file's own folder. Where somebody
    removes it meanwhile, the rename fails and the old file stays.

    Raises OSError, or what `write` raises; the old file is then whole and the temporary is gone.
    """
    make_folder(path.parent)
    own = f".{os.getpid()}" if shared else ""
    temporary = (drafts or path.parent) / f".{path.name}{own}{PART}"
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
    write_bytes(path, json_bytes(value, public=public), shared=shared)


def json_bytes(value: object, *, public: bool = False) -> bytes:
    """Return the bytes that `write_json` writes."""
    return (json.dumps(value, indent=1, allow_nan=not public, ensure_ascii=not public) + "\n").encode("utf-8")


def sync(path: Path) -> None:
    """Put a file's content, or a folder's list of names, on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folder as a file, and keeps its names itself
    # Windows syncs only what it could write.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents; each new one is synced into the folder that holds it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)
