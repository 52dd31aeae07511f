"""Normalisation joined with the activation after it, for channels-last memory on a CPU.

A C kernel (normalize.c) computes both in one forward and one backward pass where the machine has a compiler. It has
the formula of torch's own layers and equals them within rounding.
"""

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equipoise.errors import EquipoiseError, Interrupted
from equipoise.kernels.build import SOURCES, build

_DEFINITIONS: dict[torch.dtype, tuple[str, ...]] = {torch.float32: (), torch.bfloat16: ("HALF",)}


class _Shape(ctypes.Structure):
    """`Shape` of normalize.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("segments", "rows", "channels")),
        ("threads", ctypes.c_int32),
        ("slope", ctypes.c_float),
        ("eps", ctypes.c_float),
    )


@functools.cache
def kernel(dtype: torch.dtype) -> ctypes.CDLL | None:
    """Return normalize.c built for one type of values, once per process; None without a compiler or for other types."""
    if dtype not in _DEFINITIONS:
        return None
    source = SOURCES / "normalize.c"
    try:
        library = build(source, *_DEFINITIONS[dtype], parallel=True, otherwise="use torch's own layers")
    except Interrupted:
        raise  # other processes have built it
    except EquipoiseError:
        return None
    for name, tensors in (("statistics", 4), ("forward", 6), ("backward", 9)):
        getattr(library, name).argtypes = [ctypes.c_void_p] * tensors + [ctypes.POINTER(_Shape)]
    return library


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel can normalise `x` with these weights."""
    # The compiler's tracer cannot see into a C call; it would break the graph here.
    if x.device.type != "cpu" or weight.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    return channels_last(x) and x.numel() > 0 and kernel(x.dtype) is not None


def channels_last(x: Tensor) -> bool:
    """Whether channels are the fastest axis in memory."""
    if x.ndim not in (4, 5):
        return False
    return x.is_contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


def normalise(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float, by_case: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise every channel, over the batch or by case, and apply the activation.

    Args:
        x: (N, C, *spatial) in channels-last memory, of a type that `kernel` knows.
        weight: scale of every channel, float32.
        bias: shift of every channel, float32.
        eps: added to the variance.
        slope: slope of the activation below zero: 0 is ReLU, 1 is no activation.
        by_case: whether every case has its own mean and variance.

    Returns:
        The result; and, without gradients, the means (float32) and biased variances (float64), (N or 1, C).
    """
    result: tuple[Tensor, Tensor, Tensor] = _Normalise.apply(x, weight, bias, eps, slope, by_case)
    return result


def _check(status: int) -> None:
    # The C functions return a status because an exception cannot cross ctypes; they fail in malloc alone.
    if status:
        raise MemoryError("no memory for the statistics of a normalisation layer")


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float, by_case: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalise and activate; keep what the gradient needs."""
        segments, channels = (len(x) if by_case else 1), x.shape[1]
        rows = x.numel() // (segments * channels)
        shape = _Shape(segments, rows, channels, torch.get_num_threads(), slope, eps)
        mean, inverse = torch.empty(2, segments, channels).unbind()
        variance = torch.empty(segments, channels, dtype=torch.float64)
        result, library = torch.empty_like(x), kernel(x.dtype)
        assert library is not None  # noqa: S101 (`fits` was asked)
        statistics = (x.data_ptr(), mean.data_ptr(), inverse.data_ptr())
        _check(library.statistics(*statistics, variance.data_ptr(), shape))
        lines = (mean.data_ptr(), inverse.data_ptr(), weight.data_ptr(), bias.data_ptr())
        _check(library.forward(x.data_ptr(), result.data_ptr(), *lines, shape))
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        ctx.shape = shape
        ctx.mark_non_differentiable(mean, variance)
        # Without this, torch would fill gradients of zeros for the two statistics at every backward pass.
        ctx.set_materialize_grads(False)
        return result, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        """Return the gradients of input, weight and bias."""
        x, weight, bias, mean, inverse = ctx.saved_tensors
        if gradient.stride() != x.stride() or gradient.dtype != x.dtype:
            gradient = torch.empty_like(x).copy_(gradient)
        of_x, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)
        tensors = (x, gradient, of_x, mean, inverse, weight, bias, of_weight, of_bias)
        library = kernel(x.dtype)
        assert library is not None  # noqa: S101 (as in the forward pass)
        _check(library.backward(*(tensor.data_ptr() for tensor in tensors), ctx.shape))
        return of_x, of_weight, of_bias, None, None, None
