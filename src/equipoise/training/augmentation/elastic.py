"""Smooth elastic deformation by a cubic B-spline over a coarse mesh of control points (Rueckert 1999)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.separable import along_axes
from equipoise.training.augmentation.settings import Augmentation

INTERVALS = 4
POINTS = INTERVALS + 3


def draw_controls(plan: Augmentation, spatial_dims: int, chance: Chance) -> Tensor | None:
    """Draw movements of the control points as fractions of the size: (n, d, POINTS, …), one POINTS per axis."""
    if "elastic" not in plan.steps:
        return None
    return chance.uniform("elastic", -plan.elastic, plan.elastic, spatial_dims, *(POINTS,) * spatial_dims)


def spline(side: int) -> Tensor:
    """Evaluate the cubic B-splines over an axis of `side` voxels: float32 (side, POINTS), each row sums to one."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / side * INTERVALS
    cell = place.floor()
    t = place - cell
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    columns = cell.long()[:, None] + torch.arange(4)
    return torch.zeros(side, POINTS, dtype=torch.float64).scatter_(1, columns, torch.stack(weights, 1) / 6).float()


def displacement(controls: Tensor, linear: Tensor, size: Sequence[int], device: torch.device) -> Tensor:
    """Return the movement of every voxel's position in the input, in voxels: (n, d, *size).

    The deformation is applied before the affine map with these linear parts, so that their composition cannot fold
    where neither folds.
    """
    # The spline is linear in its controls, so the few controls are mapped in place of the displacement of each voxel.
    sides = torch.tensor(list(size), dtype=torch.float64)
    moved = torch.einsum("nij,j,nj...->ni...", linear, sides, controls.double()).float()
    return along_axes(moved.to(device), [spline(side).to(device) for side in size])
