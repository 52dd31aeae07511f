"""Arrays in .npy and .npz files, never pickles: headers and sizes are checked before a byte is allocated."""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import DEFAULT, DEFLATE_RATIO, Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_HEADERS: Mapping[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
# numpy evaluates the header as a Python literal, so its length is capped before it is parsed: a literal of megabytes
# or of deep brackets costs more time and memory than any real header, which takes about a hundred bytes.
_LONGEST_HEADER = 10_000
_MOST_MEMBERS = 10_000
_BAD_HEADERS = (ValueError, KeyError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError)
# Objects are left out on purpose: an object array is a pickle, and a pickle runs code when it is read. No setting
# lets one in.
_KINDS = frozenset("buifUSM")
_AGAIN = "copy or save the file again"


def members_of(entries: Sequence[zipfile.ZipInfo], path: str | PathLike[str]) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of an .npz file by name; RefusedFile for too many, or two of one name."""
    if len(entries) > _MOST_MEMBERS:
        raise RefusedFile(path, f"it holds {len(entries)} arrays", "split it into smaller files")
    members = {info.filename.removesuffix(".npy"): info for info in entries if info.filename.endswith(".npy")}
    # A zip file may hold two members of one name, and readers differ in which of them wins, so two tools could
    # see two data sets in one file.
    if len(members) != sum(info.filename.endswith(".npy") for info in entries):
        raise RefusedFile(path, "two of its arrays have one name", "save it again")
    return members


def check_member(info: zipfile.ZipInfo, name: str, path: str | PathLike[str], most_bytes: int) -> None:
    """Refuse an array that is packed in a way numpy never uses, or whose claimed size is impossible or too large."""
    # numpy writes stored or deflated members only. For bzip2 and LZMA the bound on the ratio below does not hold,
    # so a bomb packed with them could not be told from an honest file.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedFile(path, f"its array {name!r} is packed in a way numpy never uses", "save it again")
    # The directory's claim is compared with what deflate can yield at most, because zipfile would inflate a bomb
    # in full before anybody could look at its size.
    if info.file_size > min(most_bytes, DEFLATE_RATIO * max(info.compress_size, 1) + 64):
        reason = f"its array {name!r} claims {info.file_size} bytes, more than it can hold or the limit allows"
        raise RefusedFile(path, reason, "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is known to be good")


def read_header(stream: IO[bytes], path: str | PathLike[str], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns come first, and the type of an array; RefusedFile for objects and bad headers."""
    try:
        version = npy.read_magic(stream)
        shape, fortran, dtype = _HEADERS[version](stream, max_header_size=_LONGEST_HEADER)
    except (
        *_BAD_HEADERS,
        TokenError,
    ) as error:  # numpy reads tokens, and from Python 3.12 on bad ones raise TokenError
        raise RefusedFile(path, f"{what} has a malformed header", _AGAIN) from error
    if dtype.hasobject or dtype.kind not in _KINDS:
        reason = f"{what} holds {'Python objects' if dtype.hasobject else dtype.name}, which are never unpickled"
        raise RefusedFile(path, reason, "save it as numbers or text")
    return shape, fortran, dtype


class ArrayFile:
    """The arrays of one .npy or .npz file; the file's bytes were read and hashed once.

    names: of the arrays; a .npy file holds one, named "". sha256: of the file.
    """

    def __init__(self, path: str | PathLike[str], limits: Limits = DEFAULT) -> None:
        self._path, self._limits = path, limits
        self._raw, self.sha256 = read_bytes(path, limits)
        if self._raw.startswith(b"\x93NUMPY"):
            self.names: tuple[str, ...] = ("",)
        elif self._raw.startswith(b"PK\x03\x04"):
            self.names = tuple(self._members())
        else:
            raise RefusedFile(path, "it is not a .npy or .npz file", "save it with numpy.save or numpy.savez")

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return that array, C-contiguous and writable; RefusedFile where it is absent, corrupt or of objects."""
        if name not in self.names:
            listed = ", ".join(self.names[:20])
            raise RefusedFile(self._path, f"it has no array {name!r}", f"choose one of {listed}")
        if name == "":
            return self._array(io.BytesIO(self._raw), len(self._raw), "its array")
        info = self._members()[name]
        check_member(info, name, self._path, self._limits.array_bytes)
        try:
            with self._zip() as archive:
                content = archive.read(info)  # to the member's end, where its CRC is checked
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            raise RefusedFile(self._path, f"its array {name!r} is corrupt ({error})", _AGAIN) from error
        return self._array(io.BytesIO(content), len(content), f"its array {name!r}")

    def _zip(self) -> AbstractContextManager[zipfile.ZipFile]:
        return zipfile.ZipFile(io.BytesIO(self._raw))

    def _members(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with self._zip() as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, struct.error, EOFError, OSError, ValueError, RuntimeError, OverflowError) as error:
            raise RefusedFile(self._path, f"its directory is corrupt ({error})", _AGAIN) from error
        return members_of(entries, self._path)

    def _array(self, stream: IO[bytes], size: int, what: str) -> NDArray[Any]:
        shape, fortran, dtype = read_header(stream, self._path, what)
        claimed, stored = math.prod(shape) * dtype.itemsize, size - stream.tell()
        # A negative size makes the product of the shape agree with almost anything, so the sign is checked beside the
        # sum of bytes.
        if claimed != stored or min(shape, default=1) < 0 or claimed > self._limits.array_bytes:
            reason = f"{what} claims the shape {shape} of {dtype.name}, {claimed} bytes, and {stored} are there"
            raise RefusedFile(self._path, reason, _AGAIN)
        # A bytearray is writable where bytes are not, so the array needs no second copy.
        flat = np.frombuffer(bytearray(stream.read()), dtype)
        array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
        native: NDArray[Any] = np.require(array.astype(dtype.newbyteorder("="), copy=False), requirements=["C", "W"])
        return native


def read_array(path: str | PathLike[str], key: str = "", *, limits: Limits = DEFAULT) -> NDArray[Any]:
    """Read one array of a .npy (no key) or .npz file (its key); RefusedFile for pickles, false sizes, corruption."""
    return ArrayFile(path, limits)[key]
