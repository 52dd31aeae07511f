"""Gradients whose sums have one order, for graphics cards: torch's own CUDA kernels add them in the order of threads.

With deterministic algorithms on, torch refuses those kernels ("does not have a deterministic implementation"): the
gradients of poolings and of padding, and the cross-entropy of maps. They are replaced here for the CUDA device, below
autograd, so that functional calls and layers of any model have them. On a CPU nothing changes.

All windows of a pooling start at one place of the input for each step through the window; a step's additions never
meet, and the steps follow one another. Means and padding are one matrix along each axis, whose transpose is the
gradient (the chain rule of a separable linear map).
"""

import functools
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

VOLUME = ("z", "y", "x")
"""Axes of the poolings that torch refuses: those of pictures are repeatable."""
SUMMED, MEAN = 2, 1
"""Codes of `reduction` in torch's operators; 0 is none."""


def max_pool_gradient(
    gradient: Tensor,
    x: Tensor,
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,  # noqa: ARG001 - the signature is torch's
    indices: Tensor,
) -> Tensor:
    """Return the gradient of a maximum over windows with respect to its input.

    gradient, indices: (..., *pooled), with each maximum's flat index in the input's map. x: (..., *sides).
    """
    ndim = len(VOLUME)
    sides, pooled = x.shape[-ndim:], gradient.shape[-ndim:]
    window, padding, dilation = (_per_axis(value, ndim) for value in (window, padding, dilation))
    stride = _per_axis(stride, ndim) or window
    spans = [(p - 1) * s + (w - 1) * d + 1 for p, s, w, d in zip(pooled, stride, window, dilation, strict=True)]
    room = [max(span, pad + side) for span, pad, side in zip(spans, padding, sides, strict=True)]
    total = gradient.new_zeros((*x.shape[:-ndim], *room))
    starts = [
        torch.arange(p, device=gradient.device) * s - pad for p, s, pad in zip(pooled, stride, padding, strict=True)
    ]
    for step in itertools.product(*(range(side) for side in window)):
        offsets = [k * d for k, d in zip(step, dilation, strict=True)]
        place = _flat([start + offset for start, offset in zip(starts, offsets, strict=True)], sides)
        cut: Any = tuple(
            slice(offset, offset + (p - 1) * s + 1, s) for offset, p, s in zip(offsets, pooled, stride, strict=True)
        )
        total[(..., *cut)] += gradient * (indices == place)
    inner: Any = tuple(slice(pad, pad + side) for pad, side in zip(padding, sides, strict=True))
    return total[(..., *inner)].contiguous()


def _flat(places: Sequence[Tensor], sides: Sequence[int]) -> Tensor:
    """Return the flat index of every combination of the axes' places; -1 where one lies outside the map."""
    inside, flat = torch.tensor(True, device=places[0].device), torch.tensor(0, device=places[0].device)
    for axis, (place, side) in enumerate(zip(places, sides, strict=True)):
        shape = [1] * len(places)
        shape[axis] = -1
        inside = inside & ((place >= 0) & (place < side)).view(shape)
        flat = flat * side + place.view(shape)
    return torch.where(inside, flat, -1)


def _per_axis(value: Sequence[int], ndim: int) -> Sequence[int]:
    """Torch passes one number for all axes, or none where the stride is that of the window."""
    return tuple(value) * ndim if len(value) == 1 else tuple(value)


def mean_pool_gradient(
    gradient: Tensor,
    x: Tensor,
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,  # noqa: ARG001 - the signature is torch's
    count_padding: bool,
    divisor: int | None,
) -> Tensor:
    """Return the gradient of a mean over windows with respect to its input (..., *sides)."""
    ndim = len(VOLUME)
    sides, pooled = x.shape[-ndim:], gradient.shape[-ndim:]
    window, padding = _per_axis(window, ndim), _per_axis(padding, ndim)
    stride = _per_axis(stride, ndim) or window
    matrices = []
    for side, out, w, s, pad in zip(sides, pooled, window, stride, padding, strict=True):
        start = torch.arange(out, device=x.device)[:, None] * s - pad
        # The last window of ceil_mode ends at the padded border, and counts what lies within it.
        end = (start + w).clamp(max=side + pad)
        place = torch.arange(side, device=x.device)
        counted = (end - start) if count_padding else end.clamp(max=side) - start.clamp(min=0)
        inside = ((place >= start) & (place < end)).double()
        matrices.append(inside if divisor else inside / counted)
    result = _transposed(gradient, matrices)
    return result / divisor if divisor else result


def adaptive_mean_gradient(gradient: Tensor, x: Tensor, ndim: int) -> Tensor:
    """Return the gradient of a mean over `ndim` axes whose windows torch derives from both sizes."""
    matrices = []
    for side, out in zip(x.shape[-ndim:], gradient.shape[-ndim:], strict=True):
        number = torch.arange(out, device=x.device)[:, None]
        start, end = number * side // out, -(-(number + 1) * side // out)
        place = torch.arange(side, device=x.device)
        matrices.append(((place >= start) & (place < end)).double() / (end - start))
    return _transposed(gradient, matrices)


def padding_gradient(gradient: Tensor, x: Tensor, padding: Sequence[int], mirrored: bool) -> Tensor:
    """Return the gradient of padding that repeats the border (or mirrors at it) with respect to its input.

    padding: as torch gives it, (before, after) of the last axis first.
    """
    ndim = len(padding) // 2
    matrices = []
    for axis in range(ndim):
        before, after = padding[2 * (ndim - 1 - axis) : 2 * (ndim - axis)]
        side = x.shape[x.ndim - ndim + axis]
        place = torch.arange(-before, side + after, device=x.device)
        source = (side - 1) - ((side - 1) - place.abs()).abs() if mirrored else place.clamp(0, side - 1)
        matrices.append((source[:, None] == torch.arange(side, device=x.device)).float())
    return _transposed(gradient, matrices)


def _transposed(gradient: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Multiply the last axes by matrices (out, in) from the side of `out`; in float32 and more, as torch's kernels."""
    kind = gradient.dtype if gradient.dtype == torch.float64 else torch.float32
    result = gradient.to(kind)
    for axis, matrix in enumerate(matrices):
        place = result.ndim - len(matrices) + axis
        result = (result.movedim(place, -1) @ matrix.to(kind)).movedim(-1, place)
    return result.to(gradient.dtype).contiguous()


def map_entropy(
    log_p: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignored: int
) -> tuple[Tensor, Tensor]:
    """Return −log p of each pixel's class, (n, y, x) or reduced, and the sum of the weights.

    log_p: (n, classes, y, x). target: class indices (n, y, x).
    """
    counted = target != ignored
    index = torch.where(counted, target, 0)
    weights = counted.to(log_p.dtype) if weight is None else weight.to(log_p.dtype)[index] * counted
    losses = -log_p.gather(1, index[:, None])[:, 0] * weights
    losses = torch.where(counted, losses, torch.zeros_like(losses))
    total = weights.sum()
    if reduction == MEAN:
        return losses.sum() / total, total
    if reduction == SUMMED:
        return losses.sum(), total
    return losses, total.new_zeros(())


def map_entropy_gradient(
    gradient: Tensor,
    log_p: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: int,
    ignored: int,
    total: Tensor,
) -> Tensor:
    """Return the gradient of `map_entropy` with respect to log_p."""
    counted = target != ignored
    index = torch.where(counted, target, 0)
    weights = counted.to(log_p.dtype) if weight is None else weight.to(log_p.dtype)[index] * counted
    each = -weights * gradient
    if reduction == MEAN:
        each = each / total
    classes = torch.arange(log_p.shape[1], device=log_p.device).view(1, -1, 1, 1)
    return torch.where((classes == index[:, None]) & counted[:, None], each[:, None], torch.zeros_like(log_p))


def _adaptive_max(ndim: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def gradient_of(gradient: Tensor, x: Tensor, indices: Tensor) -> Tensor:
        """Add in the order of the pooled map, one pooled pixel after the other: windows may share a maximum."""
        total = gradient.new_zeros((*x.shape[:-ndim], x.shape[-ndim:].numel()))
        flat, places = gradient.flatten(-ndim), indices.flatten(-ndim)
        for number in range(flat.shape[-1]):
            one = places[..., number : number + 1]
            total.scatter_(-1, one, total.gather(-1, one) + flat[..., number : number + 1])
        return total.view(x.shape)

    return gradient_of


def implementations() -> dict[str, Callable[..., Any]]:
    """Return the replacements by the name of torch's operator."""
    padded = {
        f"{name}_pad{ndim}d_backward": functools.partial(padding_gradient, mirrored=name == "reflection")
        for name in ("replication", "reflection")
        for ndim in (1, 2, 3)
    }
    return {
        "max_pool3d_with_indices_backward": max_pool_gradient,
        "avg_pool3d_backward": mean_pool_gradient,
        "_adaptive_avg_pool2d_backward": functools.partial(adaptive_mean_gradient, ndim=2),
        "_adaptive_avg_pool3d_backward": functools.partial(adaptive_mean_gradient, ndim=3),
        "adaptive_max_pool2d_backward": _adaptive_max(2),
        "adaptive_max_pool3d_backward": _adaptive_max(3),
        "nll_loss2d_forward": map_entropy,
        "nll_loss2d_backward": map_entropy_gradient,
        **padded,
    }


@functools.cache
def replace_cuda_gradients() -> torch.library.Library:
    """Install the replacements for the CUDA device in this process, once; they stay until it ends."""
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        # Torch warns of every replacement; that is what is wanted here.
        warnings.filterwarnings("ignore", message="(?s).*[Oo]verriding a previously registered kernel")
        for name, function in implementations().items():
            library.impl(name, function, "CUDA")  # type: ignore[no-untyped-call]
    return library
