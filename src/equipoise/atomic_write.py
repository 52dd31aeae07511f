"""The one writer of files: after a crash, a full disk or a kill at any moment the old file or the new one is whole.

The content is written beside its place, synced, and renamed into place; then the folder is synced, because a rename
that is not on the disk may be undone by a power cut. A new folder is synced into its parent for the same reason.

A temporary has a random name and is made new: a folder from elsewhere could hold a link under a name known before,
through which the content would be written over somebody's own file.
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from equipoise.plain_files import create, refuse_linked_folder

Write = Callable[[Path, Callable[[Path], object]], None]
"""Writes one file, which its second argument fills: `write_atomic`, or the same with a condition."""
PART = ".part"
"""How the temporary of a file ends; it begins with a dot, so no listing of a run takes it for a result."""


def write_atomic(
    path: Path, write: Callable[[Path], object], *, shared: bool = False, drafts: Path | None = None
) -> None:
    """Let `write` fill a file beside `path`, sync it, and rename it into place.

    shared: other processes may write the same file at the same moment, as in the user's cache; the last rename stands.
    Elsewhere what a kill left of an earlier attempt is removed.

    drafts: an existing folder on the same disk for the temporary, in place of the file's own folder. Where somebody
    removes it meanwhile, the rename fails and the old file stays.

    Raises OSError, or what `write` raises; the old file is then whole and the temporary is gone. Raises EquipoiseError
    where a folder on the way is a link (`plain_files.inside`).
    """
    make_folder(path.parent)
    place = drafts or path.parent
    refuse_linked_folder(place)
    if not shared:
        _remove_left(place, path.name)
    temporary = draft_beside(place / path.name)
    create(temporary)
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def draft_beside(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`, for what is renamed to `path` when it is whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")


def left_beside(path: Path) -> list[Path]:
    """Return the temporaries of `path` that killed writers have left."""
    pattern = re.compile(re.escape(f".{path.name}") + r"(\.[0-9a-f]{16})?" + re.escape(PART))
    return [one for one in path.parent.iterdir() if pattern.fullmatch(one.name)]


def _remove_left(folder: Path, name: str) -> None:
    for one in left_beside(folder / name):
        with contextlib.suppress(OSError):  # a folder of that name is in nobody's way
            one.unlink()


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
    """Make a folder with its parents; each new one is synced into the folder that holds it.

    Raises EquipoiseError where one of them is a link (`plain_files.inside`).
    """
    refuse_linked_folder(folder)
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)
