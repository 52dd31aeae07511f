"""The result of reading one file or folder: columns by name, its kind, and notes on unusual content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.layouts.columns import bare

Columns = dict[str, NDArray[Any]]
AXES = (("coordz", "zmm", "worldz"), ("coordy", "ymm", "worldy"), ("coordx", "xmm", "worldx"))
"""Names of the columns that hold coordinates in mm, bare."""
_SUFFIXES = (".nii.gz", ".nii", ".npz", ".npy", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".dcm", ".mha", ".nrrd")


class Caution(str):
    """A note that may mislead, among those on how columns were read."""

    __slots__ = ()


class Repeated(str):
    """A note on rows that repeat others and were left out; `rows`: their number."""

    rows: int

    def __new__(cls, text: str, rows: int) -> "Repeated":
        """Return the note with its number."""
        made = super().__new__(cls, text)
        made.rows = rows
        return made


@dataclass
class RowNumbers:
    """The number of each row of a table in its file, (rows,); rows that are left out of the table leave here, too."""

    numbers: NDArray[np.int64]

    def of(self, index: int, columns: Mapping[str, NDArray[Any]]) -> str:
        """Return in words where a row of a table stands; a wide one has its rows once for each arm."""
        case = f"of case {str(columns['case'][index])!r}" if "case" in columns else ""
        n = len(next(iter(columns.values())))
        if not len(self.numbers) or n % len(self.numbers):
            return case
        return f"{case} in row {self.numbers[index % len(self.numbers)]}".strip()


@dataclass(frozen=True)
class Reading:
    """One source: columns of equal length, among them `case`, and `arm` where the source itself names its arms.

    kind: in words, for the report. notes: what may mislead. readings: how columns were read, in sentences; used: role →
    column. aside: columns of words that have no role. sha256: of a single file, "" for a folder. candidates: a
    detector's, of the cases. structures: those that a table itself names, or that a tool's file judges. folders: case →
    its folders, innermost first, of a table of paths.
    """

    path: str
    kind: str
    columns: Columns
    notes: tuple[str, ...] = ()
    sha256: str = ""
    candidates: Any = None
    structures: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
    used: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aside: Columns = field(default_factory=dict)


def has_places(columns: Columns) -> bool:
    """Whether a table has coordinates in mm, as tables of candidates and findings do."""
    names = {bare(name) for name in columns}
    return all(names & set(axis) for axis in AXES[1:])


def stem(name: str) -> str:
    """Return a file's name without its folder and image suffix.

    >>> stem("/data/liver_001.nii.gz"), stem("C:\\\\scans\\\\a.b.png"), stem("case.7")
    ('liver_001', 'a.b', 'case.7')
    """
    # Not pathlib: tables written on Windows hold backslashes, and .nii.gz is one suffix, not two.
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    suffix = next((suffix for suffix in _SUFFIXES if last.lower().endswith(suffix)), "")
    return last[: len(last) - len(suffix)] if suffix else last


def case_names(files: Sequence[str]) -> NDArray[np.str_]:
    """Name each file by its stem, preceded by its folder where stems repeat (one folder per case)."""
    names = [stem(file) for file in files]
    if len(set(names)) < len(names):
        parents = [PurePath(file.replace("\\", "/")).parent.name for file in files]
        names = [f"{parent}/{name}" if parent else name for parent, name in zip(parents, names, strict=True)]
    return np.array(names, dtype=str)
