"""Names planted in headers, file names, folders and tables, and the search for them in what commands leave."""

import base64
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise import cli

CANARY = "KANARI"
"""Begins every planted name; as part of a DICOM UID, which holds digits alone, it is this number."""
UID = "90817263"


def texts(content: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, and what is packed in them: zip members, Parquet values, pictures of pages, their text."""
    yield content
    if content[:4] == b"PK\x03\x04" or content[32:36] == b"PK\x03\x04":
        start = 0 if content[:2] == b"PK" else 32  # a cache entry begins with its hash
        with zipfile.ZipFile(io.BytesIO(content[start:])) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from texts(archive.read(name))
    if content[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(content))
        yield repr(table.to_pydict()).encode() + repr(table.schema.metadata).encode()
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        yield repr(Image.open(io.BytesIO(content)).info).encode()
    if content[:2] == b"\x1f\x8b":
        yield from texts(zlib.decompress(content, 31))
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content):
        yield from texts(base64.b64decode(packed))


def names_in(folder: Path) -> list[str]:
    """Return every place below a folder where a planted name stands: a path, a file, something packed in a file."""
    planted = [
        word.encode(coding) for word in (CANARY, CANARY.lower(), UID, "19010203", "19040506")
        for coding in ("utf-8", "utf-16-le", "utf-32-le")
    ]  # fmt: skip
    places = []
    for path in sorted(folder.rglob("*")):
        if CANARY.lower() in str(path.relative_to(folder)).lower():
            places.append(f"the path {path}")
        if path.is_file():
            parts = list(texts(path.read_bytes()))
            places += [f"{path}: {word!r}" for word in planted if any(word in part for part in parts)]
    return places


def spoken(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command that ends well writes to the terminal, errors and progress too."""
    code = cli.main(list(arguments))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out + captured.err
