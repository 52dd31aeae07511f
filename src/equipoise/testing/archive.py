"""A small archive on loopback: phantom series served as The Cancer Imaging Archive serves LIDC-IDRI.

    python -m equipoise.testing.archive 'equipoise fetch lidc-idri --from $ARCHIVE --pin $PIN && equipoise run …'

It writes phantom patients, serves them, runs the command in a shell with the variables ARCHIVE (its address), PIN (the
SHA-256 of its annotations) and EQUIPOISE_PUBLIC (a folder of its own), and ends with it.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from equipoise.cohorts.public.catalogue import PublicFile, entry_named
from equipoise.testing.phantoms.lidc import WrittenScan, write_lidc

ENTRY = "lidc-idri"


@dataclass(frozen=True)
class Archive:
    """A running archive: its address, and the SHA-256 of its file of annotations."""

    address: str
    pin: str


@contextmanager
def serve(scans: Sequence[WrittenScan]) -> Iterator[Archive]:
    """Serve phantom scans on a free port of 127.0.0.1 for as long as the context lasts."""
    answers = _answers(scans)
    handler = type("Handler", (_Handler,), {"answers": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    annotations = answers[_place(entry_named(ENTRY).file)]
    try:
        yield Archive(f"http://127.0.0.1:{server.server_port}", hashlib.sha256(annotations).hexdigest())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    answers: Mapping[str, bytes]

    def do_GET(self) -> None:
        """Answer with what stands at the path, with its query."""
        parts = urlsplit(self.path)
        series = parse_qs(parts.query).get("SeriesInstanceUID", [""])[0]
        content = self.answers.get(f"{parts.path}?{series}" if series else parts.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: Any) -> None:
        """Say nothing: the command speaks for itself."""


def _answers(scans: Sequence[WrittenScan]) -> dict[str, bytes]:
    """Return what the archive answers by path, and by series for images."""
    entry = entry_named(ENTRY)
    services = urlsplit(entry.archive).path
    annotations = {f"tcia-lidc-xml/{scan.xml.name}": scan.xml.read_bytes() for scan in scans}
    listed = [_listing(scan) for scan in scans]
    answers = {f"{services}/getSeries": json.dumps(listed).encode(), _place(entry.file): _zipped(annotations)}
    for scan, row in zip(scans, listed, strict=True):
        answers[f"{services}/getImageWithMD5Hash?{row['SeriesInstanceUID']}"] = _zipped(_with_hashes(scan))
    return answers


def _place(file: PublicFile | None) -> str:
    return urlsplit(file.address).path if file else ""


def _listing(scan: WrittenScan) -> dict[str, Any]:
    import pydicom

    files = sorted(scan.series.folder.glob("*.dcm"))
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    return {
        "SeriesInstanceUID": str(header.SeriesInstanceUID),
        "StudyInstanceUID": str(header.StudyInstanceUID),
        "PatientID": scan.patient,
        "Modality": "CT",
        "Collection": entry_named(ENTRY).collection,
        "ImageCount": len(files),
    }


def _with_hashes(scan: WrittenScan) -> dict[str, bytes]:
    """Return the images by their names in the archive, the list of their MD5 and the licence, as the archive packs."""
    images = {
        f"{index:08d}.dcm": file.read_bytes()
        for index, file in enumerate(sorted(scan.series.folder.glob("*.dcm")), start=1)
    }
    rows = [f"{name},{hashlib.md5(content, usedforsecurity=False).hexdigest()}" for name, content in images.items()]
    return images | {"md5hashes.csv": "\n".join(["Filename,MD5Hash", *rows]).encode(), "LICENSE": b"CC BY 3.0"}


def _zipped(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def main(arguments: Sequence[str]) -> int:
    """Run a shell command beside an archive of phantom patients; return its exit code."""
    if len(arguments) != 1:
        sys.stderr.write("give one command, such as 'equipoise fetch lidc-idri --from $ARCHIVE --pin $PIN'\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        scans = write_lidc(Path(folder) / "phantoms", patients=24, nodules=2)
        with serve(scans) as archive:
            own = {"ARCHIVE": archive.address, "PIN": archive.pin, "EQUIPOISE_PUBLIC": str(Path(folder) / "public")}
            # The command is the user's own words, typed into their own shell.
            return subprocess.run(["/bin/sh", "-c", arguments[0]], env=os.environ | own, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
