"""Gaussian blurring as one matrix product per axis; every image has its own width."""

import math

import torch
from torch import Tensor

from equipoise.training.augmentation.chosen import change
from equipoise.training.augmentation.separable import along_axes

REACH = 4
"""Standard deviations beyond which the Gaussian is cut off, as in scipy."""


def smoothing(sigmas: Tensor, side: int) -> Tensor:
    """Return matrices (n, side, side) that blur an axis by sigmas (n,) in voxels; the border repeats the edge."""
    # A product and not a convolution: every image has a kernel of its own width, which one convolution cannot hold.
    reach = math.ceil(REACH * float(sigmas.max()) + 0.5)
    steps = torch.arange(-reach, reach + 1)
    widths = sigmas.double()[:, None]
    weights = torch.exp(-0.5 * (steps / widths) ** 2) * (steps.abs() <= (REACH * widths + 0.5).floor())
    weights = weights / weights.sum(1, keepdim=True)
    # Weights beyond the border are added to the edge's column: that is padding by the edge's value.
    columns = (torch.arange(side)[:, None] + steps).clamp(0, side - 1)
    n = len(sigmas)
    matrices = torch.zeros(n, side, side, dtype=torch.float64)
    return matrices.scatter_add_(2, columns.expand(n, -1, -1), weights[:, None].expand(n, side, -1)).float()


def blur(images: Tensor, sigmas: Tensor | None) -> Tensor:
    """Blur every image by its own Gaussian."""
    if sigmas is None:
        return images

    def effect(selected: Tensor, rows: Tensor) -> Tensor:
        """Blur the images by their widths."""
        # Equal sides share one matrix: a cubic patch builds one in place of three.
        by_side = {
            side: smoothing(sigmas[rows], side).to(selected.device, selected.dtype) for side in set(selected.shape[2:])
        }
        return along_axes(selected, [by_side[side] for side in selected.shape[2:]])

    return change(images, sigmas > 0, effect)
