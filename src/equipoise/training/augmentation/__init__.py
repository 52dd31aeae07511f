"""Batched augmentation on the training device: parameters are drawn first, then applied without chance.

All that moves voxels becomes one resampling of the batch, and masks go the same way; what changes intensities, the
cut-out included, never touches a mask.
"""

from torch import Tensor

from equipoise.training.augmentation.bias_field import shade
from equipoise.training.augmentation.blur import soften
from equipoise.training.augmentation.cutout import hide
from equipoise.training.augmentation.draws import Draws, draw
from equipoise.training.augmentation.intensity import bend, shift_and_stretch
from equipoise.training.augmentation.noise import roughen
from equipoise.training.augmentation.settings import Augmentation
from equipoise.training.augmentation.spatial import move

__all__ = ["Augmentation", "Draws", "apply", "draw"]


def apply(images: Tensor, masks: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor | None]:
    """Change a batch as drawn: images (n, c, *spatial), and masks alike where they move.

    Masks are integers (n, *spatial) or (n, regions, *spatial), taken from the nearest voxel, or soft targets
    (n, classes, *spatial), interpolated as the images are. Beyond the border lie the edge's values. Nothing is changed
    in place.
    """
    images, masks = move(images, masks, draws)
    images = shade(images, draws.coefficients)
    images = shift_and_stretch(images, draws.contrasts, draws.offsets)
    images = bend(images, draws.exponents)
    images = soften(images, draws.blurs)
    images = roughen(images, draws.noise, draws.noise_seed)
    return hide(images, draws.boxes), masks
