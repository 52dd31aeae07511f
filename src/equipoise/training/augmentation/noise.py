"""Gaussian noise in units of each channel's standard deviation."""

import torch
from torch import Tensor

from equipoise.training.augmentation.chosen import change, per_image, spread


def add_noise(images: Tensor, levels: Tensor | None, seed: int) -> Tensor:
    """Add noise with levels (n,) in standard deviations of the channel; one seed gives other noise per device type."""
    if levels is None:
        return images

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Add the noise."""
        # The generator lives on the device: the same noise everywhere would have to be drawn and copied by the CPU.
        source = torch.Generator(selected.device).manual_seed(seed)
        noise = torch.randn(selected.shape, generator=source, device=selected.device, dtype=selected.dtype)
        return torch.addcmul(selected, noise, spread(selected)[1] * per_image(levels[rows], selected))

    return change(images, levels != 0, effect)
