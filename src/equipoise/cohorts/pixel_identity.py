"""One hash for the same pixels, however a file holds them: as grey or as three equal colours, flat or as a volume.

Files that were written again without loss are read as arrays of other shapes: a grey picture as RGB, a slice as a
volume with one plane, with other axes first or the other way round. What is hashed is the array without such
differences.
"""

import hashlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pixel_identity(array: NDArray[np.generic]) -> str:
    """Return a hash of an image's values that ignores dtype, copies of a channel, single planes, flips and transposes.

    array: (channel, *spatial).
    """
    values = np.asarray(array, dtype=np.float64)
    if all(np.array_equal(one, other) for one, other in pairwise(values)):
        values = values[:1]
    channels, axes = len(values), [side for side in values.shape[1:] if side > 1]
    turned = _upright(values.reshape(channels, *axes))
    # Zeros of both signs are one value.
    content = f"{turned.shape}".encode() + (np.ascontiguousarray(turned) + 0.0).tobytes()
    return hashlib.sha256(content).hexdigest()[:32]


def _upright(values: Array) -> Array:
    """Return the values with their spatial axes in an order and direction that flips and transposes do not change.

    Each axis runs towards the side with more, and axes are ordered by their sides and their profiles: first moments and
    spreads. An image that is symmetrical in these stays as it is read.
    """
    weights = np.abs(values).sum(axis=0)
    facts = []
    for axis, side in enumerate(weights.shape):
        profile = weights.sum(axis=tuple(other for other in range(weights.ndim) if other != axis))
        place = np.arange(side) - (side - 1) / 2
        total = float(profile.sum()) or 1.0
        first, second = float(place @ profile) / total, float(place**2 @ profile) / total
        facts.append((side, round(abs(first), 6), round(second, 6), axis, first < 0))
    for *_, axis, backwards in facts:
        values = np.flip(values, axis + 1) if backwards else values
    return np.transpose(values, (0, *(axis + 1 for *_, axis, _ in sorted(facts))))
