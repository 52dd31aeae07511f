"""Turn an image into arrays for a model, and a model's prediction back onto the image's own grid.

The order never changes: orientation, scale, crop, resample, size, smooth_labels. All numbers come from the protocol
or from the case itself, never from other cases, and the same image gives the same bits.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.errors import ProtocolError
from equipoise.preprocessing import settings as read
from equipoise.preprocessing.geometry import (
    Orientation,
    Places,
    Resampling,
    Shape,
    Window,
    centred_window,
    foreground_window,
    resampling_to,
    towards_ras,
)
from equipoise.preprocessing.intensity import Scale, foreground
from equipoise.preprocessing.labels import Smoothing

Step = Orientation | Window | Resampling
UNIT = Scale()
_STEPS: dict[str, type[Step]] = {kind.__name__.lower(): kind for kind in (Orientation, Window, Resampling)}


@dataclass(frozen=True)
class Record:
    """The geometric steps applied to one image, in order, and its spacing afterwards."""

    steps: tuple[Step, ...]
    spacing_mm: tuple[float, ...]

    def to_json(self) -> str:
        """Return the record as text, for a file beside the prediction."""
        steps = [{"kind": type(step).__name__.lower(), **asdict(step)} for step in self.steps]
        return json.dumps({"steps": steps, "spacing_mm": self.spacing_mm})

    def places_forward(self, places: Places, prepared: Shape) -> Places:
        """Map places (n, axes) of the image's own grid to voxels of the prepared one, of shape `prepared`."""
        for step in self.steps:
            if isinstance(step, Orientation):
                places = step.places_forward(places, self._oriented(prepared))
            else:
                places = step.places_forward(places)
        return places

    def places_back(self, places: Places, prepared: Shape) -> Places:
        """Map places of the prepared grid to voxels of the image's own one: the inverse of `places_forward`."""
        for step in reversed(self.steps):
            if isinstance(step, Orientation):
                places = step.places_back(places, self._oriented(prepared))
            else:
                places = step.places_back(places)
        return places

    def _oriented(self, prepared: Shape) -> Shape:
        """Return the shape after orientation, which precedes all other steps."""
        # An orientation stores no shape; the first later step does, and without one the shape is the prepared one.
        return next((step.before for step in self.steps if not isinstance(step, Orientation)), tuple(prepared))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record that `to_json` wrote."""
        fields = json.loads(text)
        steps = []
        for step in fields["steps"]:
            kind = _STEPS[step.pop("kind")]
            steps.append(kind(**{key: tuple(value) for key, value in step.items()}))
        return cls(tuple(steps), tuple(fields["spacing_mm"]))


@dataclass(frozen=True)
class Prepared:
    """A model's input and target of one case.

    image: float32 (channel, *spatial).
    target: mask (*spatial), soft targets float32 (classes, *spatial), or None where the image has no mask.
    A batch prepared together has one more leading axis in both.
    """

    image: NDArray[np.float32]
    target: NDArray[Any] | None
    record: Record


@dataclass(frozen=True)
class Pipeline:
    """The preprocessing of a protocol, as data.

    crop_margin_mm: margin about the foreground, None for no crop. resample_mm, size: one value for all axes or one
    per spatial axis in array order.
    """

    scale: Scale = UNIT
    crop_margin_mm: float | None = None
    resample_mm: tuple[float, ...] | None = None
    size: tuple[int, ...] | None = None
    smoothing: Smoothing | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Read the protocol's [preprocessing] table; ProtocolError names the key, its value and what is allowed.

        >>> Pipeline.from_settings({"scale": {"window_hu": [-1000, 400]}, "size": 64}).size
        (64,)
        """
        read.check_keys(settings)
        return cls(
            read.read_scale(settings.get("scale", "unit")),
            read.read_crop(settings.get("crop")),
            read.read_resample(settings.get("resample")),
            read.read_size(settings.get("size")),
            read.read_smoothing(settings.get("smooth_labels")),
        )

    def to_json(self) -> str:
        """Return the pipeline as text, saved with the model."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a pipeline that `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            Scale(**fields["scale"]),
            fields["crop_margin_mm"],
            None if fields["resample_mm"] is None else tuple(fields["resample_mm"]),
            None if fields["size"] is None else tuple(fields["size"]),
            None if fields["smoothing"] is None else Smoothing(**fields["smoothing"]),
        )

    @property
    def hard(self) -> "Pipeline":
        """The same pipeline without label smoothing, for the truth that predictions are measured against."""
        return replace(self, smoothing=None)

    def apply(self, image: Image, classes: int | None = None) -> Prepared:
        """Prepare one image; classes: number of soft targets (default: the classes in the mask)."""
        oriented = len(image.spacing_mm) == 3 and image.affine is not None
        orientation = towards_ras(image.affine) if oriented and image.affine is not None else None
        return self._run(image.array, image.mask, image.spacing_mm, orientation, classes)

    def apply_together(self, images: Sequence[Image], classes: int | None = None) -> Prepared:
        """Prepare images of one shape and spacing as a batch: arrays get a leading axis and share one record.

        Only for images without an affine and pipelines without a crop, as `serves_together` checks.
        """
        masks = [image.mask for image in images]
        mask = None if any(m is None for m in masks) else np.stack([m for m in masks if m is not None])
        pixels = np.stack([image.array for image in images])
        return self._run(pixels, mask, images[0].spacing_mm, None, classes)

    def serves_together(self, images: Sequence[Image]) -> bool:
        """Whether the same steps fit all images: one shape and spacing, no orientation, no crop to their content."""
        grids = {(image.array.shape, image.spacing_mm, image.mask is None) for image in images}
        return len(grids) == 1 and self.crop_margin_mm is None and all(image.affine is None for image in images)

    def _run(
        self,
        pixels: NDArray[Any],
        mask: NDArray[Any] | None,
        spacing: tuple[float, ...],
        orientation: Orientation | None,
        classes: int | None,
    ) -> Prepared:
        """Apply all steps to (…, channel, *spatial) pixels and (…, *spatial) masks."""
        steps: list[Step] = []
        if orientation is not None and not orientation.identity:
            steps.append(orientation)
            pixels, spacing = orientation.forward(pixels), orientation.per_axis(spacing)
            mask = None if mask is None else orientation.forward(mask)
        # Scaling precedes the crop and the resampling, so that its statistics are those of the stored voxels.
        pixels = self.scale.apply(pixels, len(spacing))
        for step in self._windows_and_resampling(pixels, spacing):
            steps.append(step)
            pixels, spacing = _moved(step, pixels, spacing)
            mask = None if mask is None else step.forward(mask)
        if mask is not None and self.smoothing is not None:
            n_classes = int(mask.max()) + 1 if classes is None else classes
            mask = self.smoothing.apply(mask, spacing, n_classes)
        target = None if mask is None else np.ascontiguousarray(mask)
        return Prepared(np.ascontiguousarray(pixels), target, Record(tuple(steps), spacing))

    def _windows_and_resampling(
        self, pixels: NDArray[np.float32], spacing: tuple[float, ...]
    ) -> list[Window | Resampling]:
        """List the crop, resampling and size steps of scaled pixels, without those that change nothing."""
        dims = len(spacing)
        shape = pixels.shape[-dims:]
        steps: list[Window | Resampling] = []
        if self.crop_margin_mm is not None:
            inside = np.asarray(foreground(pixels, dims).any(axis=tuple(range(pixels.ndim - dims))))
            margin = [int(np.ceil(self.crop_margin_mm / s)) for s in spacing]
            steps.append(foreground_window(inside, margin))
            shape = steps[-1].after
        if self.resample_mm is not None:
            target = _for_axes("resample", self.resample_mm, dims)
            steps.append(resampling_to(shape, spacing, target))
            shape = steps[-1].after
        if self.size is not None:
            steps.append(centred_window(shape, _for_axes("size", self.size, dims)))
        return [step for step in steps if step.before != step.after]

    def undo(self, prediction: NDArray[Any], record: Record, outside: float | Sequence[float] = 0) -> NDArray[Any]:
        """Bring a prediction (…, *prepared grid) back onto the image's own grid.

        Integer masks stay masks (class by class, the largest share wins); floating maps are interpolated linearly.
        outside: the value where the pipeline had cropped the image, or one per leading index (of class
        probabilities: 1 for background, 0 for the others).
        """
        for step in reversed(record.steps):
            prediction = step.back(prediction, outside) if isinstance(step, Window) else step.back(prediction)
        return np.ascontiguousarray(prediction)


def _for_axes(key: str, values: tuple[Any, ...], dims: int) -> tuple[Any, ...]:
    """Return one value per spatial axis."""
    if len(values) not in (1, dims):
        raise ProtocolError(
            f"preprocessing.{key} = {list(values)!r} is not allowed: the images have {dims} spatial axes, "
            "give one number or one per axis"
        )
    return values * dims if len(values) == 1 else values


def _moved(
    step: Window | Resampling, pixels: NDArray[np.float32], spacing: tuple[float, ...]
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Return pixels and spacing after a step; padding gets the lowest value of each image and channel."""
    # Not zero: after a z-score zero is the mean of the foreground, and a frame of that value would look like tissue.
    dims = len(spacing)
    if isinstance(step, Window):
        return step.forward(pixels, pixels.min(axis=tuple(range(-dims, 0)))), spacing
    spacing = tuple(s * b / a for s, b, a in zip(spacing, step.before, step.after, strict=True))
    return step.forward(pixels), spacing
