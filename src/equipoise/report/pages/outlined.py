"""One picture of a case as a reader would look at it, with the outline of every class of its mask."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from equipoise.cohorts.cohort import Image

SIDE = 132
COLOURS = ("#ffb000", "#4aa3e0", "#52d9ae", "#f0a8d0", "#ff8540", "#a3abff", "#e6c34a", "#e79a8c")
"""Of the outlines of classes 1, 2 …; they begin again after the last."""


def outlined(image: Image) -> NDArray[np.uint8]:
    """(height, width, 3): the first channel, or its slice with the largest mask, at most SIDE pixels in its true shape.

    Windowed to the middle 98 % of its own values. Volumes are shown in the radiological convention: front on top, the
    patient's right on the left.
    """
    plane, mask, spacing = _plane(image)
    height, width = _size(plane.shape, spacing)
    low, high = np.percentile(plane[np.isfinite(plane)], [1, 99]) if np.isfinite(plane).any() else (0.0, 1.0)
    grey = np.nan_to_num(np.clip((plane.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1))
    shown = Picture.fromarray(np.rint(255 * grey).astype(np.uint8)).resize((width, height), Picture.Resampling.BILINEAR)
    colour = np.repeat(np.asarray(shown)[..., None], 3, axis=2)
    if mask is not None:
        _draw(colour, mask)
    return colour


def _plane(image: Image) -> tuple[NDArray[np.generic], NDArray[np.integer] | None, tuple[float, float]]:
    """Pixels (y, x), mask and spacing of what is shown."""
    plane, mask = image.array[0], image.mask
    if plane.ndim == 2:
        return plane, mask, (image.spacing_mm[0], image.spacing_mm[1])
    area = np.zeros(len(plane)) if mask is None else (mask > 0).sum(axis=(1, 2))
    z = int(area.argmax()) if area.any() else len(plane) // 2
    spacing = (image.spacing_mm[1], image.spacing_mm[2])
    return plane[z, ::-1, ::-1], None if mask is None else mask[z, ::-1, ::-1], spacing


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, float]) -> tuple[int, int]:
    """Height and width in pixels that keep the proportions in millimetres."""
    extent = np.array(shape) * np.array(spacing_mm)
    height, width = np.maximum(1, np.rint(SIDE * extent / extent.max())).astype(int)
    return int(height), int(width)


def _draw(colour: NDArray[np.uint8], mask: NDArray[np.integer]) -> None:
    """Colour the innermost ring of pixels of every class."""
    height, width = colour.shape[:2]
    rows = np.minimum((np.arange(height) + 0.5) * mask.shape[0] / height, mask.shape[0] - 1).astype(int)
    columns = np.minimum((np.arange(width) + 0.5) * mask.shape[1] / width, mask.shape[1] - 1).astype(int)
    shown = np.pad(mask[np.ix_(rows, columns)], 1)
    middle = shown[1:-1, 1:-1]
    neighbours = (shown[:-2, 1:-1], shown[2:, 1:-1], shown[1:-1, :-2], shown[1:-1, 2:])
    edge = np.any([beside != middle for beside in neighbours], axis=0) & (middle > 0)
    palette = np.array([[int(name[k : k + 2], 16) for k in (1, 3, 5)] for name in COLOURS], np.uint8)
    colour[edge] = palette[(middle[edge] - 1) % len(COLOURS)]
