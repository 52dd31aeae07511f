"""A whole volume with its masks inside a page: mosaics of slices as PNG, which a small script cuts into planes again.

No WebGL: hospital machines often have none, and viewers that need it show an empty frame there.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.case_pictures import COLOURS, png
from equipoise.cohorts.cohort import Image
from equipoise.deploy.predictor import Answer

MOST_VOXELS = 9_000_000
"""Of a shown volume: 1 to 7 MB of page. A larger one is thinned along its finest axes first."""
LEVELS = (0.1, 99.9)
BITS = 8


@dataclass(frozen=True)
class ShownVolume:
    """What the script needs. grey, masks: mosaics, PNG in base64; a bit per region. facts: everything else, as JSON."""

    grey: str
    masks: tuple[str, ...]
    facts: str
    thinned: str


def volume_of(image: Image, answer: Answer, voxel: Sequence[int], most: int = MOST_VOXELS) -> ShownVolume | None:
    """Return a volume as a page holds it, the planes through `voxel` first; None for a picture or a single slice."""
    if len(image.spacing_mm) != 3 or min(image.array.shape[1:]) < 2:
        return None
    steps = thinning(image.array.shape[1:], image.spacing_mm, most)
    every = tuple(slice(step // 2, None, step) for step in steps)
    grey = _levels(image.array[0][every])
    regions = [mask[every] for mask in answer.masks.values()]
    spacing = [mm * step for mm, step in zip(image.spacing_mm, steps, strict=True)]
    facts: dict[str, Any] = {
        "sides": list(grey.shape),
        "spacing": spacing,
        "across": _across(grey.shape[0]),
        "turned": image.affine is not None,
        "at": [min(k // step, side - 1) for k, step, side in zip(voxel, steps, grey.shape, strict=True)],
        "colours": [COLOURS[number % len(COLOURS)] for number in range(len(regions))],
        "points": _points(answer, spacing, steps),
    }
    words = "" if max(steps) == 1 else f"every {' × '.join(map(str, steps))} voxels (z × y × x)"
    packed = tuple(_mosaic(_bits(regions[start : start + BITS], grey.shape)) for start in range(0, len(regions), BITS))
    return ShownVolume(_mosaic(grey), packed, json.dumps(facts), words)


def thinning(sides: Sequence[int], spacing_mm: Sequence[float], most: int) -> tuple[int, ...]:
    """Return by how much each axis is thinned so that the voxels suffice, the finest axis first.

    >>> thinning((100, 400, 400), (2.0, 0.5, 0.5), 5_000_000)
    (1, 2, 2)
    """
    steps = [1] * len(sides)
    while math.prod(-(-side // step) for side, step in zip(sides, steps, strict=True)) > most:
        finest = min(range(len(sides)), key=lambda axis: (spacing_mm[axis] * steps[axis], -sides[axis] // steps[axis]))
        steps[finest] += 1
    return tuple(steps)


def _levels(channel: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return grey levels in the window of the static planes: over nearly all values."""
    values = np.nan_to_num(channel.astype(np.float32))
    low, high = np.percentile(values, LEVELS)
    levels: NDArray[np.uint8] = np.rint(255 * np.clip((values - low) / ((high - low) or 1.0), 0, 1)).astype(np.uint8)
    return levels


def _bits(regions: Sequence[NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    packed = np.zeros(shape, np.uint8)
    for bit, mask in enumerate(regions):
        packed |= mask.astype(np.uint8) << bit
    return packed


def _across(slices: int) -> int:
    return math.ceil(math.sqrt(slices))


def _mosaic(volume: NDArray[np.uint8]) -> str:
    """Return the slices (z, y, x) side by side in rows, as PNG in base64."""
    slices, rows, columns = volume.shape
    across = _across(slices)
    down = -(-slices // across)
    padded = np.zeros((across * down, rows, columns), np.uint8)
    padded[:slices] = volume
    tiled = padded.reshape(down, across, rows, columns).swapaxes(1, 2).reshape(down * rows, across * columns)
    return base64.b64encode(png(tiled, small=False)).decode()


def _points(answer: Answer, spacing: Sequence[float], steps: Sequence[int]) -> list[list[float]]:
    """Return candidates as voxels (z, y, x) of the shown volume, and their score."""
    if answer.candidates is None:
        return []
    # A thinned volume begins half a step later than the image.
    first = np.array([(step // 2) / step for step in steps])
    places = answer.candidates.centre_mm / np.array(spacing) - first
    return [
        [*map(float, place.round(3)), round(float(score), 4)]
        for place, score in zip(places, answer.candidates.score, strict=True)
    ]
