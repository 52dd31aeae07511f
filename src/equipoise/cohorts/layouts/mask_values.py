"""Stored values of a mask file as whole numbers in one channel, however the file holds them."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.remarks import WHITE_IS_0
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.channels import is_colour, is_grey_in_colour

WHOLE = 1e-3
"""Values so near to a whole number are that number: label maps of int32 scaled by a slope come back as 0.99999."""
ROUNDED = "its values are whole numbers but for rounding and were rounded"
ONE_COLOUR = "its three colours are equal and were read as one value"
GREYS = "its palette is grey: its greys were read, not its palette indices"


def whole_values(
    scan: Scan, path: Path, known: Collection[int] | None = None
) -> tuple[NDArray[np.integer], tuple[str, ...]]:
    """(…) of whole numbers, and remarks on how they were found.

    known: the values that the cohort has classes for, which decide between a palette's indices and its greys.
    Raises RefusedFile for several channels, true colours, fractions, and palettes that leave a doubt.
    """
    remarks: tuple[str, ...] = ()
    # BUSI and many other sets store masks as RGB or RGBA with equal colours: these hold one value. True colours have no
    # order from which class numbers could be taken.
    if is_colour(scan) and not is_grey_in_colour(scan):
        raise RefusedFile(path, "the mask has 3 channels, which are colours", "save one class number per voxel")
    if scan.array.shape[0] != 1 and not is_colour(scan):
        raise RefusedFile(path, f"the mask has {scan.array.shape[0]} channels", "save one class number per voxel")
    if is_colour(scan):
        remarks = (ONE_COLOUR,)
    stored = scan.array[0]
    # tifffile and scikit-image write a mask of true and false so that 0 is white, and read it back as it was; by the
    # standard, and for Pillow, inside and outside are then exchanged.
    if WHITE_IS_0 in scan.remarks and stored.max(initial=0) <= 1:
        reason = "its bits say that 0 is white, so that programs disagree on what is inside"
        raise RefusedFile(path, reason, "save it as a .png, 0 being background")
    if stored.dtype.kind == "f":
        nearest = np.rint(stored)
        wrong = ~(np.abs(stored - nearest) <= WHOLE)  # also where they are no numbers
        if wrong.any():
            raise RefusedFile(path, f"the mask holds {float(stored[wrong][0]):.9g}", "save whole class numbers")
        remarks += (ROUNDED,) if (stored != nearest).any() else ()
        stored = nearest.astype(np.int64)
    if (greys := scan.header.get("grey_palette")) is not None and known is not None:
        stored, remark = _of_palette(stored, np.array(greys), known, path)
        remarks += remark
    return stored, remarks


def _of_palette(
    indices: NDArray[np.integer], greys: NDArray[np.integer], known: Collection[int], path: Path
) -> tuple[NDArray[np.integer], tuple[str, ...]]:
    """A palette of greys makes a label picture look like any other: indices or greys, whichever are known values."""
    used = np.unique(indices)
    as_greys = set(greys[used].tolist())
    if as_greys == set(used.tolist()) or not as_greys <= set(known):
        return indices, ()
    if set(used.tolist()) <= set(known):
        reason = f"its palette holds the indices {_few(used)} and the greys {_few(greys[used])}, which both are labels"
        raise RefusedFile(path, reason, "save it as grey, without a palette")
    return greys[indices], (GREYS,)


def _few(values: NDArray[np.integer]) -> str:
    return ", ".join(map(str, values[:6].tolist()))
