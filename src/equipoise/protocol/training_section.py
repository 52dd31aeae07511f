"""The protocol's tables of training and inference: one budget, equal for every arm."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from equipoise.errors import ProtocolError
from equipoise.protocol.sections import Named, Positive, Section, one_of, tuples
from equipoise.tasks import LOSSES, Task

Share = Annotated[float, Field(ge=0, le=1)]
Axis = Literal["horizontal", "vertical", "depth"]
DICE_LOSSES = ("dice", "dice-cross-entropy", "boundary")
_LATER = ("average_last", "deep_supervision", "gradient_checkpointing", "dice")
"""Keys of [training] that came later."""
FROM_THE_LAST: dict[Axis, int] = {"horizontal": 1, "vertical": 2, "depth": 3}
"""Position of an image axis, counted from the last one."""


class Schedule(Named):
    """The learning-rate schedule; further keys are its settings, as shares of all updates."""

    name: Literal["constant", "cosine", "poly", "one-cycle", "step", "warm-up", "plateau"]


class DiceSection(Section):
    """How the Dice of a loss is averaged.

    over: "batch" pools the voxels of all patches of a batch, "case" takes the Dice of every patch by itself. absent:
    a class without a voxel of truth there is "counted", as 1 where nothing is predicted and near 0 else, or "left-out"
    of the mean, so that cross-entropy alone teaches that nothing is there. background: whether it is a class, too.
    """

    over: Literal["batch", "case"] = "batch"
    absent: Literal["counted", "left-out"] = "counted"
    background: bool = True


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
    ema: decay of the moving average of the weights, which is validated and kept in their place. average_last: the mean
    of the weights at the ends of the last so many epochs is, from the first of them on.
    deep_supervision: coarser maps of a segmenter are trained as well; they have no part in its answers.
    gradient_checkpointing: maps within a network's blocks are computed again for the gradient in place of being kept.
    sampling: "balanced" draws all classes equally often; of masks, the rarest class that a case shows counts. mixup:
    alpha of the Beta distribution of the weights with which pairs of images, and their classes, are mixed; it needs one
    label per case.
    dice: how the Dice of a loss is averaged.
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
    average_last: Positive | None = None
    deep_supervision: bool = False
    gradient_checkpointing: bool = False
    dice: DiceSection = DiceSection()
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

    def updates_of(self, cases: int, spatial_dims: int) -> int:
        """Return the number of updates of a whole training on so many training cases."""
        per_case = self.patches_per_case if self.patch_of(spatial_dims) else 1
        return self.epochs * math.ceil(cases * per_case / (self.batch_size * self.accumulate))

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

    @model_serializer(mode="wrap")
    def _without_what_is_not_stated(self, plan: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A plan without these keys keeps the form, and the hash, that it had before they could be stated."""
        values: dict[str, Any] = plan(self)
        unset = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        return {key: value for key, value in values.items() if key not in unset}

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.average_last is None:
            return self
        if self.ema is not None:
            raise ValueError("ema and average_last would both average the weights; leave one out")
        if self.average_last > self.epochs:
            raise ValueError(
                f"average_last = {self.average_last} is more than the number of epochs ({self.epochs}); lower it"
            )
        if self.patience is not None:
            raise ValueError(
                "average_last averages the last epochs, and with patience the last epoch is not known; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _plain_arithmetic_to_repeat(self) -> Self:
        if self.gradient_checkpointing and self.compile is not False:
            raise ValueError("gradient_checkpointing and compile cannot be combined; set one of them to false")
        return self

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
        return self._complaint_of_masks(task) or self._complaint_of_classes(task)

    def _complaint_of_masks(self, task: Task) -> str | None:
        """Return which setting needs masks, or a Dice, that task or loss lack; None where none does."""
        if self.deep_supervision and not task.has_masks:
            return f"training.deep_supervision trains on coarser masks, and {task.name} has none; remove it"
        if self.dice == DiceSection():
            return None
        if self.loss not in DICE_LOSSES:
            return (
                f"training.dice sets the Dice term of a loss, and {self.loss!r} has none; choose {_either(DICE_LOSSES)}"
            )
        if not self.dice.background and self.targets == "regions":
            return 'training.dice.background: with targets = "regions" there is no background; leave it out'
        return None

    def _complaint_of_classes(self, task: Task) -> str | None:
        """Return which setting needs classes that the task, or its targets, lack; None where none does."""
        if self.class_weights == "balanced" and not (task.has_labels or task.has_masks):
            return f"training.class_weights weighs classes, and {task.name} has none; remove it"
        if self.class_weights == "balanced" and self.targets == "regions":
            return 'training.class_weights weighs classes; with targets = "regions" leave it "none"'
        if self.mixup is not None and not task.has_labels:
            return f"training.mixup mixes the labels of cases, and {task.name} has none; remove it"
        if self.sampling == "balanced" and not (task.has_labels or task.has_masks):
            return f'training.sampling = "balanced" needs labels or masks, and {task.name} has none; remove it'
        return None


def _either(names: Sequence[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)


class InferenceSection(Section):
    """How a trained model predicts.

    overlap: of sliding windows, as a share of a patch. mirror: axes of test-time mirroring, whose predictions are
    averaged over all combinations; true means all of the image's axes, "trained" those of augmentation.flip.
    missing_modalities: also predict the test cases with each channel blank, and report the loss of performance.
    candidate_threshold: lowest probability of a detector's candidate; it is low, because the score orders candidates.
    apart_mm: with targets = "centres", the smallest distance between two candidates.
    """

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mirror: bool | Literal["trained"] | tuple[Axis, ...] = False
    missing_modalities: bool = False
    candidate_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.1
    apart_mm: Annotated[float, Field(gt=0)] = 5.0

    _arrays = tuples("mirror")

    def mirror_axes(self, spatial_dims: int) -> tuple[int, ...]:
        """Return the spatial axes to mirror, in array order (z, y, x)."""
        if self.mirror == "trained":
            raise ProtocolError(
                'inference.mirror = "trained" stands for the flip axes of a protocol; read a protocol first'
            )
        if isinstance(self.mirror, bool):
            return tuple(range(spatial_dims)) if self.mirror else ()
        if "depth" in self.mirror and spatial_dims < 3:
            raise ProtocolError('inference.mirror names "depth", an axis that 2D images do not have; remove it')
        # Counted from the last axis, so that "vertical" is the same direction of the picture in two and three
        # dimensions.
        return tuple(sorted({spatial_dims - FROM_THE_LAST[axis] for axis in self.mirror}))

    def mirrored_as(self, flips: object) -> Self:
        """Return the section with the axes of augmentation.flip in place of mirror = "trained"."""
        if self.mirror != "trained":
            return self
        if not flips or not isinstance(flips, list | tuple):
            raise ValueError(
                'inference.mirror = "trained" mirrors what training mirrored, and augmentation.flip names no axis; '
                "name some, or leave mirror out"
            )
        return self.model_copy(update={"mirror": tuple(flips)})
