"""Compare how `predict` reads files with how the trial's source read them: a difference would spoil every answer.

A source may cut, turn, or join what files hold. Where the files of a few test cases, read by `predict`, do not give the
very arrays of the trial, the bundle says so, and so does every answer to a file.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts import Case
from equipoise.cohorts.cohort import Image
from equipoise.cohorts.formats.dicom import has_preamble
from equipoise.cohorts.formats.reading import VOLUMES, read_any, suffix_of
from equipoise.deploy.contract import Contract
from equipoise.deploy.inputs import CaseInput, read_input
from equipoise.errors import EquipoiseError

MOST = 3
"""Test cases whose files are read again."""


def read_alike(cases: Sequence[Case], root: Path | None, contract: Contract) -> dict[str, int]:
    """Return how many of a few cases have files here, and how many of these `predict` reads as the trial did.

    root: the path of the cohort, which file names are relative to. `unplaced` is there, and the number of cases, where
    files state no orientation in space.
    """
    chosen = _chosen(cases)
    compared = alike = 0
    for case in chosen:
        files = list(_files_of(case, root))
        compared += bool(files)
        alike += bool(files) and _is_alike(case.read(), files, contract)
    unplaced = count_unplaced(cases, root)
    return {"cases": len(chosen), "with_files": compared, "alike": alike} | ({"unplaced": unplaced} if unplaced else {})


def _chosen(cases: Sequence[Case]) -> list[Case]:
    return [cases[k] for k in np.unique(np.linspace(0, len(cases) - 1, min(MOST, len(cases))).astype(int))]


def count_unplaced(cases: Sequence[Case], root: Path | None) -> int:
    """Return how many of a few cases have a file that states no orientation in space, so that the trial assumed one."""
    return sum(any(map(_is_unplaced, _files_of(case, root))) for case in _chosen(cases))


def _is_unplaced(file: Path) -> bool:
    try:
        return bool(suffix_of(file) in VOLUMES and read_any(file).header.get("unplaced"))
    except EquipoiseError:
        return False


def note(reading: Mapping[str, Any] | None) -> str:
    """Return the warning for answers to files; empty where all compared files were read alike."""
    if reading is None or (reading["alike"] and reading["alike"] == reading["with_files"]):
        return ""
    return (
        "the trial's source did not read its images as predict reads files: check that orientation, spacing and "
        "values of new files are as in the trial"
    )


def _files_of(case: Case, root: Path | None) -> Iterator[Path]:
    """Yield the files of a case that lie here with the content that the trial saw."""
    for name, digest in case.sha256.items():
        for place in () if root is None else (root, root.parent):
            file = place / name
            if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest:
                yield file
                break


def _is_alike(image: Image, files: Sequence[Path], contract: Contract) -> bool:
    paths = _images_among(image, files)
    if not paths:
        return False
    try:
        read = read_input(CaseInput("case", paths), contract).image
    except EquipoiseError:
        return False
    same_place = (read.affine is None) == (image.affine is None)
    if same_place and read.affine is not None and image.affine is not None:
        same_place = bool(np.allclose(read.affine, image.affine, atol=1e-6))
    same_spacing = bool(np.allclose(read.spacing_mm, image.spacing_mm, rtol=1e-6))
    return same_place and same_spacing and np.array_equal(read.array, image.array)


def _images_among(image: Image, files: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files that hold the channels, in their order: a mask may lie among a case's files."""
    if len(files) > 1 and all(has_preamble(file) for file in files):
        return (files[0].parent,)
    arrays = {}
    for file in files:
        try:
            arrays[file] = read_any(file).array
        except EquipoiseError:
            continue
    for file, array in arrays.items():
        if array.shape[1:] == image.array.shape[1:] and np.array_equal(array[0], image.array[0]):
            if len(array) >= len(image.array):
                return (file,)
            break
    order = [next((f for f, array in arrays.items() if np.array_equal(array[0], c)), None) for c in image.array]
    return tuple(file for file in order if file is not None) if None not in order else ()
