"""The range of images that a network was trained on, and whether a new image lies outside it.

Ranges over the training cases are widened a little, because the next honest image is rarely inside the exact range of
a sample: spacing by a tenth, sides and intensities by a quarter. Beyond that nothing in the trial speaks for an answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from equipoise.cohorts.case_cards import levels_of
from equipoise.cohorts.cohort import Image
from equipoise.cohorts.formats.dicom_geometry import TILT_DEGREES

SPACING_ROOM, SIDE_ROOM, LEVEL_ROOM = 0.1, 0.25, 0.25
LEVELS = ("1st percentile", "median", "99th percentile")
AXES = "zyx"


def limits_of(images: Iterable[Image]) -> dict[str, Any]:
    """Return the ranges over training images: spacing, sides, and three percentiles of every channel.

    `sheared` is there, and true, where the axes of a training image are not at right angles.
    """
    spacings, sides, levels, sheared = [], [], [], False
    for image in images:
        sheared = sheared or shear_degrees(image) > 0
        spacings.append(image.spacing_mm)
        sides.append(image.array.shape[1:])
        levels.append([levels_of(channel) for channel in image.array])
    ranges = {
        "cases": len(spacings),
        "spacing_mm": _range(spacings),
        "sides": _range(sides),
        "levels": _range(levels),
    }
    return ranges | ({"sheared": True} if sheared else {})


def shear_degrees(image: Image) -> float:
    """Return by how many degrees two axes of a volume are off the right angle; 0 where it is too little to matter.

    The limits are those of a DICOM series with a tilted gantry: half a degree, and half a voxel from the first to the
    last plane. A shear makes volumes and distances wrong, which are computed from spacings alone.
    """
    if image.affine is None or len(image.spacing_mm) != 3:
        return 0.0
    lengths = np.linalg.norm(image.affine[:3, :3], axis=0)
    cosines = np.abs((image.affine[:3, :3] / lengths).T @ (image.affine[:3, :3] / lengths))
    np.fill_diagonal(cosines, 0.0)
    extent = lengths * (np.array(image.array.shape[:0:-1]) - 1)
    drift = cosines * extent[:, None]  # of the row's axis along the column's
    degrees = np.degrees(np.arcsin(np.clip(cosines, 0.0, 1.0)))
    seen = (degrees > TILT_DEGREES) & (drift > 0.5 * lengths)
    return float(degrees[seen].max()) if seen.any() else 0.0


def _range(values: Sequence[Any]) -> dict[str, Any]:
    table = np.array(values)
    return {"low": table.min(axis=0).tolist(), "high": table.max(axis=0).tolist()}


def outside(limits: Mapping[str, Any], image: Image, channels: Sequence[str]) -> list[str]:
    """Return a sentence for each property of the image that lies outside the training range; empty where none does.

    An image, or a channel, of one value only lies outside every range.
    """
    axes = AXES[-len(image.spacing_mm) :]
    return [
        *_constant(image, channels),
        *_spacing(limits["spacing_mm"], image, axes),
        *_sides(limits["sides"], image, axes),
        *_levels(limits["levels"], image, channels),
    ]


def _constant(image: Image, channels: Sequence[str]) -> list[str]:
    """Tell of channels of one value: percentiles of an empty image may well lie among those of training images."""
    names = ["the image"] if len(channels) == 1 else channels
    pairs = zip(names, image.array, strict=True)
    return [f"{name} is constant ({each.flat[0]:g} everywhere)" for name, each in pairs if each.min() == each.max()]


def _spacing(limit: Mapping[str, Any], image: Image, axes: str) -> list[str]:
    rows = zip(axes, image.spacing_mm, limit["low"], limit["high"], strict=True)
    return [
        f"spacing along {axis} is {value:g} mm, in training {low:g} to {high:g}"
        for axis, value, low, high in rows
        if not low * (1 - SPACING_ROOM) <= value <= high * (1 + SPACING_ROOM)
    ]


def _sides(limit: Mapping[str, Any], image: Image, axes: str) -> list[str]:
    rows = zip(axes, image.array.shape[1:], limit["low"], limit["high"], strict=True)
    return [
        f"{value} {'voxels' if len(axes) == 3 else 'pixels'} along {axis}, in training {low} to {high}"
        for axis, value, low, high in rows
        if not low * (1 - SIDE_ROOM) <= value <= high * (1 + SIDE_ROOM)
    ]


def _levels(limit: Mapping[str, Any], image: Image, channels: Sequence[str]) -> list[str]:
    sentences = []
    for name, channel, lows, highs in zip(channels, image.array, limit["low"], limit["high"], strict=True):
        room = LEVEL_ROOM * (max(highs) - min(lows))
        for level, value, low, high in zip(LEVELS, levels_of(channel), lows, highs, strict=True):
            if not low - room <= value <= high + room:
                sentences.append(f"the {level} of {name} is {value:g}, in training {low:g} to {high:g}")
    return sentences
