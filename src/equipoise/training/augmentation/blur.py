"""Gaussian blurring as one matrix product an axis: every image has its own width."""

import math

import torch
from torch import Tensor

from equipoise.training.augmentation.chosen import change
from equipoise.training.augmentation.separable import along_axes

REACH = 4
"""Standard deviations beyond which the Gaussian is cut off, as in scipy."""


def smoothing(sigmas: Tensor, side: int) -> Tensor:
    """Matrices (n, side, side) that blur an axis by sigmas (n,) in voxels; beyond the border lies the edge's value."""
    reach = math.ceil(REACH * float(sigmas.max()) + 0.5)
    steps = torch.arange(-reach, reach + 1)
    widths = sigmas.double()[:, None]
    weights = torch.exp(-0.5 * (steps / widths) ** 2) * (steps.abs() <= (REACH * widths + 0.5).floor())
    weights = weights / weights.sum(1, keepdim=True)
    columns = (torch.arange(side)[:, None] + steps).clamp(0, side - 1)
    n = len(sigmas)
    matrices = torch.zeros(n, side, side, dtype=torch.float64)
    return matrices.scatter_add_(2, columns.expand(n, -1, -1), weights[:, None].expand(n, side, -1)).float()


def soften(images: Tensor, sigmas: Tensor | None) -> Tensor:
    """Blur every image by its own Gaussian."""
    if sigmas is None:
        return images

    def effect(some: Tensor, rows: Tensor) -> Tensor:
        by_side = {side: smoothing(sigmas[rows], side).to(some.device, some.dtype) for side in set(some.shape[2:])}
        return along_axes(some, [by_side[side] for side in some.shape[2:]])

    return change(images, sigmas > 0, effect)
