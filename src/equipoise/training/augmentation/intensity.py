"""Contrast, brightness and gamma, in units of each channel of each image, so that any scaling is treated alike."""

import torch
from torch import Tensor

from equipoise.training.augmentation.chosen import by_channel, change, per_image, spread


def shift_and_stretch(images: Tensor, contrasts: Tensor | None, offsets: Tensor | None) -> Tensor:
    """Multiply the distance from the channel's mean, and add so many of the channel's standard deviations."""
    if contrasts is None and offsets is None:
        return images
    factor = torch.ones(len(images)) if contrasts is None else contrasts
    offset = torch.zeros(len(images)) if offsets is None else offsets

    def effect(some: Tensor, rows: Tensor) -> Tensor:
        mean, deviation = spread(some)
        stretch = per_image(factor[rows], some)
        return torch.addcmul(mean * (1 - stretch) + deviation * per_image(offset[rows], some), some, stretch)

    return change(images, (factor != 1) | (offset != 0), effect)


def bend(images: Tensor, exponents: Tensor | None) -> Tensor:
    """Raise every channel, scaled to [0, 1] by its own minimum and maximum, to a power; a constant one stays."""
    if exponents is None:
        return images

    def effect(some: Tensor, rows: Tensor) -> Tensor:
        flat = some.flatten(2)
        low, high = by_channel(flat.amin(2), some), by_channel(flat.amax(2), some)
        width = high - low
        share = (some - low) / torch.where(width > 0, width, 1)
        return torch.addcmul(low, share.pow_(per_image(exponents[rows], some)), width)

    return change(images, exponents != 1, effect)
