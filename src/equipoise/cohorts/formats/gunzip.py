"""A gzip stream read to its end, so that every CRC is checked, and never beyond its claim, so that no bomb goes off."""

import zlib
from os import PathLike

from equipoise.cohorts.formats.refusal import RefusedFile

_FEED = 1 << 16
_BYTES_PER_MEMBER = 1024  # block gzip writes 64 KiB a member; files of thousands of tiny members are an attack
_FREE_MEMBERS = 64


class GzipBytes:
    """Sequential reading of a gzip file held in memory; members may be concatenated (pigz, bgzip).

    Corrupt or truncated streams raise RefusedFile naming `path`.
    """

    def __init__(self, raw: bytes, path: str | PathLike[str]) -> None:
        self._raw = memoryview(raw)
        self._path = path
        self._position = 0
        self._members = 1
        self._given = 0
        self._inflater = zlib.decompressobj(wbits=31)
        self._pending = b""

    def read(self, size: int) -> bytearray:
        """Exactly `size` bytes, or fewer where the stream ends first."""
        parts = bytearray()
        while len(parts) < size:
            piece = self._inflate(size - len(parts))
            if not piece and self._ended():
                break
            parts += piece
        return parts

    def finish(self) -> bool:
        """True when nothing is left and every checksum agreed; stops at the first byte too many."""
        return not self.read(1)

    def _inflate(self, wanted: int) -> bytes:
        feed = self._pending or bytes(self._take())
        try:
            piece = self._inflater.decompress(feed, wanted)
        except zlib.error as error:
            raise self._refusal("its gzip stream is corrupt, by its own checksum or structure") from error
        self._given += len(piece)
        self._pending = self._inflater.unconsumed_tail
        if self._inflater.eof:
            self._next_member(self._inflater.unused_data)
        elif not piece and not feed:
            raise self._refusal("its gzip stream ends early")
        return piece

    def _next_member(self, unused: bytes) -> None:
        rest = unused or bytes(self._take())
        while rest and not rest.strip(b"\0"):  # padding with zeros is allowed after the last member (RFC 1952 users)
            rest = bytes(self._take())
        self._pending = rest.lstrip(b"\0")
        if self._pending:
            self._members += 1
            if self._members > _FREE_MEMBERS + self._given // _BYTES_PER_MEMBER:
                raise self._refusal("it is cut into far more gzip members than its content needs")
            self._inflater = zlib.decompressobj(wbits=31)

    def _ended(self) -> bool:
        return self._inflater.eof and not self._pending and self._position >= len(self._raw)

    def _take(self) -> memoryview:
        piece = self._raw[self._position : self._position + _FEED]
        self._position += len(piece)
        return piece

    def _refusal(self, reason: str) -> RefusedFile:
        return RefusedFile(self._path, reason, "copy the file again from its source")
