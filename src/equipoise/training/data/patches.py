"""Cut patches of large images for training: some about a foreground voxel, the rest at random positions.

Without the first kind a small lesion is hardly ever seen: at 1 % of the volume, a random patch usually misses it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.cohorts.cohort import IGNORED
from equipoise.training.data.samples import Samples

KEPT_VOXELS = 4096
"""Foreground voxels kept per case and class, evenly spaced: enough to centre patches on every part of a structure."""


@dataclass
class PatchSampler:
    """Cut patches of one size; `foreground` is the share of patches that are centred on a foreground voxel."""

    patch: tuple[int, ...]
    foreground: float
    _voxels: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)

    def cut(self, samples: Samples, index: int, draws: torch.Generator) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Cut one patch (channel, *patch) of a case and its target; the same draws give the same patch."""
        image, target = samples.images[index], samples.targets[index]
        dims = len(self.patch)
        shape = image.shape[1:]
        # All numbers are drawn whether used or not: the stream must not depend on what earlier cases contained.
        chance = torch.rand(3 + dims, generator=draws, dtype=torch.float64).numpy()
        start = self._about_foreground(samples, index, chance) if chance[0] < self.foreground else None
        if start is None:
            room = [max(s - p, 0) for s, p in zip(shape, self.patch, strict=True)]
            start = [int(c * (r + 1)) for c, r in zip(chance[3:], room, strict=True)]
        background = 0 if target.ndim == dims else np.eye(1, target.shape[0])[0]
        # Zeros beyond the image, as in sliding-window inference.
        return _cut(image, start, self.patch, 0), _cut(target, start, self.patch, background)

    def _about_foreground(self, samples: Samples, index: int, chance: NDArray[np.float64]) -> list[int] | None:
        """Choose the start of a patch centred on a random voxel of a random class; None without foreground."""
        if index not in self._voxels:
            self._voxels[index] = _foreground_voxels(samples.targets[index], len(self.patch))
        classes = self._voxels[index]
        if not classes:
            return None
        # The class first and then its voxel: by voxels alone, a large structure would hide the small ones.
        voxels = classes[int(chance[1] * len(classes))]
        shape = samples.images[index].shape[1:]
        middle = np.unravel_index(voxels[int(chance[2] * len(voxels))], shape)
        return [int(min(max(m - p // 2, 0), max(s - p, 0))) for m, p, s in zip(middle, self.patch, shape, strict=True)]


def _foreground_voxels(target: NDArray[Any], dims: int) -> list[NDArray[np.int64]]:
    """Return flat indices of at most about `KEPT_VOXELS` voxels of every class above 0 in the case."""
    hard = np.asarray(target if target.ndim == dims else target.argmax(axis=0)).ravel()
    voxels_of_classes = []
    for value in range(1, int(hard[hard != IGNORED].max(initial=0)) + 1):
        voxels = np.flatnonzero(hard == value)
        if len(voxels):
            voxels_of_classes.append(voxels[:: max(1, len(voxels) // KEPT_VOXELS)])
    return voxels_of_classes


def _cut(array: NDArray[Any], start: list[int], patch: tuple[int, ...], outside: float | NDArray[Any]) -> NDArray[Any]:
    """Cut (…, *spatial) to (…, *patch); voxels beyond the image get `outside`, one value or one per leading index."""
    lead = array.ndim - len(patch)
    inside: Any = (..., *(slice(s, s + p) for s, p in zip(start, patch, strict=True)))
    piece: NDArray[Any] = array[inside]
    if piece.shape[lead:] == patch:
        return piece
    fill = np.asarray(outside, dtype=array.dtype)
    out = np.empty((*array.shape[:lead], *patch), dtype=array.dtype)
    out[...] = fill.reshape(fill.shape + (1,) * (out.ndim - fill.ndim)) if fill.ndim else fill
    # A smaller image lies in the middle of its patch, as in sliding-window inference.
    margins = [(p - n) // 2 for p, n in zip(patch, piece.shape[lead:], strict=True)]
    place: Any = (..., *(slice(m, m + n) for m, n in zip(margins, piece.shape[lead:], strict=True)))
    out[place] = piece
    return out
