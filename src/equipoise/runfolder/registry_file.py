"""Files of the user's cache to which lines of JSON are only appended, and from which spoilt lines drop."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from equipoise.cohorts.store import cache_folder
from equipoise.runfolder.cache_lock import locked

LOCK = "openings.lock"


def trouble() -> str:
    """Return why registries cannot be written or read here; empty where they can."""
    try:
        with locked(cache_folder(), LOCK) as folder:
            for file in folder.glob("*.jsonl"):
                file.open("rb+").close()
            return ""
    except OSError as error:
        return str(error)


def append(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append one line for each row; raises OSError where the cache cannot be written."""
    (cache_folder() / name).parent.mkdir(parents=True, exist_ok=True)
    with locked(cache_folder(), LOCK) as folder, (folder / name).open("ab+") as file:
        # What a killed writer left must not swallow this line.
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        start = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(start + b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        file.flush()
        os.fsync(file.fileno())


def files_in(folder: str) -> list[str]:
    """Return the names of the files in a folder of the cache and in those below it, as `rows_of` takes them."""
    place = cache_folder()
    return sorted(file.relative_to(place).as_posix() for file in (place / folder).rglob("*.jsonl"))


def rows_of(name: str, is_whole: Callable[[object], bool]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file; one that a crash, a flipped bit or a hand spoilt is left out.

    Raises OSError where the file exists and cannot be read.
    """
    try:
        lines = (cache_folder() / name).read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if is_whole(row):
            yield row


def are_texts(value: object) -> bool:
    """Return whether a value is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def is_text(value: object) -> bool:
    """Return whether a value is text that can be written again; JSON can spell half a character."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
