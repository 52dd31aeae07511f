"""Smooth multiplicative field, as of an inhomogeneous coil: the exponential of a polynomial (van Leemput 1999)."""

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
    """Draw the coefficients of Legendre products of total degree 1 to 3, (n, 4, 4) or (n, 4, 4, 4); others are zero."""
    if "bias_field" not in plan.steps:
        return None
    orders = itertools.product(range(DEGREE + 1), repeat=spatial_dims)
    used = torch.tensor([0 < sum(order) <= DEGREE for order in orders]).view((DEGREE + 1,) * spatial_dims)
    # The constant term is left out: it would multiply the whole image, which is the task of `contrast`.
    return chance.uniform("bias_field", -plan.bias_field, plan.bias_field, *used.shape) * used


def legendre(side: int) -> Tensor:
    """Evaluate Legendre polynomials of degree 0 to 3 at the voxels' centres in [-1, 1]: float32 (side, 4)."""
    # Legendre and not plain powers: they are bounded by 1, so each coefficient has the same largest effect.
    x = (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1
    return torch.stack([torch.ones_like(x), x, (3 * x**2 - 1) / 2, (5 * x**3 - 3 * x) / 2], 1).float()


def field(coefficients: Tensor, size: Sequence[int], device: torch.device) -> Tensor:
    """Return the field (n, 1, *size) of these coefficients."""
    polynomials = [legendre(side).to(device) for side in size]
    return along_axes(coefficients[:, None].to(device), polynomials).exp_()


def apply_bias_field(images: Tensor, coefficients: Tensor | None) -> Tensor:
    """Multiply every channel, measured from its own minimum, by the image's field."""
    if coefficients is None:
        return images

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Multiply the images by their fields."""
        # Measured from the minimum, the field leaves the background constant, also after a z-score that moved zero.
        low = by_channel(selected.flatten(2).amin(2), selected)
        factor = field(coefficients[rows], selected.shape[2:], selected.device).to(selected.dtype)
        return torch.addcmul(low, selected - low, factor)

    return change(images, (coefficients != 0).flatten(1).any(1), effect)
