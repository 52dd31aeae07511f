"""Which plane of a case a report shows, and that plane as a grey picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.evaluation.regions import region_masks


def shown_slice(truth: NDArray[np.integer]) -> tuple[int, ...]:
    """The index that leads to the plane with the most foreground: () in 2D, (z,) in 3D (the middle of empty ones)."""
    if truth.ndim == 2:
        return ()
    areas = np.count_nonzero(truth, axis=(1, 2))
    return (int(areas.argmax()) if areas.any() else len(truth) // 2,)


def grey(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """A plane (h, w) of any numbers as 8 bits, its lowest value black and its highest white."""
    low, high = float(plane.min()), float(plane.max())
    return np.asarray(np.round(255 * (plane - low) / ((high - low) or 1.0)), dtype=np.uint8)


def region_bits(labels: NDArray[np.integer], regions: Mapping[str, Sequence[int]]) -> NDArray[np.uint8]:
    """Up to eight overlapping masks in one array: bit k is set where region k is."""
    return packed(list(region_masks(labels, regions).values()))


def packed(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Bit k is set where mask k is; masks beyond the eighth are not shown."""
    bits = np.zeros(masks[0].shape, np.uint8)
    for k, mask in enumerate(masks[:8]):
        bits |= mask.astype(np.uint8) << np.uint8(k)
    return bits
