"""Rotation, mirroring, scaling and shift as one affine map per image, from output to input voxels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.settings import AXES, Augmentation


def draw_motions(plan: Augmentation, spatial_dims: int, chance: Chance) -> dict[str, Tensor]:
    """Draw angles in radians (n, 1 or 3), zooms (n,), mirrors ±1 and shifts (n, d) in array order (z, y, x)."""
    limit = math.radians(plan.rotate_degrees)
    angles = chance.uniform("rotate_degrees", -limit, limit, 1 if spatial_dims == 2 else 3)
    zooms = chance.uniform("scale", *plan.scale, neutral=1.0)
    mirrored = torch.zeros(spatial_dims, dtype=torch.bool)
    for name in plan.flip:
        mirrored[AXES[name]] = True
    # A coin for every axis, used or not: adding an axis to `flip` leaves the draws of all other steps as they were.
    mirrors = 1.0 - 2.0 * (chance.coins(spatial_dims) & mirrored)
    shifts = chance.uniform("shift", -plan.shift, plan.shift, spatial_dims)
    return {"angles": angles, "zooms": zooms, "mirrors": mirrors, "shifts": shifts}


def rotations(angles: Tensor) -> Tensor:
    """Return rotation matrices over (y, x), or over (z, y, x) about each axis in turn: float64 (n, d, d)."""
    d = 2 if angles.shape[1] == 1 else 3
    planes = [(0, 1)] if d == 2 else [(1, 2), (0, 2), (0, 1)]
    result = torch.eye(d, dtype=torch.float64).repeat(len(angles), 1, 1)
    for angle, (i, j) in zip(angles.double().unbind(1), planes, strict=True):
        turn = torch.eye(d, dtype=torch.float64).repeat(len(angles), 1, 1)
        turn[:, i, i], turn[:, j, j] = angle.cos(), angle.cos()
        turn[:, i, j], turn[:, j, i] = -angle.sin(), angle.sin()
        result = result @ turn
    return result


def linear_parts(angles: Tensor, zooms: Tensor, mirrors: Tensor) -> Tensor:
    """Return rotation, zoom and mirrors as matrices over (z, y, x) voxels: float64 (n, d, d).

    They act on voxels and not on shares of the size, so that an angle is a true angle in images of unequal sides.
    """
    scaled = rotations(angles) * (mirrors.double() / zooms.double()[:, None])[:, None, :]
    # A float32 angle is wrong by up to 1e-7. Without rounding, a quarter turn would read 1e-7 beside a voxel's centre
    # and blend two voxels, instead of copying one.
    whole = scaled.round()
    return torch.where((scaled - whole).abs() < 1e-6, whole, scaled)


def affine(linear: Tensor, shifts: Tensor, size: Sequence[int]) -> Tensor:
    """Return the maps about the image's centre over voxel indices (z, y, x, 1): float32 (n, d, d + 1)."""
    sides = torch.tensor(list(size), dtype=torch.float64)
    centre = (sides - 1) / 2
    offset = centre + shifts.double() * sides - linear @ centre
    return torch.cat([linear, offset[:, :, None]], 2).float()
