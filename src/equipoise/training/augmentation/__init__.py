"""Batched augmentation on the training device: parameters are drawn first, then applied deterministically.

All steps that move voxels are combined into one resampling of the batch, which masks follow. Steps that change
intensities, the cut-out included, never change a mask.
"""

from torch import Tensor

from equipoise.training.augmentation.bias_field import apply_bias_field
from equipoise.training.augmentation.blur import blur
from equipoise.training.augmentation.cutout import cut_out
from equipoise.training.augmentation.draws import Draws, draw
from equipoise.training.augmentation.intensity import apply_gamma, shift_and_stretch
from equipoise.training.augmentation.noise import add_noise
from equipoise.training.augmentation.settings import Augmentation
from equipoise.training.augmentation.spatial import move

__all__ = ["Augmentation", "Draws", "apply", "draw"]


def apply(images: Tensor, masks: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor | None]:
    """Augment a batch by its draws: images (n, c, *spatial), and their masks, which follow every movement.

    Masks are integers (n, *spatial) or (n, regions, *spatial), sampled at the nearest voxel, or soft targets
    (n, classes, *spatial), interpolated like the images. Voxels beyond the border take the edge's values. The arguments
    are not modified.
    """
    # The order is that of an acquisition: the patient lies differently, the coil shades, contrast and display follow,
    # and noise comes after the blur, which would remove it. The cut-out is last, so that its filling stays constant.
    images, masks = move(images, masks, draws)
    images = apply_bias_field(images, draws.coefficients)
    images = shift_and_stretch(images, draws.contrasts, draws.offsets)
    images = apply_gamma(images, draws.exponents)
    images = blur(images, draws.blurs)
    images = add_noise(images, draws.noise, draws.noise_seed)
    return cut_out(images, draws.boxes), masks
