"""Sizes, spacings and mask values of a few images of a source, for a first protocol; nothing is checked yet."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.reading import read_stored
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.grids import Grids
from equipoise.cohorts.layouts.array_rows import AXES, axes_of, image_rows
from equipoise.cohorts.layouts.mask_values import whole_values
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.cohorts.layouts.volumes import probe
from equipoise.errors import CohortError
from equipoise.tasks import task_named

MOST_VALUES = 32
"""A mask with more values than this was compressed with losses, or is no mask."""
_WHITE = 255
_ENOUGH_MASKS, _STRAY_SHARE = 10, 0.05
"""Masks from which it can be told that a value is rare, and the share of them up to which it is."""
_MOST_CHANNELS = 4
LIDC_CUBE = 48  # voxels a side that `lidc` cuts around a nodule


@dataclass(frozen=True)
class FirstLook(Grids):
    """Sizes in voxels and spacings in mm, each (images, axes); axes: what the source must be told of an array's."""

    shapes: NDArray[np.int64]
    spacings: NDArray[np.float64]
    axes: str | None = None

    @property
    def size(self) -> NDArray[np.float64]:
        """The median extent in voxels of the median spacing."""
        return self.extent(self.spacing_mm)


def first_look(path: Path, layout: Recognised, axes: str | None = None) -> FirstLook:
    """What the images that `recognise` names, or the array at `path`, look like.

    axes: what the user says of an array's axes, see `array_rows.AXES`; CohortError asks where its shape leaves a doubt.
    Files that cannot be read are passed over: `equipoise check` names them. Images of which no file is named are taken
    for the cubes that `lidc` cuts.
    """
    if layout.source in ("medmnist", "arrays"):
        return _of_array(path, layout, axes)
    scans = [scan for scan in map(_probed, layout.images) if scan is not None]
    scans = [scan for scan in scans if len(scan.spacing_mm) == len(scans[0].spacing_mm)]
    if not scans:
        return FirstLook(np.full((1, 3), LIDC_CUBE), np.ones((1, 3)))
    dims = len(scans[0].spacing_mm)
    shapes = np.array([scan.array.shape[-dims:] for scan in scans], np.int64)
    return FirstLook(shapes, np.array([scan.spacing_mm for scan in scans]))


def _of_array(path: Path, layout: Recognised, axes: str | None) -> FirstLook:
    key = str(layout.settings.get("images", "images")) if layout.source == "arrays" else "train_images"
    images = image_rows(path, key)
    meaning = axes_of(images, axes or _likely_axes(images.shape, key, path), key)
    shape = [images.shape[index] for index, letter in enumerate(meaning) if letter in "zyx"]
    unclear = layout.source == "arrays" and not (images.ndim == 3 or meaning == "nyxc")
    return FirstLook(np.array([shape], np.int64), np.ones((1, len(shape))), meaning if unclear else None)


def _likely_axes(shape: Sequence[int], key: str, path: Path) -> str:
    """Return the axes of an array of images; CohortError asks where channels and slices cannot be told apart."""
    if len(shape) == 3:
        return "nyx"
    if len(shape) == 4 and shape[-1] == 3:
        return "nyxc"
    # torch keeps pictures as (n, 3, y, x) and Keras grey ones as (n, y, x, 1). Both were taken for volumes of 3 slices
    # or of a single voxel along x, and no later step can notice that.
    if len(shape) == 4 and min(shape[1], shape[-1]) > _MOST_CHANNELS:
        return "nzyx"
    fitting = ", ".join(axes for axes in AXES if len(axes) == len(shape))
    if not fitting:
        raise CohortError(f"{path} has an array {key!r} of shape {tuple(shape)}; give one of 3 to 5 axes, cases first.")
    raise CohortError(
        f"{path} has an array {key!r} of shape {tuple(shape)}, in which channels and slices cannot be told apart; say "
        f"what its axes are, such as `equipoise init {quote(str(path))} --set axes={_shown_axes(shape)}` "
        f"(n case, c channel; known are {fitting})."
    )


def _shown_axes(shape: Sequence[int]) -> str:
    last = shape[-1] < shape[1]
    return {4: "nyxc" if last else "ncyx", 5: "nzyxc" if last else "nczyx"}[len(shape)]


def _probed(file: Path) -> Scan | None:
    try:
        return probe(file)
    except RefusedFile:
        return None


def mask_classes(
    layout: Recognised, user_settings: Mapping[str, Any] | None = None, data: str | Path = "DATA"
) -> dict[str, Any]:
    """The settings `classes` and, where masks do not store 0, 1, 2 …, `values` of a source that must be told; else
    nothing.

    user_settings: with `classes` and `values` there is nothing to ask. data: where it lies, for commands in messages.
    Raises CohortError where the masks hold too many values to be classes, or values that leave a doubt.
    """
    if not task_named(layout.task).has_masks or not (layout.needs_classes or layout.source == "manifest"):
        return {}
    if {"classes", "values"} <= set(user_settings or {}):
        return {}
    # Background is a class also where all masks that were looked at are filled to the edge.
    held = _stored_values(layout.masks)
    stored = set(held)
    values = sorted(stored | {0})
    if values[0] < 0:
        raise CohortError(
            f"the mask {layout.masks[0]} or others hold {values[0]}, which may mean background or not labelled; say "
            f"what each value is, background first: {_stating(data, sorted(stored))}."
        )
    if len(values) > MOST_VALUES:
        raise CohortError(
            f"the mask {layout.masks[0]} and others hold {len(values)} values, which are not classes; save one whole "
            "number per class, without lossy compression"
        )
    # 0, 1 and 255: the border that VOC does not judge, or files of which some store the same class as 255. As a class
    # of its own it would be trained on and judged without a word.
    if len(values) > 2 and values == [*range(len(values) - 1), _WHITE]:
        raise CohortError(
            f"the masks {layout.masks[0]} and others hold {', '.join(map(str, values))}: {_WHITE} may mean not "
            f"labelled, or in some files what others store as {values[-2]}; correct the masks, or if it is a class of "
            f"its own say so: {_stating(data, values)}."
        )
    _ask_about_strays(held, values, layout.masks[0], data)
    names = {"classes": class_names_of(values)}
    return names if values == list(range(len(values))) else names | {"values": values}


def class_names_of(values: Sequence[int]) -> list[str]:
    """Return names of classes that nothing names, background first.

    >>> class_names_of([0, 255]), class_names_of([0, 1, 2])
    (['background', 'foreground'], ['background', 'label 1', 'label 2'])
    """
    return ["background", *(["foreground"] if len(values) == 2 else [f"label {value}" for value in values[1:]])]


def _ask_about_strays(held: Mapping[int, int], values: Sequence[int], file: Path, data: str | Path) -> None:
    """Ask where few masks hold a value beside those of all others, and the values do not count 0, 1, 2 …

    held: value → number of masks that hold it. A class 128 beside 0 and 255, of a single mask, was trained on and
    judged as a structure of its own. Classes counted 0, 1, 2 … may be rare, which `check` says.
    """
    masks = max(held.values(), default=0)
    most = max(1, int(_STRAY_SHARE * masks))
    rare = [value for value in values if value and held.get(value, 0) <= most]
    usual = [value for value in values if value not in rare]
    if masks < _ENOUGH_MASKS or not rare or len(usual) < 2 or list(values) == list(range(len(values))):
        return
    shown = ", ".join(f"{value} in {held[value]} of {masks}" for value in rare[:4])
    raise CohortError(
        f"the masks in {file.parent} hold {', '.join(map(str, values))}, and some of these values hardly occur: "
        f"{shown} masks that were looked at. Stray values are no classes: correct these masks, or state the usual "
        f"values, {_stating(data, usual)}, after which `equipoise check` names the masks with others; if each value is "
        f"a class of its own, {_stating(data, values)}."
    )


def _stating(data: str | Path, values: Sequence[int]) -> str:
    """The command that gives stored values their classes."""
    names = ", ".join(f'"{name}"' for name in class_names_of(values))
    return f"`equipoise init {quote(str(data))} --set classes='[{names}]' --set values='{list(values)}'`"


def _stored_values(files: Sequence[Path]) -> Counter[int]:
    """Return how many masks hold each value; palettes of greys are read as the others store them."""
    masks = []
    for file in files:
        with suppress(RefusedFile):  # `equipoise check` names them
            masks.append((file, read_stored(file)))
    # Masks without a palette come first, for their values decide whether a palette's indices or its greys are meant.
    plain = [mask for mask in masks if "grey_palette" not in mask[1].header]
    held = _values_of(plain, None)
    return held + _values_of([mask for mask in masks if "grey_palette" in mask[1].header], set(held) if plain else None)


def _values_of(masks: Sequence[tuple[Path, Scan]], known: set[int] | None) -> Counter[int]:
    held = Counter[int]()
    for file, scan in masks:
        with suppress(RefusedFile):
            # The values are rounded exactly as the reader rounds: truncation made 0 of the 0.9999999998 that nibabel
            # writes for a label map of int32 with a slope, and `init` lost a class.
            held.update(np.unique(whole_values(scan, file, known)[0]).tolist())
    return held
