"""Sizes, spacings and mask values of a few images of a source, for a first protocol; nothing is checked yet."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.reading import read_stored
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.layouts.array_rows import image_rows
from equipoise.cohorts.layouts.mask_values import whole_values
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.cohorts.layouts.volumes import probe
from equipoise.errors import CohortError
from equipoise.tasks import task_named

MOST_VALUES = 32
"""A mask with more values than this was compressed with losses, or is no mask."""
LIDC_CUBE = 48  # voxels a side that `lidc` cuts around a nodule


@dataclass(frozen=True)
class FirstLook:
    """Sizes in voxels and spacings in mm, each (images, axes); axes: what the source must be told of an array's."""

    shapes: NDArray[np.int64]
    spacings: NDArray[np.float64]
    axes: str | None = None

    @property
    def dims(self) -> int:
        """Spatial dimensions."""
        return int(self.shapes.shape[1])

    @property
    def one_size(self) -> bool:
        """Whether all images have as many voxels along every axis."""
        return bool((self.shapes == self.shapes[0]).all())

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """The median spacing along every axis."""
        middle: NDArray[np.float64] = np.median(self.spacings, axis=0)
        return middle

    @property
    def one_spacing(self) -> bool:
        """Whether all spacings are within 2 % of the median."""
        return bool(np.allclose(self.spacings, self.spacing_mm, rtol=0.02))

    @property
    def size(self) -> NDArray[np.float64]:
        """The median extent in voxels of the median spacing."""
        extent: NDArray[np.float64] = np.median(self.shapes * self.spacings, axis=0) / self.spacing_mm
        return extent


def first_look(path: Path, layout: Recognised) -> FirstLook:
    """What the images that `recognise` names, or the array at `path`, look like.

    Files that cannot be read are passed over: `equipoise check` names them. Images of which no file is named are taken
    for the cubes that `lidc` cuts.
    """
    if layout.source in ("medmnist", "arrays"):
        return _of_array(path, layout)
    scans = [scan for scan in map(_probed, layout.images) if scan is not None]
    scans = [scan for scan in scans if len(scan.spacing_mm) == len(scans[0].spacing_mm)]
    if not scans:
        return FirstLook(np.full((1, 3), LIDC_CUBE), np.ones((1, 3)))
    dims = len(scans[0].spacing_mm)
    shapes = np.array([scan.array.shape[-dims:] for scan in scans], np.int64)
    return FirstLook(shapes, np.array([scan.spacing_mm for scan in scans]))


def _of_array(path: Path, layout: Recognised) -> FirstLook:
    images = image_rows(path, "images" if layout.source == "arrays" else "train_images")
    flat = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)
    shape = images.shape[1:3] if flat else images.shape[1:4]
    unclear = layout.source == "arrays" and not flat
    return FirstLook(np.array([shape], np.int64), np.ones((1, len(shape))), "nzyx" if unclear else None)


def _probed(file: Path) -> Scan | None:
    try:
        return probe(file)
    except RefusedFile:
        return None


def mask_classes(layout: Recognised) -> dict[str, Any]:
    """The settings `classes` and, where masks do not store 0, 1, 2 …, `values` of a source that must be told; else
    nothing.

    Raises CohortError where the masks hold too many values to be classes.
    """
    if not task_named(layout.task).has_masks or not (layout.needs_classes or layout.source == "manifest"):
        return {}
    # Background is a class also where all masks that were looked at are filled to the edge.
    values = sorted(_stored_values(layout.masks) | {0})
    if values[0] < 0:
        raise CohortError(
            f"the mask {layout.masks[0]} or others hold {values[0]}, which may mean background or not labelled; run "
            f"`equipoise init manifest` and say what it is with cohort.classes and cohort.values = {values}"
        )
    if len(values) > MOST_VALUES:
        raise CohortError(
            f"the mask {layout.masks[0]} and others hold {len(values)} values, which are no classes; save one whole "
            "number per class, without lossy compression"
        )
    names = {"classes": ["background", *(f"label {value}" for value in values[1:])]}
    return names if values == list(range(len(values))) else names | {"values": values}


def _stored_values(files: Sequence[Path]) -> set[int]:
    """Return all values of the masks; palettes of greys are read as the others store them."""
    masks = []
    for file in files:
        with suppress(RefusedFile):  # `equipoise check` names them
            masks.append((file, read_stored(file)))
    # Masks without a palette come first, for their values decide whether a palette's indices or its greys are meant.
    plain = [mask for mask in masks if "grey_palette" not in mask[1].header]
    values = _values_of(plain, None)
    return values | _values_of([mask for mask in masks if "grey_palette" in mask[1].header], values if plain else None)


def _values_of(masks: Sequence[tuple[Path, Scan]], known: set[int] | None) -> set[int]:
    values: set[int] = set()
    for file, scan in masks:
        with suppress(RefusedFile):
            # The values are rounded exactly as the reader rounds: truncation made 0 of the 0.9999999998 that nibabel
            # writes for a label map of int32 with a slope, and `init` lost a class.
            values |= set(np.unique(whole_values(scan, file, known)[0]).tolist())
    return values
