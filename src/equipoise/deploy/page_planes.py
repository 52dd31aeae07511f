"""The planes of an image that a page shows: through the finding, turned as radiologists look at them, with outlines.

Volumes with a place in space are shown in radiological convention: the patient's right on the left, front and head on
top, and in sagittal planes the front on the left. Without one the stored order is kept and no side is claimed.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from equipoise.cohorts.case_pictures import COLOURS, png
from equipoise.cohorts.cohort import Image
from equipoise.deploy.contours import contours_of
from equipoise.deploy.predictor import Answer

MOST_PIXELS = 1024
"""Of the longer side of a shown plane; a finer picture is reduced, its outlines are not."""
NEAR_MM = 5.0
"""A candidate is drawn on a plane that is at most this far away."""
OBLIQUE_DEGREES = 15.0
# axis of (z, y, x) that the plane cuts; title; letters of left, right, top, bottom
_VIEWS = ((0, "axial", "RLAP"), (1, "coronal", "RLSI"), (2, "sagittal", "APSI"))
Voxel = tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """A region on a plane: its colour, and an SVG path in pixels, whose corners lie between pixel centres."""

    region: str
    colour: str
    path: str


@dataclass(frozen=True)
class Mark:
    """A candidate on a plane, in pixels from the upper left corner."""

    x: float
    y: float
    score: float


@dataclass(frozen=True)
class ShownPlane:
    """A plane as a page draws it.

    picture: PNG in base64. columns, rows: pixels. width_mm, height_mm: of the whole plane. letters: of left, right, top
    and bottom; empty where no side is known. place: which plane it is, in words. axis: that it cuts; None of a picture.
    """

    title: str
    place: str
    picture: str
    columns: int
    rows: int
    width_mm: float
    height_mm: float
    letters: str
    outlines: tuple[Outline, ...]
    marks: tuple[Mark, ...]
    axis: int | None = None


def finding_of(image: Image, answer: Answer) -> tuple[Voxel, str]:
    """Return the voxel that the planes go through, and what lies there in words.

    It is the likeliest candidate, or the voxel of the smallest region nearest to that region's middle, or the middle of
    the image where nothing was found.
    """
    sides = np.array(image.array.shape[1:])
    if answer.candidates is not None and len(answer.candidates.score):
        best = int(np.argmax(answer.candidates.score))
        voxel = np.clip(np.rint(answer.candidates.centre_mm[best] / np.array(image.spacing_mm)), 0, sides - 1)
        return tuple(voxel.astype(int).tolist()), "through the likeliest candidate"
    present = {name: mask for name, mask in answer.masks.items() if mask.any()}
    if present:
        name = min(present, key=lambda one: int(present[one].sum()))
        voxels = np.argwhere(present[name])
        away = (voxels - voxels.mean(axis=0)) * np.array(image.spacing_mm)
        return tuple(voxels[int((away**2).sum(axis=1).argmin())].tolist()), f"through {name}"
    nothing = "nothing was found; " if answer.masks or answer.candidates is not None else ""
    return tuple((sides // 2).tolist()), f"{nothing}through the middle of the image"


def planes_of(image: Image, answer: Answer, voxel: Voxel) -> list[ShownPlane]:
    """Return the one plane of a picture, or the three planes of a volume through a voxel."""
    if len(image.spacing_mm) == 2:
        return [_plane(image, answer, None, 0, "image", "")]
    known = image.affine is not None
    titles = [view[1] if known else f"across axis {'zyx'[view[0]]}" for view in _VIEWS]
    return [
        _plane(image, answer, axis, voxel[axis], title, letters if known else "")
        for (axis, _, letters), title in zip(_VIEWS, titles, strict=True)
    ]


def obliqueness(image: Image) -> float:
    """Return the largest angle in degrees between an axis of the image and the body's; 0 without a place in space."""
    if image.affine is None:
        return 0.0
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(axes).max(axis=0).min(), 0, 1))))


def _cut(volume: NDArray[np.generic], axis: int | None, index: int, turned: bool) -> NDArray[np.generic]:
    """Return (row, column) of a plane (z, y, x); turned: both against their growing index, for radiologists."""
    plane = volume if axis is None else np.take(volume, index, axis)
    return plane[::-1, ::-1] if turned else plane


def _plane(image: Image, answer: Answer, axis: int | None, index: int, title: str, letters: str) -> ShownPlane:
    turned = bool(letters)
    colour = axis is None and len(image.array) == 3
    levels = [_levels(channel, axis, index, turned) for channel in image.array[: 3 if colour else 1]]
    pixels = np.stack(levels, -1) if colour else levels[0]
    rows, columns = pixels.shape[:2]
    heights = [mm for k, mm in enumerate(image.spacing_mm) if k != axis]
    return ShownPlane(
        title=title,
        place="" if axis is None else f"plane {index + 1} of {image.array.shape[1 + axis]}",
        picture=base64.b64encode(png(_reduced(pixels), small=False)).decode(),
        columns=columns,
        rows=rows,
        width_mm=columns * heights[1],
        height_mm=rows * heights[0],
        letters=letters,
        outlines=_outlines(answer.masks, axis, index, turned),
        marks=_marks(image, answer, axis, index, (rows, columns), turned),
        axis=axis,
    )


def _levels(channel: NDArray[np.generic], axis: int | None, index: int, turned: bool) -> NDArray[np.uint8]:
    """Return a plane as grey levels: a window over nearly all of the channel's values, for all planes."""
    finite = channel[np.isfinite(channel)]
    # Not the middle 98 %, as small pictures have: a small bright finding would look like what is around it.
    low, high = np.percentile(finite, [0.1, 99.9]) if finite.size else (0.0, 1.0)
    plane = np.nan_to_num(_cut(channel, axis, index, turned).astype(np.float64))
    levels: NDArray[np.uint8] = np.rint(255 * np.clip((plane - low) / ((high - low) or 1.0), 0, 1)).astype(np.uint8)
    return levels


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = pixels.shape[:2]
    share = MOST_PIXELS / max(rows, columns)
    if share >= 1:
        return pixels
    size = (max(1, round(columns * share)), max(1, round(rows * share)))
    return np.asarray(Picture.fromarray(np.ascontiguousarray(pixels)).resize(size, Picture.Resampling.BOX))


def _outlines(
    masks: Mapping[str, NDArray[np.bool_]], axis: int | None, index: int, turned: bool
) -> tuple[Outline, ...]:
    shown = []
    for number, (name, mask) in enumerate(masks.items()):
        contours = contours_of(_cut(mask, axis, index, turned).astype(bool))
        if contours:
            shown.append(Outline(name, COLOURS[number % len(COLOURS)], " ".join(map(_path, contours))))
    return tuple(shown)


def _path(points: NDArray[np.float64]) -> str:
    # Pixel centres lie at halves in a picture whose corner is 0.
    return "M" + "L".join(f"{column + 0.5:g} {row + 0.5:g}" for row, column in points.tolist()) + "Z"


def _marks(
    image: Image, answer: Answer, axis: int | None, index: int, sides: Sequence[int], turned: bool
) -> tuple[Mark, ...]:
    if answer.candidates is None:
        return ()
    marks, spacing = [], np.array(image.spacing_mm)
    for centre, score in zip(answer.candidates.centre_mm, answer.candidates.score, strict=True):
        if axis is not None and abs(centre[axis] - index * spacing[axis]) > max(NEAR_MM, spacing[axis] / 2):
            continue
        row, column = np.delete(centre / spacing, [] if axis is None else axis)
        if turned:
            row, column = sides[0] - 1 - row, sides[1] - 1 - column
        marks.append(Mark(float(column) + 0.5, float(row) + 0.5, float(score)))
    return tuple(marks)
