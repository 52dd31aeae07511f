"""Grey pictures stored as colour, and grey ones among coloured ones: how many channels the cases of a cohort have.

Programs save grey as RGB with three equal colours, with an alpha channel, or with a palette; in one data set often only
some files. As such files may all be of one class, leaving them out would tell the class.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Remark
from equipoise.cohorts.formats.scan import Scan

COLOURS = 3
AS_GREY = "its three colours are equal: it was read as grey, as the others are"
AS_COLOUR = "it is grey: it was read as three equal colours, as the others have them"


def is_colour(scan: Scan) -> bool:
    """Return whether the channels of a scan are red, green and blue, and not modalities."""
    # Three modalities in one volume are three channels too; only the format can say that channels are colours.
    return scan.array.shape[0] == COLOURS and bool(scan.header.get("colour", False))


def is_grey_in_colour(scan: Scan) -> bool:
    """Return whether red, green and blue are equal in every pixel."""
    return is_colour(scan) and bool((scan.array[0] == scan.array[1]).all() and (scan.array[0] == scan.array[2]).all())


def channel_options(scans: Sequence[Scan]) -> frozenset[int]:
    """Return the numbers of channels that a case can be given with, without losing or inventing anything."""
    total = sum(scan.array.shape[0] for scan in scans)
    options = {total}
    if all(scan.array.shape[0] == 1 or is_grey_in_colour(scan) for scan in scans):
        options.add(len(scans))
    if total == 1 and "colour" in scans[0].header:
        options.add(COLOURS)
    return frozenset(options)


def common_channels(totals: Sequence[int], options: Sequence[frozenset[int]]) -> int:
    """Return the number of channels of a cohort that states none: the files' own, or what most cases need at least.

    A lone picture in true colours among grey ones stays odd, and is named as a problem; grey ones among coloured ones
    are given three equal channels.
    """
    if len(set(totals)) == 1:
        return totals[0]
    # The fewest channels of each case are counted: grey stored as RGB is grey. Chest X-ray sets of Kaggle mix both,
    # and leaving out what differs took cases from one class only.
    return Counter(min(choices) for choices in options).most_common(1)[0][0]


def with_channels(scans: Sequence[Scan], count: int) -> NDArray[np.generic]:
    """(channel, …) with so many channels, one of the case's `channel_options`."""
    arrays = [scan.array for scan in scans]
    total = sum(array.shape[0] for array in arrays)
    if total != count and count == len(arrays):
        arrays = [array[:1] for array in arrays]
    elif total == 1 and count == COLOURS:
        arrays *= COLOURS
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def depth_remarks(cases: Sequence[tuple[str, int | None, np.dtype[Any]]]) -> tuple[Remark, ...]:
    """What is to be said of pictures of 8 bits among those of 16: the same grey is 257 times as much in the others.

    cases: id, label and dtype of the image, for every case.
    """
    if not {np.dtype(np.uint8), np.dtype(np.uint16)} <= {dtype for *_, dtype in cases}:
        return ()
    deep = [(case, label) for case, label, dtype in cases if dtype == np.uint16]
    text = "it has 16 bits and others have 8, so that equal greys are not equal numbers; save all alike"
    shallow = {label for _, label, dtype in cases if dtype == np.uint8}
    if shallow.isdisjoint(label for _, label in deep) and None not in shallow:
        text += ": no class has both, and the depth tells the class"
    return (Remark(text, len(deep), deep[0][0]),)
