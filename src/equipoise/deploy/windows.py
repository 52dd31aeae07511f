"""Apply a network to a prepared image, whole or by sliding windows, in numpy: the counterpart of training's.

Windows and weights are those of `preprocessing.window_plan`. Logits leave slab by slab and are decided at once, so
that an answer needs no more memory than one patch's depth of logits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.deploy.contract import Contract
from equipoise.errors import EquipoiseError
from equipoise.preprocessing.window_plan import AxisWindow, axis_windows, check_windows, mirror_subsets

Floats = NDArray[np.float32]
Network = Callable[[Floats], Floats]
"""float32 (n, channel, *sides) → float32 logits (n, outputs) or (n, outputs, *sides)."""
DECIDED_AT_ONCE = 1 << 21
"""Number of logits that are decided at a time, which bounds temporary memory."""


def class_logits(network: Network, image: Floats, contract: Contract) -> Floats:
    """Return the logits (outputs,) of one prepared image (channel, *spatial) of a classifier."""
    _check_sides(image, contract)
    logits = _mirrored(network, contract.window.mirror_axes)(image[None])
    _check_answer(logits, (1, contract.outputs))
    answer: Floats = logits[0]
    return answer


def voxel_logits(network: Network, image: Floats, contract: Contract) -> Iterator[tuple[int, Floats]]:
    """Yield pairs (first plane, logits (outputs, planes, *rest)) that cover the first spatial axis in order."""
    window = contract.window
    answer = _mirrored(network, window.mirror_axes)
    if window.side is not None:
        yield from _blended(answer, image, contract)
        return
    _check_sides(image, contract)
    logits = answer(image[None])
    _check_answer(logits, (1, contract.outputs, *image.shape[1:]))
    rows = _rows(contract.outputs, image.shape[2:])
    for row in range(0, image.shape[1], rows):
        yield row, logits[0, :, row : row + rows]


def collected(
    parts: Iterator[tuple[int, Floats]], spatial: tuple[int, ...], decide: Callable[[Floats], NDArray[Any]], dtype: Any
) -> NDArray[Any]:
    """Decide every part, (outputs, planes, *rest) → (…, planes, *rest), and write it to its planes of one array."""
    result: NDArray[Any] | None = None
    for first, logits in parts:
        decided = decide(logits)
        lead = decided.ndim - len(spatial)
        if result is None:
            result = np.empty((*decided.shape[:lead], *spatial), dtype)
        result[(slice(None),) * lead + (slice(first, first + decided.shape[lead]),)] = decided
    if result is None:
        raise EquipoiseError("the image has no voxel; give one with voxels")
    return result


def softmax(logits: Floats, axis: int = 0) -> Floats:
    """Return probabilities over classes along an axis, as float32."""
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    shares: Floats = shifted / shifted.sum(axis=axis, keepdims=True)
    return shares


def sigmoid(logits: Floats) -> Floats:
    """Return the probability of each region, as float32."""
    # By tanh, which overflows nowhere.
    shares: Floats = (np.tanh(logits * np.float32(0.5)) + np.float32(1)) * np.float32(0.5)
    return shares


def _check_sides(image: Floats, contract: Contract) -> None:
    fixed, smallest = contract.window.fixed, contract.window.smallest
    sides = image.shape[1:]
    if fixed is not None and sides != fixed:
        raise EquipoiseError(
            f"the preprocessed image has the size {sides}, and this network takes only {fixed}; give the image the "
            "size of the trial's images"
        )
    if smallest is not None and any(side < least for side, least in zip(sides, smallest, strict=True)):
        raise EquipoiseError(
            f"the preprocessed image has the size {sides}, and this network needs at least {smallest}; give a larger "
            "image"
        )


def _check_answer(logits: Floats, shape: tuple[int, ...]) -> None:
    if logits.shape != shape:
        raise EquipoiseError(f"the network returned shape {logits.shape} where {shape} is needed; export the arm again")
    if not np.isfinite(logits).all():
        raise EquipoiseError("the network's output for this image is not finite; check the image's values")


def _mirrored(network: Network, axes: Sequence[int]) -> Network:
    """Average the answer over all combinations of mirrored spatial axes; maps are mirrored back first."""
    subsets = list(mirror_subsets(axes))
    if len(subsets) == 1:
        return network

    def mean(patches: Floats) -> Floats:
        """Average the logits of all mirrored copies."""
        total = network(patches)
        for subset in subsets[1:]:
            other = network(np.ascontiguousarray(np.flip(patches, subset)))
            total = total + (np.flip(other, subset) if other.ndim == patches.ndim else other)
        return total / np.float32(len(subsets))

    return mean


def _rows(outputs: int, rest: tuple[int, ...]) -> int:
    return max(1, DECIDED_AT_ONCE // max(1, outputs * math.prod(rest)))


def _blended(answer: Network, image: Floats, contract: Contract) -> Iterator[tuple[int, Floats]]:
    window, spatial = contract.window, image.shape[1:]
    patch = window.side or spatial
    check_windows(spatial, patch, window.overlap, window.batch, window.mirror_axes)
    axes = [axis_windows(size, side, window.overlap) for size, side in zip(spatial, patch, strict=True)]
    sums = np.zeros((contract.outputs, min(patch[0], spatial[0]), *spatial[1:]), np.float32)
    ends = [one.start for one in axes[0][1:]] + [spatial[0]]
    for slab, end in zip(axes[0], ends, strict=True):
        places = [(slab, *rest) for rest in product(*axes[1:])]
        for first in range(0, len(places), window.batch):
            group = places[first : first + window.batch]
            logits = answer(_read(image, group, patch))
            _check_answer(logits, (len(group), contract.outputs, *patch))
            for one, place in zip(logits, group, strict=True):
                _add(sums, one, place)
        done, rows = end - slab.start, _rows(contract.outputs, spatial[1:])
        for row in range(0, done, rows):
            yield slab.start + row, sums[:, row : min(row + rows, done)]
        # Plane by plane, because source and target overlap.
        for plane in range(done, sums.shape[1]):
            sums[:, plane - done] = sums[:, plane]
        sums[:, max(0, sums.shape[1] - done) :] = 0


def _read(image: Floats, group: Sequence[tuple[AxisWindow[Floats], ...]], patch: tuple[int, ...]) -> Floats:
    """Read patches as float32 (n, channel, *patch), with zeros where they reach beyond the image."""
    patches = np.zeros((len(group), len(image), *patch), np.float32)
    for one, place in zip(patches, group, strict=True):
        one[(slice(None), *(axis.patch for axis in place))] = image[(slice(None), *(axis.image for axis in place))]
    return patches


def _add(sums: Floats, logits: Floats, place: tuple[AxisWindow[Floats], ...]) -> None:
    """Add one patch's logits (outputs, *patch), times its weights, to the slab that starts where the patch starts."""
    weight = place[0].weight
    for axis in place[1:]:
        weight = weight[..., None] * axis.weight
    inside = logits[(slice(None), *(axis.patch for axis in place))]
    sums[(slice(None), slice(None), *(axis.image for axis in place[1:]))] += inside * weight
