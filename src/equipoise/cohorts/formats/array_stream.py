"""Arrays too large for memory in .npz files: unpacked once to the user's cache, and read row by row."""

import contextlib
import hashlib
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_atomic
from equipoise.cohorts.formats.arrays import check_member, members_of, read_header
from equipoise.cohorts.formats.checksums import sha256
from equipoise.cohorts.formats.limits import DEFAULT, GIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.store import cache_folder, content_key, load, save

MOST_CACHED_BYTES = 128 * GIB
"""Unpacked arrays in the cache; those unused for longest are deleted beyond it."""
_PIECE = 1 << 22
_AGAIN = "copy or save the file again"
_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, OverflowError)


def inflated_bytes(path: str | PathLike[str]) -> int:
    """Return how large the arrays of an .npz file claim to be; 0 where its directory cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(info.file_size for info in archive.infolist())
    except _ERRORS:
        return 0


class RowArray:
    """An array on the disk, C order: its shape, type and length, and one row at a time.

    start: byte of the first row in the file. digests: of each row, where the file is our own copy; a row that differs
    raises RefusedFile.
    """

    def __init__(
        self, file: Path, start: int, shape: tuple[int, ...], dtype: np.dtype[Any], digests: NDArray[np.uint64] | None
    ) -> None:
        self.file, self.start, self.shape, self.dtype = file, start, shape, dtype
        self.ndim = len(shape)
        self._digests = digests
        self._row_bytes = prod(shape[1:]) * dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return one row, in memory and writable."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        with self.file.open("rb") as stream:
            stream.seek(self.start + index * self._row_bytes)
            raw = stream.read(self._row_bytes)
        if len(raw) != self._row_bytes or (self._digests is not None and _digest(raw) != self._digests[index]):
            raise RefusedFile(self.file, f"its row {index} is damaged", "delete the file; it is made again")
        row = np.frombuffer(bytearray(raw), self.dtype).reshape(self.shape[1:])
        native: NDArray[Any] = row.astype(self.dtype.newbyteorder("="), copy=False)
        return native


class LargeArrayFile:
    """The arrays of a large .npz file, of which neither the file nor an array need fit into memory.

    names: of the arrays. sha256: of the file. An array asked for by name is read whole, within the limits, as by
    `ArrayFile`; `rows` leaves it on the disk.
    """

    def __init__(self, path: str | PathLike[str], limits: Limits = DEFAULT) -> None:
        self._path, self._limits = Path(path), limits
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = members_of(archive.infolist(), path)
        except _ERRORS as error:
            raise RefusedFile(path, f"its directory is corrupt ({error})", _AGAIN) from error
        self.names = tuple(self._members)
        self.sha256 = sha256(path, replace(limits, file_bytes=1 << 62))

    def bytes_of(self, name: str) -> int:
        """Return how large an array claims to be; 0 for an unknown one."""
        return self._members[name].file_size if name in self._members else 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return that array, C-contiguous and writable; RefusedFile where it is absent, corrupt or of objects."""
        with self._opened(name, self._limits.array_bytes) as (stream, shape, fortran, dtype):
            flat = np.frombuffer(bytearray(_exactly(stream, prod(shape) * dtype.itemsize, self._path, name)), dtype)
            array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
            native: NDArray[Any] = np.require(
                array.astype(dtype.newbyteorder("="), copy=False), requirements=["C", "W"]
            )
        return native

    def rows(self, name: str) -> RowArray:
        """Return an array that stays on the disk; where it is packed, it is unpacked to the user's cache once."""
        with self._opened(name, 1 << 62) as (stream, shape, fortran, dtype):
            row_bytes = prod(shape[1:]) * dtype.itemsize
            if fortran or len(shape) < 2 or not 0 < row_bytes <= self._limits.array_bytes:
                reason = f"its array {name!r} has no rows that can be read one by one"
                raise RefusedFile(self._path, reason, "save it in C order, a case for each row")
            key = content_key(kind="rows", sha256=self.sha256, name=name)
            file = cache_folder() / "rows" / f"{key}.rows"
            stored = load(key)
            if stored is None or not file.is_file() or file.stat().st_size != prod(shape) * dtype.itemsize:
                stored = {"digests": self._unpack(stream, file, shape[0], row_bytes, name)}
                save(key, stored)
        with contextlib.suppress(OSError):  # the time of last use
            os.utime(file)
        return RowArray(file, 0, shape, dtype, stored["digests"])

    def _unpack(self, stream: IO[bytes], file: Path, count: int, row_bytes: int, name: str) -> NDArray[np.uint64]:
        _make_room(file.parent, count * row_bytes, self._path)
        digests = np.zeros(count, np.uint64)

        def write(target: Path) -> None:
            """Copy row by row; reading to the member's end checks its CRC."""
            with target.open("wb") as sink:
                for index in range(count):
                    row = _exactly(stream, row_bytes, self._path, name)
                    digests[index] = _digest(row)
                    sink.write(row)
            if stream.read(1):
                raise RefusedFile(self._path, f"its array {name!r} has data after its last row", _AGAIN)

        try:
            write_atomic(file, write, shared=True)
        except OSError as error:
            raise RefusedFile(self._path, f"it cannot be unpacked to {file.parent} ({error})", "free space") from error
        return digests

    @contextmanager
    def _opened(self, name: str, most_bytes: int) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype[Any]]]:
        """Open an array behind its header, which was compared with the size that the directory claims."""
        if name not in self._members:
            listed = ", ".join(self.names[:20])
            raise RefusedFile(self._path, f"it has no array {name!r}", f"choose one of {listed}")
        info, what = self._members[name], f"its array {name!r}"
        check_member(info, name, self._path, most_bytes)
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(info) as stream:
                shape, fortran, dtype = read_header(stream, self._path, what)
                claimed, there = prod(shape) * dtype.itemsize, info.file_size - stream.tell()
                if claimed != there or min(shape, default=1) < 0:
                    reason = f"{what} claims the shape {shape} of {dtype.name}, {claimed} bytes, and {there} are there"
                    raise RefusedFile(self._path, reason, _AGAIN)
                yield stream, shape, fortran, dtype
        except _ERRORS as error:
            raise RefusedFile(self._path, f"{what} is corrupt ({error})", _AGAIN) from error


def _exactly(stream: IO[bytes], size: int, path: Path, name: str) -> bytes:
    pieces, left = [], size
    while left and (piece := stream.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise RefusedFile(path, f"its array {name!r} ends {left} bytes early", _AGAIN)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _digest(row: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little")


def _make_room(folder: Path, needed: int, path: Path) -> None:
    """Delete the unpacked arrays that were unused for longest, and refuse where the disk is too small."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted((file.stat().st_mtime_ns, file.stat().st_size, file) for file in folder.glob("*.rows"))
    total = needed + sum(size for _, size, _ in files)
    for _, size, file in files:
        if total <= MOST_CACHED_BYTES:
            break
        file.unlink(missing_ok=True)
        total -= size
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RefusedFile(
            path,
            f"its rows need {needed} bytes in {folder}, which has {free} free",
            "set EQUIPOISE_CACHE to a folder on a larger disk",
        )
