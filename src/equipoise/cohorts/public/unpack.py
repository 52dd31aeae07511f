"""The one function that unpacks archives: all members are checked before a byte is written, into one folder alone."""

import lzma
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from equipoise.cohorts.formats.refusal import RefusedFile

MOST_MEMBERS = 100_000
MOST_BYTES = 200 * 10**9
RATIO = 200
"""Bytes that may come of one packed byte: images reach 100, bombs begin at a thousand."""
_PIECE = 1 << 20
_FREE_BYTES = 64 << 20  # archives of a few kilobytes may hold well-packed text
_DEEPEST, _LONGEST = 16, 200
_REMEDY = "fetch it again; if that does not help, tell its publisher"
# Names that Windows gives to devices or cannot store; an archive with them would not be the same everywhere.
_FORBIDDEN = frozenset('<>:"|?*\\')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))})


@dataclass(frozen=True)
class _Member:
    """One member: its name, whether it is a folder, its stated size, and how to open it (None for a folder)."""

    name: str
    is_folder: bool
    size: int
    handle: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, into: Path, *, most_bytes: int = MOST_BYTES) -> list[str]:
    """Unpack a .zip, .tar or .tar.gz into a new folder and return the names of its files, sorted.

    Refused as a whole, with RefusedFile, and leaving nothing behind: names that are absolute, lead outside, recur (also
    in other case) or that some systems cannot store; links, devices, sparse and encrypted members; more members or
    bytes than are plausible; corrupt or truncated archives. Members become plain files without the archive's rights.
    """
    if into.exists():
        raise RefusedFile(into, "the folder to unpack into exists already", "remove it")
    partial = into.with_name(f".{into.name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        names = _unpack(archive, partial, min(most_bytes, RATIO * archive.stat().st_size + _FREE_BYTES))
        partial.rename(into)
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError,
        RuntimeError, OverflowError,
    ) as error:  # fmt: skip
        raise RefusedFile(archive, f"it is not a complete archive ({error})", _REMEDY) from error
    except OSError as error:  # a seek to nowhere, or a full disk
        raise RefusedFile(archive, f"it cannot be unpacked ({error})", f"free space, or {_REMEDY}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return names


def _unpack(archive: Path, folder: Path, most_bytes: int) -> list[str]:
    is_zip = archive.suffix == ".zip"
    with zipfile.ZipFile(archive) if is_zip else tarfile.open(archive, "r:*") as opened:
        # All names before any byte: a refusal then leaves nothing to clear away.
        members = list(_members(opened, archive))
        _check_names(members, archive)
        left = most_bytes
        if sum(member.size for member in members) > most_bytes:
            raise RefusedFile(archive, f"it would unpack to more than {most_bytes} bytes", _REMEDY)
        for member in members:
            target = folder.joinpath(*PurePosixPath(member.name).parts)
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _copy(opened, member, target, min(left, member.size), archive)
        if isinstance(opened, tarfile.TarFile):
            _drain(opened, archive)
    return sorted(PurePosixPath(member.name).as_posix() for member in members if not member.is_folder)


def _members(opened: zipfile.ZipFile | tarfile.TarFile, archive: Path) -> Iterator[_Member]:
    entries: Iterable[Any] = opened.infolist() if isinstance(opened, zipfile.ZipFile) else opened
    for count, entry in enumerate(entries):
        if count >= MOST_MEMBERS:
            raise RefusedFile(archive, f"it has more than {MOST_MEMBERS} members", _REMEDY)
        if isinstance(entry, zipfile.ZipInfo):
            kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where it was not made on Unix
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or entry.flag_bits & 1:
                raise RefusedFile(archive, f"its member {entry.filename!r} is a link, device or encrypted", _REMEDY)
            # zipfile cuts names at a NUL; the uncut one is what another tool would see.
            yield _Member(entry.orig_filename, entry.is_dir(), entry.file_size, entry)
        else:
            if not (entry.isreg() or entry.isdir()) or entry.issparse():
                raise RefusedFile(archive, f"its member {entry.name!r} is a link, device or sparse", _REMEDY)
            yield _Member(entry.name, entry.isdir(), entry.size, entry)


def _check_names(members: list[_Member], archive: Path) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        if reason := _flaw(member):
            raise RefusedFile(archive, f"its member {member.name!r} {reason}", _REMEDY)
        # As file systems compare that ignore case and the way accents are coded.
        key = unicodedata.normalize("NFC", PurePosixPath(member.name).as_posix()).casefold()
        above = PurePosixPath(key).parents
        folders.update(parent.as_posix() for parent in above)
        if member.is_folder:
            folders.add(key)
        elif key in files:
            raise RefusedFile(archive, f"it holds {member.name!r} twice", _REMEDY)
        else:
            files.add(key)
    if both := files & folders:
        raise RefusedFile(archive, f"its {min(both)!r} is a file and a folder", _REMEDY)


def _flaw(member: _Member) -> str:
    """Return what is wrong with a member's name; empty where nothing is."""
    name = member.name
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in name.split("/") or (len(name) > 1 and name[1] == ":"):
        return "leads outside"
    if not parts:
        return "" if member.is_folder else "has no name"
    if len(parts) > _DEEPEST or any(len(part) > _LONGEST for part in parts):
        return "is too long or too deep"
    for part in parts:
        unstorable = part != part.rstrip(" .") or part.split(".")[0].casefold() in _DEVICES
        if unstorable or _FORBIDDEN & set(part) or any(unicodedata.category(letter)[0] == "C" for letter in part):
            return "cannot be stored on every system"
    return "has a negative size" if member.size < 0 else ""


def _copy(opened: zipfile.ZipFile | tarfile.TarFile, member: _Member, target: Path, limit: int, archive: Path) -> int:
    """Write one member and return its size; reading to its end checks the CRC of a zip member."""
    count = 0
    with _open(opened, member) as source, target.open("xb") as sink:
        while piece := source.read(_PIECE):
            count += len(piece)
            if count > limit:
                raise RefusedFile(archive, f"its member {member.name!r} is longer than it states", _REMEDY)
            sink.write(piece)
    if count != member.size:
        raise RefusedFile(archive, f"its member {member.name!r} is shorter than it states", _REMEDY)
    return count


def _drain(opened: tarfile.TarFile, archive: Path) -> None:
    """Read a tar file to its very end, where the checksum of its packing lies; a tar reader stops at an empty block."""
    stream, count = opened.fileobj, 0
    while stream is not None and (piece := stream.read(_PIECE)):
        count += len(piece)
        if count > _FREE_BYTES or piece.strip(b"\x00"):
            raise RefusedFile(archive, "it has data after its end", _REMEDY)


def _open(opened: zipfile.ZipFile | tarfile.TarFile, member: _Member) -> AbstractContextManager[IO[bytes]]:
    if isinstance(opened, zipfile.ZipFile) and isinstance(member.handle, zipfile.ZipInfo):
        return opened.open(member.handle)
    if isinstance(opened, tarfile.TarFile) and isinstance(member.handle, tarfile.TarInfo):
        stream = opened.extractfile(member.handle)
        if stream is not None:
            return stream
    raise ValueError(f"the member {member.name!r} cannot be opened")
