"""Names of a mask's classes from a text file beside the images: labels.txt, classes.txt and their like."""

import re
from collections.abc import Sequence
from pathlib import Path

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile

FILES = ("labels.txt", "classes.txt", "class_names.txt", "label_names.txt", "labelmap.txt")
_SMALL = Limits(file_bytes=MIB)
_BACKGROUND = frozenset({"background", "bg", "unlabelled", "unlabeled", "void", "none", "__background__"})
_NUMBERED = re.compile(r"(\d{1,5})\s*[:=,;\t ]\s*(\S.*)")
UNNAMED = "no file names the classes: give them in `classes`, in the order of the values"


def names_of_values(folder: Path, values: Sequence[int]) -> list[str] | None:
    """Return a name for each value, background first, from the one such file of a folder; None where it is not certain.

    Certain are lines with numbers that name every value but 0, and lines without that begin with the background and are
    as many as the values 0, 1, 2 ….
    """
    files = [folder / name for name in FILES if (folder / name).is_file()]
    if len(files) != 1:
        return None
    try:
        lines = [line.strip() for line in read_bytes(files[0], _SMALL)[0].decode("utf-8").splitlines() if line.strip()]
    except (RefusedFile, UnicodeDecodeError):
        return None
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = {int(match[1]): match[2].strip() for match in matches if match}
    if len(numbered) == len(lines) and {value for value in values if value} <= numbered.keys():
        names = [numbered.get(value, "background") for value in values]
    elif not numbered and lines and lines[0].lower() in _BACKGROUND and list(values) == list(range(len(lines))):
        names = ["background", *lines[1:]]
    else:
        return None
    return names if len(set(names)) == len(names) else None
