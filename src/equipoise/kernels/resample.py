"""Resample a batch at positions given by affine maps and displacements.

On a CPU with a compiler, a small C kernel (resample.c) does it, about ten times as fast in 3D as torch's grid_sample.
Everywhere else, and as the kernel's reference, the same formula in torch gives the same bits.
"""

import ctypes
import functools
from collections.abc import Sequence
from itertools import pairwise
from threading import Thread

import torch
from torch import Tensor
from torch.nn import functional

from equipoise.errors import EquipoiseError, Interrupted
from equipoise.kernels.build import SOURCES, build

_SMALLEST_SHARE = 50_000  # voxels; below this a thread costs more than it saves


def resample(values: Tensor, maps: Tensor, displacement: Tensor | None, nearest: bool) -> Tensor:
    """Return the values at the position that each output voxel comes from; positions beyond the border read the edge.

    Args:
        values: (n, c, *spatial), of any floating type.
        maps: from output to input voxel indices (z, y, x, 1), float32 (n, d, d + 1).
        displacement: added to the position in the input, in voxels, float32 (n, d, *spatial).
        nearest: the nearest voxel's value (halves round up) in place of linear interpolation.
    """
    if values.device.type == "cpu" and values.dtype == torch.float32 and values.numel() and _kernel() is not None:
        return _compiled(values, maps, displacement, nearest)
    return reference(values, maps, displacement, nearest)


def reference(values: Tensor, maps: Tensor, displacement: Tensor | None, nearest: bool) -> Tensor:
    """Compute `resample` in torch, on any device."""
    # Not grid_sample: it takes coordinates in [-1, 1], and scaling them there and back loses bits, so that a shift by
    # whole voxels would no longer return the voxels themselves.
    size = values.shape[2:]
    places = _places(maps, displacement, size)
    steps = [size[axis + 1 :].numel() for axis in range(len(size))]
    flat = values.flatten(2)

    def read(index: Tensor) -> Tensor:
        """Gather the values at flat indices."""
        return flat.gather(2, index.flatten(1)[:, None].expand((*flat.shape[:2], -1))).view(values.shape)

    if nearest:
        return read(_flat_index([(p + 0.5).long() for p in places], size))
    lower = [p.long().clamp(max=max(side - 2, 0)) for p, side in zip(places, size, strict=True)]
    upper = [(p - low)[:, None] for p, low in zip(places, lower, strict=True)]

    def blend(axis: int, index: Tensor) -> Tensor:
        """Interpolate linearly along this axis and all later ones."""
        if axis == len(size):
            return read(index)
        beyond = index + (steps[axis] if size[axis] > 1 else 0)
        return blend(axis + 1, index) * (1 - upper[axis]) + blend(axis + 1, beyond) * upper[axis]

    return blend(0, _flat_index(lower, size)).to(values.dtype)


def _flat_index(indices: list[Tensor], size: Sequence[int]) -> Tensor:
    """Combine the indices of each axis into the index of the voxel in flattened space."""
    flat = indices[0]
    for index, side in zip(indices[1:], size[1:], strict=True):
        flat = flat * side + index
    return flat


def _places(maps: Tensor, displacement: Tensor | None, size: Sequence[int]) -> list[Tensor]:
    """Return coordinates in the input, one tensor (n, *spatial) per axis."""
    # The sums have the order of resample.c: in another order they would round differently, and the reference could
    # only be compared within a tolerance.
    d = len(size)
    axes = [torch.arange(side, dtype=maps.dtype, device=maps.device) for side in size]
    outputs = [axis.view([-1 if i == j else 1 for j in range(d)]) for i, axis in enumerate(axes)]
    coordinates = []
    for axis, side in enumerate(size):
        *weights, offset = maps[:, axis].view(-1, d + 1, *(1,) * d).unbind(1)
        lines = weights[0] * outputs[0]
        for weight, output in zip(weights[1:-1], outputs[1:-1], strict=True):
            lines = lines + weight * output
        place = (lines + offset) + weights[-1] * outputs[-1]
        if displacement is not None:
            place = place + displacement[:, axis]
        coordinates.append(place.clamp(0, side - 1))
    return coordinates


@functools.cache
def _kernel() -> ctypes.CDLL | None:
    """Return resample.c, built once per process; None where it cannot be built."""
    try:
        return build(SOURCES / "resample.c", otherwise="use the reference")
    except Interrupted:
        raise  # other processes have built it
    except EquipoiseError:
        return None


def _compiled(values: Tensor, maps: Tensor, displacement: Tensor | None, nearest: bool) -> Tensor:
    kernel, values = _kernel(), values.contiguous()
    n, channels, *spatial = values.shape
    # An image is a volume of one slice that does not move in z: one C function serves both.
    if len(spatial) == 2:
        spatial = [1, *spatial]
        maps = functional.pad(maps, (1, 0, 1, 0))
        displacement = None if displacement is None else functional.pad(displacement, (0, 0, 0, 0, 1, 0))
    maps = maps.contiguous()
    shifts = None if displacement is None else displacement.contiguous()
    result = torch.empty_like(values)
    shape = (ctypes.c_int64 * 4)(channels, *spatial)
    addresses = [None if x is None else ctypes.c_void_p(x.data_ptr()) for x in (values, result, maps, shifts)]
    lines = n * spatial[0] * spatial[1]
    threads = max(1, min(torch.get_num_threads(), lines * spatial[2] // _SMALLEST_SHARE))
    borders = [lines * share // threads for share in range(threads + 1)]

    def work(first: int, last: int) -> None:
        """Resample one thread's share of the images."""
        places = (ctypes.c_int64(first), ctypes.c_int64(last))
        kernel.resample(*addresses[:2], shape, *addresses[2:], int(nearest), *places)  # type: ignore[union-attr]

    workers = [Thread(target=work, args=share) for share in pairwise(borders[1:])]
    for worker in workers:
        worker.start()  # ctypes releases the interpreter's lock, so the workers run in parallel with this thread
    work(borders[0], borders[1])
    for worker in workers:
        worker.join()
    return result
