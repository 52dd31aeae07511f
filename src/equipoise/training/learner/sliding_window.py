"""Sliding-window inference: apply a network for patches to a volume of any size, slab by slab.

Which windows there are and how they are weighted, `preprocessing.window_plan` says. Patches are processed slab by slab
along the first axis; planes that no later patch covers are finished and leave the accumulator, whose depth is that of
one patch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.preprocessing.window_plan import AxisWindow, axis_windows, check_windows, mirror_subsets

Answer = Callable[[Tensor], Tensor]
CLASS_PROBABILITIES: Callable[[Tensor], Tensor] = partial(torch.softmax, dim=1)
LIKELIEST_CLASS: Callable[[Tensor], Tensor] = partial(torch.argmax, dim=1)
FINISHED_AT_ONCE = 1 << 21
"""Number of logits that are converted to probabilities or labels at a time, which bounds temporary memory."""


_Window = AxisWindow[Tensor]
"""A window of one axis, whose weights lie on the device that blends."""


def slide(
    answer: Answer,
    image: NDArray[Any],
    patch: tuple[int, ...],
    classes: int,
    *,
    device: torch.device,
    overlap: float = 0.5,
    batch: int = 1,
    mirror_axes: Sequence[int] = (),
    finish: Callable[[Tensor], Tensor] = CLASS_PROBABILITIES,
) -> NDArray[Any]:
    """Return what `finish` makes of the blended logits of an image (channel, *spatial), in 2D or 3D.

    Real numbers are returned as float32: by default probabilities (classes, *spatial). Whole numbers and truth values
    are returned as uint8: labels (*spatial) or masks (regions, *spatial), for which no probability is kept.
    Memory besides image and result: one patch's depth of logits, (classes, patch[0], *spatial[1:]), and one batch.

    Args:
        answer: float32 patches (n, channel, *patch) on the device to logits (n, classes, *patch).
        image: numbers of any real type, a memory map too; patches become float32 when they are read.
        patch: sides of a patch; an image with shorter sides is padded with zeros on both sides and cut back.
        classes: classes, or regions, that the network tells apart.
        device: where patches are answered and blended.
        overlap: share of a side that neighbouring patches have in common at least, 0 up to below 1.
        batch: patches answered at once.
        mirror_axes: spatial axes to mirror; the logits of all their combinations are averaged.
        finish: blended logits (1, classes, *part) to the result's (1, …, *part), for a part of the planes at a time:
            `CLASS_PROBABILITIES`, `LIKELIEST_CLASS`, or another.

    Raises:
        EquipoiseError: sides, overlap or axes do not fit the image, or the answer is of another shape or not finite.
    """
    blended = _blended(answer, image, patch, classes, device, overlap, batch, mirror_axes)
    return _collected(blended, image.shape[1:], finish)


def _collected(
    blended: Iterator[tuple[int, Tensor]], spatial: tuple[int, ...], finish: Callable[[Tensor], Tensor]
) -> NDArray[Any]:
    """Finish every part and write it to its planes of one array."""
    parts = ((first, _finished(first, logits, finish)) for first, logits in blended)
    # An image has at least one part. The first one shows what `finish` returns, and whether it keeps a leading axis
    # (classes or regions).
    first, part = next(parts)
    leading = part.shape[: part.ndim - len(spatial)]
    result = np.empty((*leading, *spatial), np.float32 if part.dtype.kind == "f" else np.uint8)
    by_plane = np.moveaxis(result, len(leading), 0)
    for at, each in chain([(first, part)], parts):
        planes = np.moveaxis(each, len(leading), 0)
        by_plane[at : at + len(planes)] = planes
    return result


def _finished(first: int, logits: Tensor, finish: Callable[[Tensor], Tensor]) -> NDArray[Any]:
    """Finish one part's logits (classes, planes, *rest), whose first plane is `first`; refuses non-finite logits."""
    if not bool(logits.isfinite().all()):
        raise EquipoiseError(
            f"the model's logits are not finite in planes {first} to {first + logits.shape[1] - 1} of the image; "
            "train it with a smaller learning rate or in float32"
        )
    finished: NDArray[Any] = finish(logits[None])[0].cpu().numpy()
    return finished


def _blended(
    answer: Answer,
    image: NDArray[Any],
    patch: tuple[int, ...],
    classes: int,
    device: torch.device,
    overlap: float,
    batch: int,
    mirror_axes: Sequence[int],
) -> Iterator[tuple[int, Tensor]]:
    """Yield pairs (first plane, logits (classes, planes, *rest)) that cover the first spatial axis in order."""
    spatial = image.shape[1:]
    check_windows(spatial, patch, overlap, batch, mirror_axes)
    axes = [_windows(size, side, overlap, device) for size, side in zip(spatial, patch, strict=True)]
    answer = mirrored(answer, mirror_axes)
    sums = torch.zeros((classes, min(patch[0], spatial[0]), *spatial[1:]), device=device)
    ends = [window.start for window in axes[0][1:]] + [spatial[0]]
    for slab, end in zip(axes[0], ends, strict=True):
        for group in _groups([(slab, *rest) for rest in product(*axes[1:])], batch):
            with torch.inference_mode():
                logits = answer(_read(image, group, patch).to(device))
                _check_answer(logits, (len(group), classes, *patch))
                for one, place in zip(logits, group, strict=True):
                    _add(sums, one, place)
        done = end - slab.start
        rows = max(1, FINISHED_AT_ONCE // max(1, classes * math.prod(spatial[1:])))
        for row in range(0, done, rows):
            yield slab.start + row, sums[:, row : min(row + rows, done)]
        _move_up(sums, done)


def _windows(size: int, side: int, overlap: float, device: torch.device) -> list[_Window]:
    """Return the windows of one axis with their weights on the device."""
    return [
        _Window(window.start, window.stop, window.cut, torch.from_numpy(window.weight).to(device))
        for window in axis_windows(size, side, overlap)
    ]


def _read(image: NDArray[Any], group: Sequence[tuple[_Window, ...]], patch: tuple[int, ...]) -> Tensor:
    """Read patches as float32 (n, channel, *patch), with zeros where they reach beyond the image."""
    patches = torch.zeros((len(group), len(image), *patch))
    for one, place in zip(patches.numpy(), group, strict=True):
        inside = (slice(None), *(window.patch for window in place))
        one[inside] = image[(slice(None), *(window.image for window in place))]
    return patches


def _add(sums: Tensor, logits: Tensor, place: tuple[_Window, ...]) -> None:
    """Add one patch's logits (classes, *patch), times its weights, to the slab that starts where the patch starts."""
    weight = place[0].weight
    for window in place[1:]:
        weight = weight[..., None] * window.weight
    target = sums[(slice(None), slice(None), *(window.image for window in place[1:]))]
    inside = logits[(slice(None), *(window.patch for window in place))]
    target.addcmul_(inside.float(), weight)


def _move_up(sums: Tensor, planes: int) -> None:
    """Drop the first planes, move the others to the front and blank the rest, without a copy of the accumulator."""
    depth = sums.shape[1]
    # Plane by plane, because source and target overlap: one slice assignment would read planes it has overwritten.
    for plane in range(planes, depth):
        sums[:, plane - planes] = sums[:, plane]
    sums[:, max(0, depth - planes) :] = 0


def mirrored(answer: Answer, axes: Sequence[int]) -> Answer:
    """Average the answer over all combinations of mirrored spatial axes; maps are mirrored back first."""
    subsets = list(mirror_subsets(axes))

    def mean(patches: Tensor) -> Tensor:
        """Average the logits of all mirrored copies."""
        total = answer(patches).float()
        for subset in subsets[1:]:
            other = answer(patches.flip(subset)).float()
            total = total + (other.flip(subset) if other.ndim == patches.ndim else other)
        return total / len(subsets)

    return mean if axes else answer


def _groups(places: list[tuple[_Window, ...]], batch: int) -> Iterator[list[tuple[_Window, ...]]]:
    for first in range(0, len(places), batch):
        yield places[first : first + batch]


def _check_answer(logits: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(logits.shape) != shape:
        raise EquipoiseError(
            f"the model returned shape {tuple(logits.shape)} where logits of shape {shape} are needed; a segmenter "
            "must keep the size of its patches and return one channel for each class"
        )
