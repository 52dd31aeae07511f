"""Rules of depth and width: what a network's preset "auto" stands for."""

from collections.abc import Sequence
from typing import Any

from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.grid import grid_of

AUTO = "auto"
SMALLEST_MAP = 4
"""Voxels per side that the deepest map keeps: a smaller one is mostly padding, and its normalisation unstable."""
MOST_LEVELS = {2: 6, 3: 5}
WIDEST = {2: 512, 3: 320}
BASE = {("cpu", 2): 16, ("cpu", 3): 8, ("cuda", 2): 32, ("cuda", 3): 32}
"""Channels at full resolution, which double with every halving."""
WIDE = 32
"""Base from which published sizes are taken for the other architectures."""


def levels_of(sides: Sequence[float]) -> int:
    """Return the number of levels: halved while every side of the map keeps `SMALLEST_MAP` voxels, at least two.

    >>> levels_of([40, 56, 40]), levels_of([28, 28]), levels_of([16, 192, 192])
    (4, 3, 3)
    """
    levels = 1
    while levels < MOST_LEVELS[len(sides)] and min(sides) / 2**levels >= SMALLEST_MAP:
        levels += 1
    return max(2, levels)


def channels_of(sides: Sequence[float], base: int) -> list[int]:
    """Return the U-Net's channels per level, finest first."""
    return [min(base * 2**level, WIDEST[len(sides)]) for level in range(levels_of(sides))]


def sides_of(data: Fingerprint, patch: Sequence[int] | None, device: str = "cpu") -> tuple[float, ...]:
    """Return the sides of what a network sees: the patch, or the whole image on the grid of the rules."""
    return tuple(map(float, patch)) if patch else (grid := grid_of(data, device)).size or grid.extent


def network_of(name: str, sides: Sequence[float], base: int, masks: bool) -> dict[str, Any]:
    """Return the settings of a built-in network of this base width for maps of these sides.

    U-Net: channels per level. DeepLab and DenseNet: the preset next in size, smaller for small maps.
    """
    if name == "unet":
        return {"channels": channels_of(sides, base)}
    if base < WIDE or min(sides) < 64:
        return {"preset": "small" if base >= 8 and min(sides) >= 16 else "tiny"}
    if name == "deeplab":
        return {"preset": "resnet34"}
    return {"preset": "fc56" if masks else "121"}
