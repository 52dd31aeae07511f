"""Cache arrays on disk by a hash of their inputs: atomic, verified on every read, bounded in size.

An entry is a SHA-256 digest of 32 bytes followed by an npz archive. It is written under a temporary name and then
renamed, so a reader sees a whole entry or none; a damaged entry fails its digest, is deleted and counts as absent.
"""

import contextlib
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import PART, write_bytes

DIGEST_BYTES = 32
LIMIT_BYTES = 8 * 2**30
READERS = (
    "numpy", "nibabel", "pillow", "pydicom", "tifffile", "python-gdcm", "pylibjpeg-openjpeg", "pylibjpeg-rle",
    "pyjpegls",
)  # fmt: skip
"""Packages whose version may change the pixels that are read from a file."""
_DAY_SECONDS = 86400


_NO_HOME = Path(os.devnull) / "there is no home folder (set EQUIPOISE_CACHE)"
"""A cache that can neither be read nor written: nothing is kept, and remarks that say so show this text."""


def cache_folder() -> Path:
    """Return the user's cache folder for Equipoise; the environment variable EQUIPOISE_CACHE overrides it."""
    if override := os.environ.get("EQUIPOISE_CACHE"):
        return Path(override)
    if (folder := os.environ.get("XDG_CACHE_HOME")) and sys.platform not in ("darwin", "win32"):
        return Path(folder) / "equipoise"
    try:
        home = Path.home()
    except RuntimeError:  # a container's user without a name and without HOME
        return _NO_HOME
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "equipoise"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(home))) / "equipoise" / "cache"
    return home / ".cache" / "equipoise"


def content_key(**ingredients: Any) -> str:
    """Return the SHA-256 (hex) of JSON-like ingredients: equal ingredients, in any order, give equal keys.

    >>> content_key(a=1, b="x") == content_key(b="x", a=1)
    True
    """
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


@cache
def code_of_readers() -> str:
    """Hash the source of this package, whose readers make the pixels, and the versions of the libraries they call."""
    digest = hashlib.sha256()
    # Every file and not the readers alone: a stale cache is worse than one read too many after an update.
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    for name in READERS:
        try:
            digest.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:  # an optional reader
            continue
    return digest.hexdigest()


def load(key: str, folder: Path | None = None) -> dict[str, NDArray[Any]] | None:
    """Load the arrays stored under `key`; None where there are none or the entry is damaged (then it is deleted)."""
    path = (folder or cache_folder()) / f"{key}.npz"
    try:
        content = path.read_bytes()
    except OSError:
        return None
    # Verified before parsing: numpy then never reads a truncated or altered archive.
    payload = content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != content[:DIGEST_BYTES]:
        path.unlink(missing_ok=True)
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    with contextlib.suppress(OSError):  # a read-only cache still serves
        os.utime(path)  # the time of last use, by which old entries are deleted
    return arrays


def save(
    key: str,
    arrays: Mapping[str, NDArray[Any]],
    folder: Path | None = None,
    *,
    limit_bytes: int = LIMIT_BYTES,
    compress: bool = True,
    evict: bool = True,
) -> str | None:
    """Store the arrays under `key` and drop the least recently used entries above the limit.

    evict: False for one of many small entries, after which the caller evicts once.
    A cache may fail without harm to the result: returns None when stored, else the reason.
    """
    folder = folder or cache_folder()
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **dict(arrays))  # type: ignore[arg-type]
    payload = buffer.getvalue()
    # Refused before writing: eviction would otherwise delete every other entry and then this one.
    if DIGEST_BYTES + len(payload) > limit_bytes:
        return f"the entry needs {len(payload)} bytes, the cache may hold {limit_bytes}"
    try:
        write_bytes(folder / f"{key}.npz", hashlib.sha256(payload).digest() + payload, shared=True)
        if evict:
            _evict(folder, limit_bytes)
    except OSError as error:
        return str(error)
    return None


def _evict(folder: Path, limit_bytes: int) -> None:
    """Delete the least recently used entries until the folder holds at most `limit_bytes`."""
    entries = []
    for path in folder.glob(f".*{PART}"):  # left by a killed writer; a live one ends within a day
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _DAY_SECONDS:
                path.unlink()
    for path in folder.glob("*.npz"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process was faster
            continue
        entries.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size
