"""How much there is to see in a picture, and from where on equal pictures are no accident.

Different patients may share a simple shape (a small nodule's outline, the field of view), so shapes prove little.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.case_pictures import Bytes

EQUAL_BYTES, NEAR_BYTES, NEAR_VALUES = 150, 400, 16
"""Equal pixels count if the picture compresses to at least EQUAL_BYTES; likeness needs NEAR_BYTES, and as many distinct
values as scans have."""
_SURELY = 200
"""Distinct levels of a picture that never compresses to less than EQUAL_BYTES: each stands in the stream once."""
_MOST_VALUES = 2**15


def detail_of(picture: Bytes) -> int:
    """Return the detail of a picture (64, 64), in bytes; below EQUAL_BYTES, equal pixels prove nothing."""
    # Compressed size measures detail: a plain shape has few bytes whatever its contrast.
    return len(zlib.compress(picture.tobytes(), 1))


def channel_tells(channel: NDArray[np.generic], picture: Bytes) -> bool:
    """Return whether a channel can tell one image from another: it is not constant and no simple shape.

    channel: (*spatial). picture: of it, (64, 64). A channel may be the mask of a region or the field of view, which
    different patients share more often than whole images: one of few values needs as much detail as likeness does.
    """
    # Most scans have more levels than any shape, and counting them takes a quarter of the time of compressing.
    if np.count_nonzero(np.bincount(picture.ravel(), minlength=256)) >= _SURELY:
        return True
    detail = detail_of(picture)
    if detail >= NEAR_BYTES or detail < EQUAL_BYTES:
        return detail >= NEAR_BYTES
    return values_of(channel) >= NEAR_VALUES


def values_of(array: NDArray[np.generic]) -> int:
    """Return the number of distinct values among at most 32,768 of an array."""
    return len(np.unique(array.reshape(-1)[:: max(1, array.size // _MOST_VALUES)]))
