"""What a protocol says of training and inference: one budget, the same for every arm."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from equipoise.errors import ProtocolError
from equipoise.sections import Positive, Section

Share = Annotated[float, Field(ge=0, le=1)]


class TrainingSection(Section):
    """The equal budget of every arm.

    threads: CPU threads of one job; part of the result (sums are ordered by thread), so it is not guessed.
    select: what picks the epoch on validation cases.
    shared_seeds: a seed means the same initial weights and order of cases in every arm, which must have one model.
    patch: size in voxels of training patches of images with masks, one number or one per axis; None takes whole
    images. patches_per_case: of each case in an epoch; foreground_patches: share of them about a foreground voxel.
    targets: "regions" has the model answer each of the cohort's overlapping regions by itself (sigmoid).
    """

    epochs: Positive = 12
    batch_size: Positive = 32
    loss: Literal["cross-entropy", "dice", "dice-cross-entropy", "focal", "boundary"] = "cross-entropy"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    select: Literal["loss", "primary"] = "loss"
    schedule: Literal["constant", "cosine", "one-cycle", "step", "warm-up", "plateau"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    class_weights: Literal["none", "balanced"] = "none"
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    threads: Positive = 1
    shared_seeds: bool = False
    patch: Positive | tuple[Positive, ...] | None = None
    patches_per_case: Positive = 1
    foreground_patches: Share = 0.33
    targets: Literal["classes", "regions"] = "classes"

    def patch_of(self, spatial_dims: int) -> tuple[int, ...] | None:
        """The size of a patch along each spatial axis; None where whole images are taken."""
        if self.patch is None:
            return None
        sides = (self.patch,) * spatial_dims if isinstance(self.patch, int) else self.patch
        if len(sides) != spatial_dims:
            raise ProtocolError(
                f"training.patch = {list(sides)} is not allowed: the images have {spatial_dims} spatial axes, "
                "give one number or one per axis"
            )
        return sides

    @field_validator("seeds", "patch", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value) or min(value) < 0:
            raise ValueError("seeds must be different whole numbers from 0 up")
        return value


class InferenceSection(Section):
    """How a trained model is asked: overlap of sliding windows (share of a patch), and mirrored copies averaged.

    missing_modalities: also predict the test cases with each channel blank; the report says what that costs.
    """

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mirror: bool = False
    missing_modalities: bool = False
