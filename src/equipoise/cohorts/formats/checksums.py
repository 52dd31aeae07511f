"""Bytes of an untrusted file, read once, with the SHA-256 that says which bytes they were."""

import hashlib
import os
import stat
from pathlib import Path

from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_CHUNK = 1 << 20


def check_size(path: str | os.PathLike[str], limits: Limits = DEFAULT) -> int:
    """Return the size in bytes of a file within the limit; refuse folders, pipes, devices and what is missing."""
    try:
        status = os.stat(path)  # noqa: PTH116 - Path(path) takes longer than the call, and every file is asked for
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RefusedFile(path, f"it cannot be opened ({reason})", "check the path") from error
    # A pipe under the name of an image would block the open call for ever, so the kind is asked of the file system
    # first.
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFile(path, "it is not a regular file", "give the path of a file")
    if status.st_size > limits.file_bytes:
        raise RefusedFile(
            path,
            f"it has {status.st_size} bytes and the limit is {limits.file_bytes}",
            "raise EQUIPOISE_LIMIT_FILE_BYTES if it is known to be good",
        )
    if status.st_size == 0:
        raise RefusedFile(path, "it is empty", "copy the file again")
    return status.st_size


def read_bytes(path: str | os.PathLike[str], limits: Limits = DEFAULT) -> tuple[bytes, str]:
    """Return all bytes of a file and their SHA-256, from one reading, so that the hash is of what was parsed."""
    size = check_size(path, limits)
    try:
        with Path(path).open("rb") as stream:
            # One byte more than the stated size is requested, because a file that grew since would otherwise pass as
            # complete and its hash would be that of a part.
            raw = stream.read(size + 1)
    except OSError as error:
        raise RefusedFile(path, f"it cannot be read ({error.strerror})", "check its permissions") from error
    if len(raw) != size:
        raise RefusedFile(path, "it changed while it was read", "wait until it is written and try again")
    return raw, hashlib.sha256(raw).hexdigest()


def sha256(path: str | os.PathLike[str], limits: Limits = DEFAULT) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits, read in pieces so that memory stays small."""
    piece_bytes = min(_CHUNK, check_size(path, limits) + 1)
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - as above; a buffer would be filled and copied
        while piece := stream.read(piece_bytes):
            digest.update(piece)
    return digest.hexdigest()
