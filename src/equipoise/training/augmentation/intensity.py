"""Contrast, brightness and gamma in units of each image's channels, so that results do not depend on the scaling."""

import torch
from torch import Tensor

from equipoise.training.augmentation.chosen import by_channel, change, per_image, spread


def shift_and_stretch(images: Tensor, contrasts: Tensor | None, offsets: Tensor | None) -> Tensor:
    """Multiply the distance from the channel's mean, and add offsets in units of its standard deviation."""
    if contrasts is None and offsets is None:
        return images
    factor = torch.ones(len(images)) if contrasts is None else contrasts
    offset = torch.zeros(len(images)) if offsets is None else offsets

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Scale and shift the intensities."""
        # One fused multiply-add per voxel: the constant part has the size of a channel, not of an image.
        mean, deviation = spread(selected)
        stretch = per_image(factor[rows], selected)
        return torch.addcmul(mean * (1 - stretch) + deviation * per_image(offset[rows], selected), selected, stretch)

    return change(images, (factor != 1) | (offset != 0), effect)


def apply_gamma(images: Tensor, exponents: Tensor | None) -> Tensor:
    """Raise every channel, scaled to [0, 1] by its own minimum and maximum, to a power; a constant channel stays."""
    if exponents is None:
        return images

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Raise the scaled intensities to their exponents."""
        flat = selected.flatten(2)
        low, high = by_channel(flat.amin(2), selected), by_channel(flat.amax(2), selected)
        width = high - low
        share = (selected - low) / torch.where(width > 0, width, 1)
        return torch.addcmul(low, share.pow_(per_image(exponents[rows], selected)), width)

    return change(images, exponents != 1, effect)
