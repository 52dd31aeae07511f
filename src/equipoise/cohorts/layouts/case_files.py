"""One case of a source as files, before any of them is opened."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.structure_names import Codes


def check_exists(path: Path, what: str = "it") -> None:
    """Raise RefusedFile where a file that a layout names is missing."""
    if not os.path.exists(path):  # noqa: PTH110 - a path's own takes twice the time, which counts for 100,000 files
        raise RefusedFile(path, f"{what} is missing", "fetch it, or exclude the case")


@dataclass(frozen=True)
class CaseFiles:
    """One case of a source as its layout names it; nothing has been opened yet.

    images: one file per channel, or one file that holds all of them. codes: stored mask value, or name of a structure
    of a DICOM mask, → class index.
    structures: in place of a mask, a file for each structure with the class that its non-zero voxels have.
    label: class name, None where the task has none. series_uid: of the DICOM series meant in a folder of several.
    spacing_mm: what stands beside an image that states none itself. refusal: why the layout leaves the case out.
    hint: what to do about a mask value that `codes` does not know.
    """

    id: str
    patient: str
    images: tuple[Path, ...]
    mask: Path | None = None
    label: str | None = None
    part: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    codes: Codes | None = None
    structures: tuple[tuple[int, Path], ...] = ()
    series_uid: str | None = None
    spacing_mm: tuple[float, ...] | None = None
    refusal: RefusedFile | None = None
    hint: str = "correct the labels"
