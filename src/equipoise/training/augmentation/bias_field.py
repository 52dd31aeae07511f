"""A smooth multiplicative field, as an uneven coil leaves it: the exponential of a polynomial (van Leemput 1999)."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.chosen import by_channel, change
from equipoise.training.augmentation.separable import along_axes
from equipoise.training.augmentation.settings import Augmentation

DEGREE = 3


def draw_coefficients(plan: Augmentation, spatial_dims: int, chance: Chance) -> Tensor | None:
    """Of products of Legendre polynomials of total degree 1 to 3: (n, 4, 4) or (n, 4, 4, 4), others zero."""
    if "bias_field" not in plan.steps:
        return None
    orders = itertools.product(range(DEGREE + 1), repeat=spatial_dims)
    used = torch.tensor([0 < sum(order) <= DEGREE for order in orders]).view((DEGREE + 1,) * spatial_dims)
    # a constant would only be brightness
    return chance.uniform("bias_field", -plan.bias_field, plan.bias_field, *used.shape) * used


def legendre(side: int) -> Tensor:
    """Legendre polynomials of degree 0 to 3 at the voxels' centres in [-1, 1]: float32 (side, 4)."""
    x = (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1
    return torch.stack([torch.ones_like(x), x, (3 * x**2 - 1) / 2, (5 * x**3 - 3 * x) / 2], 1).float()


def field(coefficients: Tensor, size: Sequence[int], device: torch.device) -> Tensor:
    """The field (n, 1, *size) of these coefficients."""
    polynomials = [legendre(side).to(device) for side in size]
    return along_axes(coefficients[:, None].to(device), polynomials).exp_()


def shade(images: Tensor, coefficients: Tensor | None) -> Tensor:
    """Multiply every channel, measured from its own minimum, with the image's field."""
    if coefficients is None:
        return images

    def effect(some: Tensor, rows: Tensor) -> Tensor:
        low = by_channel(some.flatten(2).amin(2), some)
        factor = field(coefficients[rows], some.shape[2:], some.device).to(some.dtype)
        return torch.addcmul(low, some - low, factor)

    return change(images, (coefficients != 0).flatten(1).any(1), effect)
