"""Scale intensities to a fixed range per case and channel, without statistics of other cases.

Foreground: voxels above their channel's smallest value (scanners and skull-stripping fill the empty border with one
lowest value). Every scaling is increasing, so the lowest value stays the lowest.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["none", "unit", "symmetric", "zscore", "window_hu", "percentiles"]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scale:
    """Rule by which intensities are scaled.

    none: unchanged. unit: smallest → 0, largest → 1. symmetric: smallest → −1, largest → 1.
    zscore: mean 0, standard deviation 1 inside the foreground.
    window_hu: clip to [low, high] in the image's unit (HU in CT), then low → 0, high → 1.
    percentiles: clip to the foreground's percentiles low and high, then to 0–1.
    A channel of one value becomes 0 (−1 in symmetric).
    """

    kind: Kind = "unit"
    low: float = 0.0
    high: float = 0.0

    def apply(self, array: NDArray[Any], spatial_dims: int) -> Floats:
        """Scale (…, channel, *spatial) of any real dtype to float32; leading axes may hold a batch of cases."""
        pixels: Floats = np.array(array, dtype=np.float32)  # our own copy: everything below is done in place
        axes = tuple(range(-spatial_dims, 0))
        if self.kind == "none":
            return pixels
        if self.kind == "zscore":
            return _standardised(pixels, spatial_dims)
        low, high = self._limits(pixels, axes)
        with np.errstate(invalid="ignore"):  # not-a-number stays one, for the caller to name the case
            width = high - low
            pixels -= low
            pixels *= np.where(width > 0, 1 / np.where(width > 0, width, 1), 0)
        if self.kind in ("window_hu", "percentiles"):
            np.clip(pixels, 0, 1, out=pixels)
        if self.kind == "symmetric":
            pixels *= 2
            pixels -= 1
        return pixels

    def _limits(self, pixels: Floats, axes: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return the values that become 0 and 1, with spatial axes of length one."""
        if self.kind == "window_hu":
            return np.float32(self.low) * np.ones((1,) * pixels.ndim, np.float32), np.full(
                (1,) * pixels.ndim, self.high, np.float32
            )
        if self.kind == "percentiles":
            return self._percentiles(pixels, axes)
        return pixels.min(axis=axes, keepdims=True), pixels.max(axis=axes, keepdims=True)

    def _percentiles(self, pixels: Floats, axes: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return percentiles of every channel's foreground; of all voxels where the channel has one value."""
        # Over the foreground alone: an empty border of varying size would otherwise move the percentiles.
        shape = pixels.shape[: -len(axes)]
        limits = np.empty((2, *shape), dtype=np.float32)
        for index in np.ndindex(shape):
            values = pixels[index].ravel()
            inside = values[values > values.min()]
            limits[(slice(None), *index)] = np.percentile(inside if len(inside) else values, [self.low, self.high])
        limits = limits.reshape(2, *shape, *(1,) * len(axes))
        return limits[0], limits[1]


def foreground(pixels: NDArray[Any], spatial_dims: int) -> NDArray[np.bool_]:
    """Mark the voxels above their channel's smallest value: (…, channel, *spatial) → the same shape."""
    inside: NDArray[np.bool_] = pixels > pixels.min(axis=tuple(range(-spatial_dims, 0)), keepdims=True)
    return inside


_AT_ONCE = 1 << 24
"""Voxels of a channel whose statistics are taken at once; 256³ and more go piece by piece."""


def _moments(channel: Floats, lowest: float) -> tuple[float, float]:
    """Return mean and standard deviation of the voxels above `lowest`; (lowest, 0) where there are none."""
    if channel.size <= _AT_ONCE:
        inside = channel[channel > lowest].astype(np.float64)
        return (float(inside.mean()), float(inside.std())) if len(inside) else (lowest, 0.0)
    # At once they take 21 bytes a voxel beside the image. In two passes, because the mean of squares less the square of
    # the mean loses the digits of a small spread.
    pieces = [piece for plane in channel for piece in np.array_split(plane, -(-plane.size // _AT_ONCE))]
    counts = [int((piece > lowest).sum()) for piece in pieces]
    if not sum(counts):
        return lowest, 0.0
    mean = math.fsum(float(piece.sum(dtype=np.float64, where=piece > lowest)) for piece in pieces) / sum(counts)
    squares = math.fsum(
        float(np.square(piece - np.float64(mean), dtype=np.float64).sum(where=piece > lowest)) for piece in pieces
    )
    return mean, math.sqrt(squares / sum(counts))


def _standardised(pixels: Floats, spatial_dims: int) -> Floats:
    """Give the foreground mean 0 and standard deviation 1, in place; the background gets the same map.

    A foreground of one value becomes 0 and its background −1, whatever the unit.
    """
    # Channel by channel, because the float64 copies of a whole volume would need several times its memory.
    for index in np.ndindex(pixels.shape[:-spatial_dims]):
        channel = pixels[index]
        lowest = float(channel.min())
        mean, deviation = _moments(channel, lowest)
        height = mean - lowest
        # A spread below a thousandth of the height above the background is rounding: dividing by it would amplify
        # noise, so a nearly constant foreground is scaled by its height instead.
        width = deviation if deviation > 1e-3 * height else height if height > 0 else 1.0
        for step, by in ((np.subtract, mean), (np.divide, width)):
            step(channel, by, out=channel, dtype=np.float64, casting="unsafe")
    return pixels
