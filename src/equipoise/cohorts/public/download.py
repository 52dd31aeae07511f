"""Download one file so that a broken connection costs only what was not received yet, and only the right file stays."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pooch
import requests
from urllib3.exceptions import HTTPError

from equipoise.atomic_write import write_text
from equipoise.cohorts.public.catalogue import PublicFile
from equipoise.cohorts.public.server import Server
from equipoise.errors import CohortError
from equipoise.progress import Watch

MIB = 1 << 20
ATTEMPTS = 5
"""Attempts in a row that bring no new byte, after which a download is given up; what was received stays."""
_PIECE = 1 << 18
_LONGEST_PAUSE_SECONDS = 30.0
_AGAIN = (408, 429, 500, 502, 503, 504)


class _Broken(Exception):
    """The connection ended before the file did; asking again may bring the rest."""


def download(
    file: PublicFile, checksum: str, folder: Path, server: Server, watch: Watch, *, again: bool = True
) -> Path:
    """Download a file into a folder, verify it, and return its path; nothing is asked where it is there already.

    checksum: "md5:…" or "sha256:…". again: whether a resumed download that turns out wrong is begun anew.
    Raises CohortError, and leaves no file of that name, where the answer is another file;
    what an interrupted download received is kept beside it and resumed by the next call.
    """
    # Its only message tells what the watch shows already.
    pooch.get_logger().setLevel(logging.WARNING)
    receiver = Receiver(server, folder / f".{file.name}.part", file.at_most_bytes, watch)
    try:
        stored = pooch.retrieve(
            server.address(file.address), checksum, fname=file.name, path=folder, downloader=receiver.as_downloader
        )
    except ValueError as error:
        if "hash" not in str(error):
            raise
        if not (receiver.resumed and again):
            raise _other_file(file, checksum, receiver) from error
        # The file at the address may have been replaced between two attempts; the beginning is then of the old one.
        return download(file, checksum, folder, server, watch, again=False)
    except OSError as error:
        raise CohortError(f"{folder / file.name} cannot be written ({error}); free space there or name --to") from error
    return Path(stored)


def _other_file(file: PublicFile, checksum: str, receiver: "Receiver") -> CohortError:
    kind, _, published = checksum.partition(":")
    return CohortError(
        f"what {receiver.address} sent as {file.name} ({receiver.received} bytes) does not have the {kind.upper()} "
        f"{published} that was published or confirmed; nothing was kept, try again later or use another mirror"
    )


@dataclass
class Receiver:
    """Receive the answer of an address into a part file, attempt after attempt, until it is whole.

    at_most_bytes: a longer answer is refused. sure: whether a checksum follows; without one, a part is resumed only
    where the server proves that the file is still the same.
    """

    server: Server
    part: Path
    at_most_bytes: int
    watch: Watch
    sure: bool = True
    sleep: Callable[[float], None] = time.sleep
    address: str = ""
    received: int = 0
    resumed: bool = False
    _total: int | None = field(default=None, init=False)

    def as_downloader(self, url: str, output_file: str, _pooch: Any, check_only: bool = False) -> None:
        """Receive `url` and put it at `output_file`, as pooch calls a downloader."""
        del check_only
        self.receive(url).replace(output_file)

    def receive(self, address: str) -> Path:
        """Return the part file once it holds the whole answer of the address."""
        self.address, barren = address, 0
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.resumed = self._size() > 0
        while barren < ATTEMPTS:
            before = self._size()
            try:
                self._attempt(address)
            except (_Broken, requests.ConnectionError, requests.Timeout, HTTPError) as error:
                barren = 0 if self._size() > before else barren + 1
                reason = str(error) if isinstance(error, _Broken) else _reason(error)
                if barren < ATTEMPTS:
                    self.sleep(min(self.server.pause_seconds * 2**barren, _LONGEST_PAUSE_SECONDS))
                self.resumed = True
            except requests.RequestException as error:
                raise CohortError(f"{address} cannot be reached ({_reason(error)}); check the address") from error
            else:
                self.received = self._size()
                self._notes.unlink(missing_ok=True)
                return self.part
        raise CohortError(
            f"{address} closed the connection {ATTEMPTS} times in a row ({reason}); {self._size()} bytes were "
            "received and are kept: the same command resumes"
        )

    @property
    def _notes(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _attempt(self, address: str) -> None:
        validator = self._validator()
        if self._size() and not (validator or self.sure):
            self.part.unlink()
        size = self._size()
        headers = {"Range": f"bytes={size}-"} | ({"If-Range": validator} if validator else {}) if size else {}
        with self.server.get(address, headers) as response:
            start = self._start(response, size, address)
            self._remember(response)
            self._store(response, start)

    def _start(self, response: requests.Response, size: int, address: str) -> int:
        """Return the byte at which the answer begins; _Broken where asking again may help."""
        status = response.status_code
        if status == 416 or (status == 206 and _first_byte(response) != size):
            self.part.unlink(missing_ok=True)  # it is longer than the file is now, or the server counts otherwise
            raise _Broken("it does not send the missing part")
        if status in _AGAIN:
            raise _Broken(f"it answers {status}")
        if status not in (200, 206):
            raise CohortError(f"{address} answers {status} {response.reason}; check its page, it may have moved")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise CohortError(f"{address} answers in an encoding that was not requested; try another mirror")
        start = size if status == 206 else 0
        length = response.headers.get("Content-Length", "")
        self._total = start + int(length) if length.isdecimal() and len(length) < 19 else None
        if self._total is not None and self._total > self.at_most_bytes:
            raise self._endless(address)
        return start

    def _store(self, response: requests.Response, start: int) -> None:
        count, begun, counted = start, time.monotonic(), start
        with self.part.open("ab" if start else "wb") as stream:
            # read1 hands on what has arrived: with `read`, what came before a break would be lost.
            while piece := response.raw.read1(_PIECE, decode_content=False):
                count += len(piece)
                if count > self.at_most_bytes:
                    stream.close()
                    self.part.unlink()
                    raise self._endless(self.address)
                stream.write(piece)
                self.watch(f"{self.part.name[1:-5]}, MiB", -(-count // MIB), -(-(self._total or count) // MIB))
                if time.monotonic() - begun > self.server.stall_seconds:
                    # One byte now and then keeps the connection's own time limit from ever being reached.
                    if count - counted < _PIECE // 16:
                        raise _Broken(f"it sent {count - counted} bytes in {self.server.stall_seconds:g} s")
                    begun, counted = time.monotonic(), count
        if self._total is not None and count < self._total:
            raise _Broken(f"it announced {self._total} bytes and sent {count}")

    def _endless(self, address: str) -> CohortError:
        return CohortError(
            f"{address} sends more than {self.at_most_bytes} bytes, more than the file can have; "
            "nothing was kept, try another mirror"
        )

    def _remember(self, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        # A weak tag ("W/…") names files of equal meaning, not of equal bytes.
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        write_text(self._notes, json.dumps({"address": self.address, "validator": validator}))

    def _validator(self) -> str:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            if notes["address"] == self.address:
                return str(notes["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        # A part of unknown or other origin must not be the beginning of this file.
        self.part.unlink(missing_ok=True)
        return ""


def _first_byte(response: requests.Response) -> int:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() and len(first) < 19 else -1


def _reason(error: Exception) -> str:
    """Return the innermost reason of a failed connection, which is the readable one."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error) or type(error).__name__
