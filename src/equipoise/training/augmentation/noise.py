"""Gaussian noise, in units of each channel's own spread."""

import torch
from torch import Tensor

from equipoise.training.augmentation.chosen import change, per_image, spread


def roughen(images: Tensor, levels: Tensor | None, seed: int) -> Tensor:
    """Add noise of so many standard deviations of the channel; the seed decides it, anew on each kind of device."""
    if levels is None:
        return images

    def effect(some: Tensor, rows: Tensor) -> Tensor:
        source = torch.Generator(some.device).manual_seed(seed)
        noise = torch.randn(some.shape, generator=source, device=some.device, dtype=some.dtype)
        return torch.addcmul(some, noise, spread(some)[1] * per_image(levels[rows], some))

    return change(images, levels != 0, effect)
