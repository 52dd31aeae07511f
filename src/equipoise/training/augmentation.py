"""Batched augmentation on the training device: parameters are drawn first, then applied without chance.

Rotation, flips, scaling and shift of a batch become one affine map a sample and one resampling in all; masks go
through the same grid.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from equipoise.errors import ProtocolError
from equipoise.naming import nearest

AXES = {"horizontal": -1, "vertical": -2, "depth": -3}


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image.

    rotate_degrees: angles are uniform in ± this (in 3D about each axis).
    flip: axes that are mirrored with probability one half.
    scale: range of a uniform zoom factor, above 1 magnifies.
    shift: uniform in ± this share of the image's size, each axis.
    """

    rotate_degrees: float = 0.0
    flip: tuple[str, ...] = ()
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], spatial_dims: int) -> "Augmentation":
        """Read the protocol's table; errors name the key and what is allowed."""
        allowed = list(cls.__dataclass_fields__)
        for key in settings:
            if key not in allowed:
                raise ProtocolError(f"the key 'augmentation.{key}' is unknown; {nearest(key, allowed)}")
        rotate = _number(settings, "rotate_degrees", 0, 180)
        shift = _number(settings, "shift", 0, 0.5)
        axes = list(AXES)[:spatial_dims]
        flips = settings.get("flip", [])
        if not isinstance(flips, Sequence) or isinstance(flips, str) or not set(flips) <= set(axes):
            raise ProtocolError(f"augmentation.flip = {flips!r} is not allowed: it is a list of {', '.join(axes)}")
        scale = settings.get("scale", [1.0, 1.0])
        if not _is_range(scale):
            raise ProtocolError(
                f"augmentation.scale = {scale!r} is not allowed: two factors, 0 < low <= high, as [0.9, 1.1]"
            )
        return cls(rotate, tuple(flips), (float(scale[0]), float(scale[1])), shift)

    @property
    def identity(self) -> bool:
        """Whether nothing would change."""
        return self == Augmentation()


def _number(settings: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = settings.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ProtocolError(f"augmentation.{key} = {value!r} is not allowed: a number from {low} to {high}")
    return float(value)


def _is_range(value: Any) -> bool:
    numbers = isinstance(value, Sequence) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
    return numbers and 0 < value[0] <= value[1]


@dataclass(frozen=True)
class Draws:
    """The chosen parameters of a batch of n: angles in radians (n, 1 or 3), zooms (n,), mirrors ±1 and shifts (n, d).

    The spatial axes are in array order (z, y, x); shifts are shares of the size.
    """

    angles: Tensor
    zooms: Tensor
    mirrors: Tensor
    shifts: Tensor


def draw(augmentation: Augmentation, n: int, spatial_dims: int, generator: torch.Generator) -> Draws:
    """Choose the parameters of n images; the same generator state gives the same choice on every device."""

    def uniform(columns: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((n, columns), generator=generator)

    limit = math.radians(augmentation.rotate_degrees)
    angles = uniform(1 if spatial_dims == 2 else 3, -limit, limit)
    zooms = uniform(1, *augmentation.scale)[:, 0]
    coins = torch.rand((n, spatial_dims), generator=generator) < 0.5
    mirrored = torch.zeros(spatial_dims, dtype=torch.bool)
    for name in augmentation.flip:
        mirrored[AXES[name]] = True
    mirrors = 1.0 - 2.0 * (coins & mirrored)
    return Draws(angles, zooms, mirrors, uniform(spatial_dims, -augmentation.shift, augmentation.shift))


def _rotations(angles: Tensor) -> Tensor:
    """Rotation matrices over (x, y) or (x, y, z) coordinates: (n, d, d)."""
    if angles.shape[1] == 1:
        c, s = angles[:, 0].cos(), angles[:, 0].sin()
        return torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    result = torch.eye(3).expand(len(angles), 3, 3)
    for axis in range(3):
        i, j = [k for k in range(3) if k != axis]
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        c, s = angles[:, axis].cos(), angles[:, axis].sin()
        turn[:, i, i], turn[:, i, j], turn[:, j, i], turn[:, j, j] = c, -s, s, c
        result = result @ turn
    return result


def affine(draws: Draws, size: Sequence[int]) -> Tensor:
    """The maps from output to input in grid_sample's normalised (x, y, z) coordinates: (n, d, d + 1).

    Angles are true angles on the pixel grid also where the image is not square.
    """
    extent = torch.tensor(list(size)[::-1], dtype=torch.float32)
    linear = _rotations(draws.angles) * (draws.mirrors.flip(1) / draws.zooms[:, None])[:, None, :]
    linear = linear * (extent[None, None, :] / extent[None, :, None])
    return torch.cat([linear, 2 * draws.shifts.flip(1)[:, :, None]], 2)


def apply(images: Tensor, masks: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor | None]:
    """Resample images (n, c, *spatial) linearly and masks by nearest voxel, beyond the border by the edge's values.

    Masks are integers (n, *spatial) or soft targets (n, classes, *spatial), which are resampled linearly.
    """
    size = images.shape[2:]
    theta = affine(draws, size).to(images.device)
    grid = functional.affine_grid(theta, [len(images), 1, *size], align_corners=False)
    moved = _sample(images, grid, "bilinear")
    if masks is None:
        return moved, None
    if masks.is_floating_point():
        return moved, _sample(masks, grid, "bilinear")
    return moved, _sample(masks[:, None].float(), grid, "nearest")[:, 0].to(masks.dtype)


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=False)
