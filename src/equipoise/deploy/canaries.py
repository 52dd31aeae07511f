"""Look through the files of a bundle for what tells where it was made: absolute paths, user and host names."""

import getpass
import io
import re
import socket
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from equipoise.errors import EquipoiseError

_PATH = re.compile(
    rb"(?<![\w.:/-])/(?:home|Users|root|tmp|var|opt|usr|mnt|media|data|srv|private|scratch|workspace|work)/[\w.-]+"
    rb"|[A-Za-z]:\\+(?:Users|Documents|home)\\"
)
SHORTEST = 5
"""Letters of a user or host name from which on it is looked for: a shorter one occurs in any text by chance."""


def refuse_traces(files: Mapping[str, bytes], places: Iterable[Path] = ()) -> None:
    """Raise EquipoiseError where a file holds an absolute path, one of the places, or this user's or host's name.

    places: of the run, its data and code.
    """
    names = {value.encode() for value in _names() if len(value) >= SHORTEST}
    paths = {str(place).encode() for place in (*places, *_home(), Path(sys.prefix)) if len(place.parts) > 2}
    for name, content in files.items():
        for part in _parts(content):
            trace = next((text for text in sorted(paths) if text in part), None) or _first(_PATH, part)
            trace = trace or next((text for text in sorted(names) if _is_word(text, part)), None)
            if trace is not None:
                raise EquipoiseError(
                    f"{name} would contain {trace[:80].decode(errors='replace')!r}, which reveals where it was made; "
                    "remove it from the trial's names and texts"
                )


def _home() -> list[Path]:
    try:
        return [Path.home()]
    except RuntimeError:  # a container's user without a name and without HOME
        return []


def _names() -> list[str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = ""
    return [user, socket.gethostname()]


def _parts(content: bytes) -> list[bytes]:
    """Return a file's bytes, or those of the members of a zip file with their names."""
    if not content.startswith(b"PK\x03\x04"):
        return [content]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in archive.namelist()] + [name.encode() for name in archive.namelist()]


def _first(pattern: re.Pattern[bytes], content: bytes) -> bytes | None:
    match = pattern.search(content)
    return None if match is None else match[0]


def _is_word(text: bytes, content: bytes) -> bool:
    return re.search(rb"(?<![A-Za-z0-9])" + re.escape(text) + rb"(?![A-Za-z0-9])", content) is not None
