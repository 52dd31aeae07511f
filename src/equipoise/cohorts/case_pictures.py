"""Two small pictures of a case: one for display, with the outlines of its mask, and one for the similarity search."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from equipoise.cohorts.cohort import Image
from equipoise.cohorts.interpolation import triangle

SIDE = 64
"""Pixels per side of the picture for the similarity search."""
SHOWN_SIDE = 132
"""Pixels of the longer side of the display picture."""
COLOURS = ("#ffb000", "#4aa3e0", "#52d9ae", "#f0a8d0", "#ff8540", "#a3abff", "#e6c34a", "#e79a8c")
"""Colours of the outlines of classes 1, 2 and so on; they repeat after the last."""
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def picture(array: NDArray[np.generic]) -> Bytes:
    """Reduce a case's array (channel, *spatial) to 64 × 64 ranks, 0–255, averaged over the channels.

    A volume is represented by the mean of its middle third along z.
    """
    return pictures(array)[0]


def pictures(array: NDArray[np.generic]) -> tuple[Bytes, Bytes]:
    """Return the `picture` of a case, and that of each of its channels alone, (channel, 64, 64)."""
    pixels = np.asarray(array, dtype=np.float32)
    if array.dtype.kind not in "iub":
        pixels = np.nan_to_num(pixels)
    if pixels.ndim == 4:
        depth = pixels.shape[1]
        pixels = pixels[:, depth // 3 : max(depth // 3 + 1, depth - depth // 3)].mean(axis=1)
    rows, columns = (_shrinking(n) for n in pixels.shape[-2:])
    small = rows @ pixels @ columns.T
    # Ranks and not intensities: a copy with another window or gamma keeps its ranks.
    ranks = np.array([_ranks(channel) for channel in small])
    return _levels(ranks.mean(axis=0)), _levels(ranks)


def _levels(ranks: NDArray[np.float64]) -> Bytes:
    levels: Bytes = np.rint(255 * ranks).astype(np.uint8).reshape(*ranks.shape[:-1], SIDE, SIDE)
    return levels


@lru_cache(maxsize=64)  # one picture is as large as the next
def _shrinking(n: int) -> Floats:
    """Return weights (64, n) of linear interpolation, widened to an average where n is larger than 64."""
    centre, reach = triangle(n, SIDE)
    weight = np.maximum(0.0, 1.0 - np.abs(np.arange(n) - centre[:, None]) / reach)
    shares: Floats = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _ranks(values: Floats) -> NDArray[np.float64]:
    """Return mid-ranks between 0 and 1; equal values share a rank."""
    # Rounded, so that equal pixels stay equal after interpolation, whose rounding errors would otherwise order them.
    flat = np.round(values.ravel(), 4)
    order = np.argsort(flat)  # in no order among equals, which share a rank anyway: half the time of a stable one
    ordered = flat[order]
    begins = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    ends = np.append(begins[1:], len(flat))
    middle = np.empty(len(flat), dtype=np.int64)
    middle[order] = np.repeat(begins + ends - 1, ends - begins)  # first and last place of all equal values
    ranks: NDArray[np.float64] = middle / (2 * max(len(flat) - 1, 1))
    return ranks


def outlined(image: Image) -> NDArray[np.uint8]:
    """Draw the display picture, (height, width, 3): the first channel, of a volume the slice with the largest mask.

    It has the true proportions, at most SHOWN_SIDE pixels high and wide, and a window of the middle 98 % of its values.
    Volumes follow radiological display convention: front on top, the patient's right on the left.
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


def png(pixels: NDArray[np.uint8], *, small: bool = True) -> bytes:
    """Encode a picture (h, w) or (h, w, 3) as PNG; a small file takes about ten times as long."""
    buffer, effort = io.BytesIO(), {"optimize": True} if small else {"compress_level": 1}
    Picture.fromarray(np.ascontiguousarray(pixels.astype(np.uint8))).save(buffer, format="PNG", **effort)
    return buffer.getvalue()


def from_png(file: bytes) -> NDArray[np.uint8]:
    """Decode a PNG file that `png` made."""
    return np.asarray(Picture.open(io.BytesIO(file), formats=("PNG",)))


def _plane(image: Image) -> tuple[NDArray[np.generic], NDArray[np.integer] | None, tuple[float, float]]:
    """Return pixels (y, x), mask and spacing in mm of the plane that is shown."""
    plane, mask = image.array[0], image.mask
    plane = plane.astype(np.uint8) if plane.dtype == bool else plane  # truths cannot be subtracted
    if plane.ndim == 2:
        return plane, mask, (image.spacing_mm[0], image.spacing_mm[1])
    area = np.zeros(len(plane)) if mask is None else (mask > 0).sum(axis=(1, 2))
    z = int(area.argmax()) if area.any() else len(plane) // 2
    spacing = (image.spacing_mm[1], image.spacing_mm[2])
    return plane[z, ::-1, ::-1], None if mask is None else mask[z, ::-1, ::-1], spacing


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, float]) -> tuple[int, int]:
    """Return height and width in pixels with the proportions of the plane in millimetres."""
    extent = np.array(shape) * np.array(spacing_mm)
    height, width = np.maximum(1, np.rint(SHOWN_SIDE * extent / extent.max())).astype(int)
    return int(height), int(width)


def _draw(colour: NDArray[np.uint8], mask: NDArray[np.integer]) -> None:
    """Colour the outermost pixels inside every class."""
    height, width = colour.shape[:2]
    # Nearest voxel: interpolated class numbers would be other classes.
    rows = np.minimum((np.arange(height) + 0.5) * mask.shape[0] / height, mask.shape[0] - 1).astype(int)
    columns = np.minimum((np.arange(width) + 0.5) * mask.shape[1] / width, mask.shape[1] - 1).astype(int)
    shown = np.pad(mask[np.ix_(rows, columns)], 1)
    middle = shown[1:-1, 1:-1]
    neighbours = (shown[:-2, 1:-1], shown[2:, 1:-1], shown[1:-1, :-2], shown[1:-1, 2:])
    edge = np.any([beside != middle for beside in neighbours], axis=0) & (middle > 0)
    palette = np.array([[int(name[k : k + 2], 16) for k in (1, 3, 5)] for name in COLOURS], np.uint8)
    colour[edge] = palette[(middle[edge] - 1) % len(COLOURS)]
