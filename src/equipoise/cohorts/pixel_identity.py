"""One hash for the same pixels, however a file holds them: as grey or as three equal colours, flat or as a volume.

Files that were written again without loss are read as arrays of other shapes: a grey picture as RGB, a slice as a
volume with one plane, with other axes first or the other way round. What is hashed is the array without such
differences.
"""

import hashlib
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pixel_identity(array: NDArray[np.generic]) -> str:
    """Return a hash of an image's values that ignores dtype, copies of a channel, single planes, flips and transposes.

    array: (channel, *spatial).
    """
    return _identity(_without_copies(_values(array)))


def pixel_identities(array: NDArray[np.generic]) -> tuple[str, tuple[str, ...]]:
    """Return the `pixel_identity` of an image and that of each of its channels as an image of its own.

    array: (channel, *spatial). The second is empty for an image of one channel, or of equal ones: it is the first.
    """
    values = _without_copies(_values(array))
    # One channel after another, because volumes of four take a gigabyte as float64 with their turned copies.
    return _identity(values), tuple(_identity(channel[None]) for channel in values) if len(values) > 1 else ()


def _values(array: NDArray[np.generic]) -> Array:
    values = np.asarray(array, dtype=np.float64)
    return values.reshape(len(values), *(side for side in values.shape[1:] if side > 1))


def _without_copies(values: Array) -> Array:
    return values[:1] if all(np.array_equal(one, other) for one, other in pairwise(values)) else values


def _identity(values: Array) -> str:
    turned = _upright(values)
    state = hashlib.sha256(f"{turned.shape}".encode())
    # Zeros of both signs are one value. Channel by channel: a sum of the whole is one more copy of it.
    for channel in turned:
        state.update(np.add(channel, 0.0, order="C").data)
    return state.hexdigest()[:32]


@lru_cache(maxsize=64)  # one image is as large as the next
def _places(side: int) -> tuple[Array, Array]:
    """Return the distances of pixels from the middle of a side, and their squares."""
    place: Array = np.arange(side, dtype=np.float64) - (side - 1) / 2
    return place, np.square(place)


def _upright(values: Array) -> Array:
    """Return the values with their spatial axes in an order and direction that flips and transposes do not change.

    Each axis runs towards the side with more, and axes are ordered by their sides and their profiles: first moments and
    spreads. An image that is symmetrical in these stays as it is read.
    """
    weights = np.abs(values[0]) if len(values) == 1 else np.abs(values).sum(axis=0)
    facts = []
    for axis, side in enumerate(weights.shape):
        profile = weights.sum(axis=tuple(other for other in range(weights.ndim) if other != axis))
        place, squared = _places(side)
        total = float(profile.sum()) or 1.0
        first, second = float(place @ profile) / total, float(squared @ profile) / total
        facts.append((side, round(abs(first), 6), round(second, 6), axis, first < 0))
    for *_, axis, backwards in facts:
        values = np.flip(values, axis + 1) if backwards else values
    return np.transpose(values, (0, *(axis + 1 for *_, axis, _ in sorted(facts))))
