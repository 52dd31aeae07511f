"""How large, how deep and how slow an untrusted file may be before it is refused.

A limit is raised for files that are known to be good by an environment variable, such as EQUIPOISE_LIMIT_ARRAY_BYTES.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from equipoise.errors import EquipoiseError

MIB = 1 << 20
GIB = 1 << 30

DEFLATE_RATIO = 1032
"""No deflate stream yields more bytes per byte of input (zlib's technical notes), so a larger claim is a lie."""


@dataclass(frozen=True)
class Limits:
    """What a reader allows one file to ask for; raise a limit for files that are known to be good.

    file_bytes: size on disk.
    array_bytes: voxels of one image once decoded, also of a whole DICOM series.
    inflated_bytes: a deflated DICOM data set once inflated.
    nesting: depth of sequences inside sequences.
    frames: frames of one DICOM file, pages of one TIFF, slices of one series.
    memory_bytes: address space of the child process that parses DICOM and pictures (not enforced on Windows).
    seconds: processor time that the child process may spend on one file, which a busy machine does not use up (not
        enforced on Windows).
    wall_seconds: time by the clock after which a child that has not answered is given up: it sleeps, waits for a disk
        that does not answer, or was stopped. Generous, because a good file on a busy machine must never meet it.
    """

    file_bytes: int = 4 * GIB
    array_bytes: int = 4 * GIB
    inflated_bytes: int = GIB
    nesting: int = 32
    frames: int = 20_000
    # This is larger than array_bytes on purpose, since the child holds the packed bytes, the interpreter and its
    # libraries beside the decoded array.
    memory_bytes: int = 6 * GIB
    seconds: float = 60.0
    wall_seconds: float = 600.0


PREFIX = "EQUIPOISE_LIMIT_"
OF_SIZE = ("file_bytes", "array_bytes", "inflated_bytes", "frames")
"""Limits that a refusal names as its remedy where a file is too large, and not wrong."""


def limits_from(environment: Mapping[str, str]) -> Limits:
    """Return the limits, those replaced that a variable EQUIPOISE_LIMIT_<NAME> states.

    >>> limits_from({"EQUIPOISE_LIMIT_FRAMES": "30000"}).frames
    30000

    Raises EquipoiseError for a value that is no positive number.
    """
    raised: dict[str, float] = {}
    for field in fields(Limits):
        name = PREFIX + field.name.upper()
        if name not in environment:
            continue
        try:
            value = float(environment[name])
        except ValueError:
            value = 0.0
        # The comparison is negated so that NaN, which float() accepts, is refused too.
        if not value > 0:
            raise EquipoiseError(f"the environment variable {name} is {environment[name]!r}; set a positive number")
        raised[field.name] = value if field.name.endswith("seconds") else int(value)
    return Limits(**raised)  # type: ignore[arg-type]


DEFAULT = limits_from(os.environ)
