"""The parts of a multipart body → files under names of our own."""

import importlib
from pathlib import Path
from typing import IO, Any

from equipoise.deploy.serving.boundaries import Boundaries, Refused
from equipoise.deploy.serving.contents import Received, named

_STEP = 1 << 18


def split(body: Path, content_type: str, folder: Path, boundaries: Boundaries) -> list[Received]:
    """Write each part of a multipart body to a file of a folder; refuse one that ends early or holds too many."""
    library: Any = importlib.import_module("python_multipart.multipart")
    _, options = library.parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise Refused(400, "the content type names no boundary; leave it to your HTTP library")
    writer = _Writer(folder, boundaries, library)
    try:
        parser = library.MultipartParser(boundary, writer.callbacks())
        with body.open("rb") as stream:
            while piece := stream.read(_STEP):
                parser.write(piece)
        parser.finalize()
    except library.FormParserError as error:
        raise Refused(400, "the multipart body is damaged; send it again") from error
    finally:
        writer.close()
    if not writer.ended:
        raise Refused(400, "the multipart body ends early; send it again")
    return writer.finished


class _Writer:
    """Takes what the parser tells: the headers of a part, then its bytes."""

    def __init__(self, folder: Path, boundaries: Boundaries, library: Any) -> None:
        self.folder, self.boundaries, self.library = folder, boundaries, library
        self.finished: list[Received] = []
        self.ended = False
        self._count = 0
        self._stream: IO[bytes] | None = None
        self._place = folder
        self._header: tuple[bytearray, bytearray] = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> dict[str, Any]:
        """Return what the parser is to call."""
        return {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._finish,
            "on_header_field": self._field, "on_header_value": self._value, "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end, "on_end": self._end,
        }  # fmt: skip

    def close(self) -> None:
        """Close the file of a part that did not end."""
        if self._stream is not None:
            self._stream.close()

    def _begin(self) -> None:
        if self._count >= self.boundaries.members:
            raise Refused(413, f"it has more than {self.boundaries.members} parts; send less")
        self._place = self.folder / f"{self._count:05d}"
        self._count += 1
        self._headers = {}

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _header_end(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = bytearray(), bytearray()

    def _headers_end(self) -> None:
        if self._headers.get(b"content-transfer-encoding", b"binary").lower() not in (b"binary", b"8bit", b"7bit"):
            raise Refused(415, "a part is encoded as text; send parts as plain bytes")
        self._stream = self._place.open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._stream is not None:
            self._stream.write(data[start:end])

    def _finish(self) -> None:
        if self._stream is None:
            return
        self._stream.close()
        self._stream = None
        _, options = self.library.parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        name, channel = (options.get(key, b"").decode("utf-8", "replace") for key in (b"filename", b"name"))
        self.finished.append(named(self._place, name, channel))

    def _end(self) -> None:
        self.ended = True
