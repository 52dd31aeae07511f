"""Headers of text lines in front of, or beside, the numbers of a volume: NRRD and MetaImage."""

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile

LONGEST_HEADER = 1 << 20  # Slicer writes some hundred lines for each segment
BROKEN_TEXT = "write the file again with the tool that made it"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def numbers_of(text: str, count: int, key: str, path: str | PathLike[str]) -> list[float]:
    """Return `count` numbers, separated by spaces or commas; refused where there are others, or none are numbers."""
    try:
        values = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise RefusedFile(path, f"its {key} is {text[:60]!r}, where {count} numbers belong", BROKEN_TEXT)
    return values


def sizes_of(text: str, key: str, path: str | PathLike[str]) -> list[int]:
    """Return the numbers of voxels along the axes, the fastest first."""
    parts = text.split()
    # isdigit() accepts digits of other scripts such as superscripts, which int() then refuses with an error of its
    # own; isascii() closes that gap.
    if not 2 <= len(parts) <= 4 or not all(
        part.isascii() and part.isdigit() and 0 < int(part) < 1 << 31 for part in parts
    ):
        raise RefusedFile(path, f"its {key} is {text[:60]!r}", "give an image of two or three axes and one of channels")
    return [int(part) for part in parts]


def companion(path: str | PathLike[str], name: str) -> Path:
    """The file of voxels that a header names: one beside it, for a foreign header may not point at other files."""
    # A backslash is refused too: on Windows it separates folders, and a header must not mean different files on two
    # systems.
    if not name or name != Path(name).name or "\\" in name or name in (".", ".."):
        raise RefusedFile(path, f"its voxels lie in {name[:80]!r}, not beside it", "put both files in one folder")
    beside = Path(path).with_name(name)
    if "\0" in name or not beside.exists():
        raise RefusedFile(path, f"its voxels lie in {name[:80]!r}, which is missing", "put both files in one folder")
    return beside


def affine_of(directions: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make 4 × 4 from a row of length and direction per axis and the place of the first voxel; flat images get a z."""
    affine = np.eye(4)
    size = len(directions)
    affine[:size, :size] = directions.T
    affine[:size, 3] = origin
    return affine
