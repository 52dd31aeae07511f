"""Changes of the grid and their inverses for predictions: orientation, window (crop and pad) and resampling.

Arrays are (…, *spatial); leading axes (channels, classes, batches) pass through. Every step is a small record of
numbers with `forward` and `back`, so that it can be stored as JSON beside a prediction. Places are (n, axes) in voxels,
where 0 is the centre of the first voxel; `places_forward` and `places_back` map them to the other grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.scan import axis_of_each_world_axis
from equipoise.cohorts.interpolation import triangle

Shape = tuple[int, ...]
Array = NDArray[Any]
Places = NDArray[np.float64]


@dataclass(frozen=True)
class Orientation:
    """A permutation of the spatial axes, then mirrors: new axis k is old axis axes[k], mirrored if flip[k]."""

    axes: tuple[int, ...]
    flip: tuple[bool, ...]

    @property
    def identity(self) -> bool:
        """Whether the grid does not change."""
        return self.axes == tuple(range(len(self.axes))) and not any(self.flip)

    def forward(self, array: Array) -> Array:
        """Return the array on the new axes (a view)."""
        lead = array.ndim - len(self.axes)
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        return np.flip(moved, tuple(lead + k for k, flipped in enumerate(self.flip) if flipped))

    def back(self, array: Array) -> Array:
        """The inverse of `forward`."""
        lead = array.ndim - len(self.axes)
        mirrored = np.flip(array, tuple(lead + k for k, flipped in enumerate(self.flip) if flipped))
        return mirrored.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(self.axes)))

    def places_forward(self, places: Places, shape: Shape) -> Places:
        """Map places of the old grid to the new one, which has this shape."""
        moved = places[:, list(self.axes)]
        return np.where(self.flip, np.array(shape) - 1 - moved, moved)

    def places_back(self, places: Places, shape: Shape) -> Places:
        """The inverse of `places_forward`; `shape` is that of the new grid, too."""
        return np.where(self.flip, np.array(shape) - 1 - places, places)[:, np.argsort(self.axes)]

    def per_axis(self, values: Sequence[float]) -> tuple[float, ...]:
        """Reorder values per old axis (spacings) to the new axes."""
        return tuple(values[axis] for axis in self.axes)


def towards_ras(affine: NDArray[np.float64]) -> Orientation:
    """Return the permutation and mirrors that bring a grid as near to RAS+ as possible (x right, y front, z up).

    affine: voxel (x, y, z, 1) → RAS+ mm; the array's axes are (z, y, x).
    """
    voxel_axis = axis_of_each_world_axis(affine)
    axes = tuple(2 - voxel_axis[world] for world in (2, 1, 0))
    flip = tuple(bool(affine[world, voxel_axis[world]] < 0) for world in (2, 1, 0))
    return Orientation(axes, flip)


@dataclass(frozen=True)
class Window:
    """A box of the grid: new voxel i is old voxel i + start; voxels outside the old grid are padding."""

    start: tuple[int, ...]
    before: Shape
    after: Shape

    def forward(self, array: Array, outside: Any = 0) -> Array:
        """Cut or pad (…, *before) to (…, *after); outside: a value, or one per leading index."""
        return _placed(array, self.start, self.after, outside)

    def back(self, array: Array, outside: Any = 0) -> Array:
        """Put (…, *after) back in its place on (…, *before)."""
        return _placed(array, tuple(-s for s in self.start), self.before, outside)

    def places_forward(self, places: Places) -> Places:
        """Map places of the old grid to the new one; they may lie beyond it."""
        moved: Places = places - np.array(self.start)
        return moved

    def places_back(self, places: Places) -> Places:
        """The inverse of `places_forward`."""
        moved: Places = places + np.array(self.start)
        return moved


def _placed(array: Array, start: tuple[int, ...], shape: Shape, outside: Any) -> Array:
    """Return out[i] = array[i + start] where that exists, else `outside`."""
    lead = array.shape[: array.ndim - len(shape)]
    old = array.shape[len(lead) :]
    fill = np.asarray(outside, dtype=array.dtype)
    fill = fill.reshape(fill.shape + (1,) * (array.ndim - fill.ndim)) if fill.ndim == len(lead) else fill
    out = np.empty((*lead, *shape), dtype=array.dtype)
    out[...] = fill
    first = [min(max(s, 0), o) for s, o in zip(start, old, strict=True)]
    last = [max(f, min(s + n, o)) for f, s, n, o in zip(first, start, shape, old, strict=True)]
    whole = (slice(None),) * len(lead)
    target = tuple(slice(f - s, e - s) for f, e, s in zip(first, last, start, strict=True))
    source = tuple(slice(f, e) for f, e in zip(first, last, strict=True))
    if all(e > f for f, e in zip(first, last, strict=True)):
        out[whole + target] = array[whole + source]
    return out


def foreground_window(inside: NDArray[np.bool_], margin: Sequence[int]) -> Window:
    """Return the smallest box around all true voxels of (*spatial), widened by `margin` voxels within the grid."""
    # A constant image has no foreground: the box is then the whole grid, and the case is kept.
    shape = inside.shape
    start, stop = [], []
    for axis, width in enumerate(margin):
        others = tuple(a for a in range(inside.ndim) if a != axis)
        occupied = np.flatnonzero(inside.any(axis=others))
        start.append(max(0, int(occupied[0]) - width) if len(occupied) else 0)
        stop.append(min(shape[axis], int(occupied[-1]) + 1 + width) if len(occupied) else shape[axis])
    return Window(tuple(start), shape, tuple(b - a for a, b in zip(start, stop, strict=True)))


def centred_window(before: Shape, after: Shape) -> Window:
    """Return the box of size `after` about the middle of the grid."""
    return Window(tuple((b - a) // 2 for b, a in zip(before, after, strict=True)), before, after)


@dataclass(frozen=True)
class Resampling:
    """A change of the number of voxels over the same extent: both grids share their outer faces."""

    # Faces and not the centres of the corner voxels are shared: with shared centres the extent in mm would change with
    # the number of voxels, and lesions would grow or shrink with it.

    before: Shape
    after: Shape

    def forward(self, array: Array) -> Array:
        """Interpolate floating arrays linearly, and integer masks class by class."""
        return _resampled(array, self.before, self.after)

    def back(self, array: Array) -> Array:
        """The same, towards the old grid."""
        return _resampled(array, self.after, self.before)

    def places_forward(self, places: Places) -> Places:
        """Map places of the old grid to the new one."""
        moved: Places = (places + 0.5) * (np.array(self.after) / np.array(self.before)) - 0.5
        return moved

    def places_back(self, places: Places) -> Places:
        """The inverse of `places_forward`."""
        moved: Places = (places + 0.5) * (np.array(self.before) / np.array(self.after)) - 0.5
        return moved


def resampling_to(before: Shape, spacing_mm: Sequence[float], target_mm: Sequence[float]) -> Resampling:
    """Choose the number of voxels nearest to `target_mm`; the true spacing follows from the unchanged extent."""
    after = (max(1, round(n * s / t)) for n, s, t in zip(before, spacing_mm, target_mm, strict=True))
    return Resampling(before, tuple(after))


def _resampled(array: Array, before: Shape, after: Shape) -> Array:
    """Resample an array; of integer arrays each class's share is interpolated and the largest wins."""
    if np.issubdtype(array.dtype, np.floating):
        return _interpolated(array, before, after)
    classes = np.unique(array)
    best = np.full((*array.shape[: array.ndim - len(before)], *after), -1.0, dtype=np.float32)
    winner = np.zeros(best.shape, dtype=array.dtype)
    for value in classes:
        share = _interpolated((array == value).astype(np.float32), before, after)
        # The margin is above the rounding of float32, so that an exact tie goes to the lower class on every machine.
        ahead = share > best + 1e-6
        winner[ahead], best[ahead] = value, share[ahead]
    return winner


def _interpolated(array: Array, before: Shape, after: Shape) -> Array:
    """Interpolate linearly axis by axis; where voxels grow, the triangle widens so that no voxel is skipped."""
    out = array
    for axis, (n, m) in enumerate(zip(before, after, strict=True)):
        if n == m:
            continue
        index, weight = _taps(n, m)
        position = array.ndim - len(before) + axis
        shape = [1] * array.ndim
        shape[position] = m
        total = np.zeros((*out.shape[:position], m, *out.shape[position + 1 :]), dtype=array.dtype)
        for source, share in zip(index, weight, strict=True):
            total += np.take(out, source, axis=position) * share.astype(array.dtype).reshape(shape)
        out = total
    # Never the caller's own array: what is resampled may be changed in place.
    return out.copy() if out is array else out


def _taps(n: int, m: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return source voxels (taps, m) and their weights (taps, m), which sum to one for each of the m new voxels."""
    centre, reach = triangle(n, m)
    first = np.floor(centre - reach).astype(np.int64) + 1
    index = first + np.arange(int(np.ceil(2 * reach)))[:, None]
    weight = np.maximum(0.0, 1.0 - np.abs(index - centre) / reach)
    # Voxels beyond the faces get no weight and the others are rescaled: padding would darken the border.
    weight[(index < 0) | (index >= n)] = 0
    return np.clip(index, 0, n - 1), weight / weight.sum(axis=0)
