"""The protocol's tables of training and inference: one budget, equal for every arm."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from equipoise.errors import ProtocolError
from equipoise.protocol.sections import Named, Positive, Section, one_of, tuples
from equipoise.tasks import LOSSES, Task

Share = Annotated[float, Field(ge=0, le=1)]
Axis = Literal["horizontal", "vertical", "depth"]
FROM_THE_LAST: dict[Axis, int] = {"horizontal": 1, "vertical": 2, "depth": 3}
"""Position of an image axis, counted from the last one."""


class Schedule(Named):
    """The learning-rate schedule; further keys are its settings, as shares of all updates."""

    name: Literal["constant", "cosine", "poly", "one-cycle", "step", "warm-up", "plateau"]


class TrainingSection(Section):
    """The equal budget of every arm.

    epochs: passes over the training cases. seeds: training runs of each arm; three or more for a verdict about methods.
    schedule: of the learning rate; a bare name has its usual settings, shares of all updates.
    class_weights: "balanced" weighs all classes the same in the loss. clip_norm: longest gradient, over all weights of
    an update.
    batch_size: cases (or patches) per forward pass. accumulate: batches per update, so that an update averages over
    batch_size × accumulate cases; batch normalisation still sees batch_size of them.
    threads: CPU threads per job; they affect the result (sums are ordered by thread), so there is no automatic value.
    loss: a built-in one, or one that the user's own task names.
    precision, compile: the arithmetic of every arm; "auto" is chosen by a short measurement before training, for all
    arms at once, and recorded.
    select: the criterion that selects the epoch on validation cases. patience: epochs without improvement after which a
    job ends.
    ema: decay of the moving average of the weights, which is validated and kept in their place.
    sampling: "balanced" draws all classes equally often. mixup: alpha of the Beta distribution of the weights with
    which pairs of images, and their classes, are mixed. Both need one label per case.
    shared_seeds: a seed means the same initial weights and order of cases in every arm; all arms must have one model.
    patch: size in voxels of training patches of images with masks, one number or one per axis; None uses whole images.
    patches_per_case: per epoch; foreground_patches: share of patches placed around a foreground voxel.
    targets: with "regions" the model predicts each of the cohort's overlapping regions separately (sigmoid). In
    detection "classes" are the masks of the findings, "centres" soft spots at their centres.
    """

    epochs: Positive = 12
    batch_size: Positive = 32
    accumulate: Positive = 1
    loss: str = "cross-entropy"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    select: Literal["loss", "primary"] = "loss"
    patience: Positive | None = None
    schedule: Schedule = Schedule(name="constant")
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    compile: bool | Literal["auto"] = False
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Literal["natural", "balanced"] = "natural"
    mixup: Annotated[float, Field(gt=0)] | None = None
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    threads: Positive = 1
    shared_seeds: bool = False
    patch: Positive | tuple[Positive, ...] | None = None
    patches_per_case: Positive = 1
    foreground_patches: Share = 0.33
    targets: Literal["classes", "regions", "centres"] = "classes"

    @property
    def is_open(self) -> bool:
        """Whether a value is still "auto", to be chosen by a measurement."""
        return "auto" in (self.precision, self.compile)

    def patch_of(self, spatial_dims: int) -> tuple[int, ...] | None:
        """Return the size of a patch along each spatial axis; None where whole images are used."""
        if self.patch is None:
            return None
        sides = (self.patch,) * spatial_dims if isinstance(self.patch, int) else self.patch
        if len(sides) != spatial_dims:
            raise ProtocolError(
                f"training.patch = {list(sides)} is not allowed: the images have {spatial_dims} spatial axes, "
                "give one number or one per axis"
            )
        return sides

    _arrays = tuples("seeds", "patch")

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        # Random generators refuse negative seeds, and a repeated seed would count one training run twice.
        if len(set(value)) < len(value) or min(value) < 0:
            raise ValueError("seeds must be different whole numbers from 0 up")
        return value

    @field_validator("loss")
    @classmethod
    def _known(cls, value: str) -> str:
        return value if ":" in value else one_of(value, LOSSES)

    @model_validator(mode="after")
    def _balanced_once(self) -> Self:
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                'sampling = "balanced" with class_weights = "balanced" would correct the class shares twice; choose one'
            )
        return self

    def complaint(self, task: Task) -> str | None:
        """Return why the settings do not fit the task (loss, targets, or a truth it lacks); None where they fit."""
        if self.loss not in task.losses:
            return f"training.loss {self.loss!r} is not for {task.name}; choose {_either(task.losses)}"
        if not task.has_masks and (self.targets != "classes" or self.patch is not None):
            return f"training.targets and training.patch need masks; remove them in {task.name}"
        if self.targets not in task.targets:
            return f'training.targets = "{self.targets}" is not for {task.name}; choose {_either(task.targets)}'
        return self._complaint_of_classes(task)

    def _complaint_of_classes(self, task: Task) -> str | None:
        """Return which setting needs classes that the task, or its targets, lack; None where none does."""
        if self.class_weights == "balanced" and not (task.has_labels or task.has_masks):
            return f"training.class_weights weighs classes, and {task.name} has none; remove it"
        if self.class_weights == "balanced" and self.targets == "regions":
            return 'training.class_weights weighs classes; with targets = "regions" leave it "none"'
        if self.mixup is not None and not task.has_labels:
            return f"training.mixup mixes the labels of cases, and {task.name} has none; remove it"
        if self.sampling == "balanced" and not task.has_labels:
            patches = "; training.patch with training.foreground_patches sees to rare structures"
            return (
                f'training.sampling = "balanced" needs one label a case, and {task.name} has none'
                f"{patches if task.has_masks else '; remove it'}"
            )
        return None


def _either(names: Sequence[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)


class InferenceSection(Section):
    """How a trained model predicts.

    overlap: of sliding windows, as a share of a patch. mirror: axes of test-time mirroring, whose predictions are
    averaged over all combinations; true means all of the image's axes. missing_modalities: also predict the test cases
    with each channel blank, and report the loss of performance.
    candidate_threshold: lowest probability of a detector's candidate; it is low, because the score orders candidates.
    apart_mm: with targets = "centres", the smallest distance between two candidates.
    """

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mirror: bool | tuple[Axis, ...] = False
    missing_modalities: bool = False
    candidate_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.1
    apart_mm: Annotated[float, Field(gt=0)] = 5.0

    _arrays = tuples("mirror")

    def mirror_axes(self, spatial_dims: int) -> tuple[int, ...]:
        """Return the spatial axes to mirror, in array order (z, y, x)."""
        if isinstance(self.mirror, bool):
            return tuple(range(spatial_dims)) if self.mirror else ()
        if "depth" in self.mirror and spatial_dims < 3:
            raise ProtocolError('inference.mirror names "depth", which images in two dimensions do not have; remove it')
        # Counted from the last axis, so that "vertical" is the same direction of the picture in two and three
        # dimensions.
        return tuple(sorted({spatial_dims - FROM_THE_LAST[axis] for axis in self.mirror}))
