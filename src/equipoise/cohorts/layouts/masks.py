"""The mask of a case: one file, or a file for each structure, as a class per voxel on the image's grid."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom import has_preamble
from equipoise.cohorts.formats.reading import DICOM, read_stored, suffix_of
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.case_files import CaseFiles, check_exists
from equipoise.cohorts.layouts.mask_values import whole_values
from equipoise.cohorts.layouts.same_grid import check_same_grid
from equipoise.cohorts.layouts.structure_names import (
    EMPTY,
    LEFT_OUT,
    MEANINGS,
    STRUCTURES,
    Codes,
    by_name,
    is_meant,
    numbers_of,
)


def case_mask(entry: CaseFiles, image: Scan, nonfinite: Nonfinite = "refuse") -> tuple[NDArray[np.uint8], list[Scan]]:
    """Class index per voxel of a case's mask, or of its structures together, and the files read with their remarks."""
    sources: list[tuple[Path, int | None]] = [(path, None) for path in [entry.mask] if path] or [
        (path, index) for index, path in entry.structures
    ]
    mask, scans = np.zeros(image.array.shape[1:], np.uint8), []
    for path, index in sources:
        check_exists(path, "the mask")
        scan = read_mask(path, image, nonfinite, None if index is not None else entry.codes)
        check_same_grid(path, scan, entry.images[0], image)
        if index is None:
            codes = numbers_of(path, scan.header, entry.codes)
            mask, remarks = _classes_of(scan, path, codes, entry.hint)
        else:
            remarks = add_structure(mask, scan, index, path)
        scans.append(replace(scan, remarks=(*scan.remarks, *remarks)))
    return mask, scans


def add_structure(mask: NDArray[np.uint8], scan: Scan, index: int, path: Path) -> tuple[str, ...]:
    """Write a structure's class where its own mask is not zero; refuse one that lies on another structure."""
    stored, remarks = whole_values(scan, path)
    inside = stored != 0
    others = mask[inside]
    if ((others != 0) & (others != index)).any():
        reason = f"{int(((others != 0) & (others != index)).sum())} of its voxels belong to another structure as well"
        raise RefusedFile(path, reason, "leave one of the two out with cohort.classes")
    mask[inside] = index
    return remarks


def read_mask(path: Path, image: Scan, nonfinite: Nonfinite = "refuse", codes: Codes | None = None) -> Scan:
    """Return the stored values of a mask file; DICOM segmentations and structure sets are placed on the image's grid.

    codes: the values or names that are meant; a structure set's other structures (the body, support of the couch) are
    left out, and so are a segmentation's where the cohort states names.
    """
    if path.is_dir() or not (suffix_of(path) in DICOM or has_preamble(path)):
        return _only_meant(read_stored(path, nonfinite=nonfinite), codes)
    from equipoise.cohorts.formats.dicom_seg import read_segmentation
    from equipoise.cohorts.formats.rtstruct import is_structures, read_structures

    meant = partial(is_meant, codes=codes)
    if is_structures(path):
        segments = read_structures(path, image, meant=meant)
    else:
        segments = read_segmentation(path, image)
        segments = segments.only(meant) if by_name(codes) else segments
    # Where names are stated, a number of the file says nothing: ROINumber may be 0, as the background is, or 70,000.
    own = by_name(codes)
    numbers = range(1, len(segments.labels) + 1) if own else segments.numbers
    labels = segments.label_map(own=own)[None]
    header = {
        STRUCTURES: dict(zip(numbers, segments.labels, strict=True)),
        MEANINGS: dict(zip(numbers, segments.meanings, strict=False)),
        LEFT_OUT: segments.left_out,
        EMPTY: segments.empty,
    }
    return Scan(labels, image.spacing_mm, image.affine, segments.sha256, header=header, remarks=segments.remarks)


def _only_meant(scan: Scan, codes: Codes | None) -> Scan:
    """Return a mask whose header names its values without the structures that the stated names leave out."""
    names: Mapping[int, str] = scan.header.get(STRUCTURES, {})
    if not names or not by_name(codes):
        return scan
    unwanted = {number: name for number, name in names.items() if not is_meant(number, name, codes)}
    if not unwanted:
        return scan
    left_out = tuple(unwanted.values())
    array = np.where(np.isin(scan.array, list(unwanted)), scan.array.dtype.type(0), scan.array)
    kept = {number: name for number, name in names.items() if number not in unwanted}
    remarks = (*scan.remarks, f"segments left out: {', '.join(map(repr, left_out))}")
    return replace(scan, array=array, header={**scan.header, STRUCTURES: kept, LEFT_OUT: left_out}, remarks=remarks)


def class_mask(
    scan: Scan, path: Path, codes: Mapping[int, int] | None, hint: str = "correct the labels"
) -> NDArray[np.uint8]:
    """Return the class index per voxel, from whole numbers that `codes` knows (None: they are the indices)."""
    return _classes_of(scan, path, codes, hint)[0]


def _classes_of(
    scan: Scan, path: Path, codes: Mapping[int, int] | None, hint: str
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the same, with remarks on how the stored values were found."""
    known = dict(codes) if codes is not None else {value: value for value in range(256)}
    stored, remarks = whole_values(scan, path, known)
    values = [int(value) for value in np.unique(stored)]
    unknown = [value for value in values if value not in known]
    if unknown:
        shown = ", ".join(map(str, list(known)[:10]))
        raise RefusedFile(path, f"the mask holds the label {unknown[0]}, the cohort knows {shown}", hint)
    mask = np.zeros(stored.shape, np.uint8)
    for value in values:
        if known[value]:
            mask[stored == value] = known[value]
    return mask, remarks
