"""Normalisation layers that are right for the last small batch of an epoch, and fast in channels-last memory."""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that takes its running statistics where a batch holds one value per channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (N, C, y, x)."""
        return _with_running_statistics(self, x) if _single(self, x) else super().forward(x)


class BatchNorm3d(nn.BatchNorm3d):
    """As `BatchNorm2d`, for volumes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (N, C, z, y, x)."""
        return _with_running_statistics(self, x) if _single(self, x) else super().forward(x)


def _single(norm: nn.Module, x: torch.Tensor) -> bool:
    """Whether training would have to take the variance of one value, which torch refuses."""
    return norm.training and x.numel() == x.shape[1]


def _with_running_statistics(norm: nn.BatchNorm2d | nn.BatchNorm3d, x: torch.Tensor) -> torch.Tensor:
    """Normalise as in evaluation: one value has no variance, and the last batch of an epoch may be one case."""
    return functional.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
    )


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov 2016) with scale and shift, in 2D and 3D, the same in training and evaluation.

    In channels-last memory on a CPU torch copies to the other format and back, or takes a path that is up to 25 times
    slower in bf16; there each case goes through the batch-normalisation kernel by itself, which is the same formula.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise every channel of every case of (N, C, *spatial)."""
        compiling = torch.compiler.is_compiling()
        if x.device.type == "cpu" and not compiling and not x.is_contiguous() and _channels_last(x):
            result: torch.Tensor = _CaseByCase.apply(x, self.weight, self.bias, self.eps)
            return result
        return functional.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)


def _channels_last(x: torch.Tensor) -> bool:
    """Whether channels are the fastest axis in memory."""
    layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    return x.is_contiguous(memory_format=layout)


class _CaseByCase(torch.autograd.Function):
    """Batch normalisation's kernel on one case at a time, written straight into the result."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        exact = torch.float64 if x.dtype == torch.float64 else torch.float32
        mean, inverse = (torch.empty(x.shape[:2], dtype=exact) for _ in range(2))
        result = torch.empty_like(x)
        scale, shift = weight.to(exact), bias.to(exact)  # the kernel keeps statistics in the precision of these
        kernel = torch.ops.aten.native_batch_norm.out
        for n in range(len(x)):
            out = {"out": result[n : n + 1], "save_mean": mean[n], "save_invstd": inverse[n]}
            kernel(x[n : n + 1], scale, shift, None, None, True, 0.0, eps, **out)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps = eps
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        if gradient.stride() != x.stride():
            gradient = torch.empty_like(x).copy_(gradient)
        scale = weight.to(mean.dtype)
        of_x, of_scale, of_shift = torch.empty_like(x), torch.zeros_like(scale), torch.zeros_like(scale)
        kernel = torch.ops.aten.native_batch_norm_backward
        for n in range(len(x)):
            case = (gradient[n : n + 1], x[n : n + 1], scale, None, None, mean[n], inverse[n])
            of_image, one, other = kernel(*case, True, ctx.eps, [True, True, True])
            of_x[n] = of_image[0]
            of_scale += one
            of_shift += other
        return of_x, of_scale.to(weight.dtype), of_shift.to(weight.dtype), None
