"""Normalisation layers that handle the last small batch of an epoch and are fast in channels-last memory.

Each can apply the activation that follows it (`slope`), because a second pass over the map costs as much as the
normalisation itself; `normalised` joins the two layers where only the time changes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from equipoise.kernels.normalize import channels_last, fits, normalise

NO_ACTIVATION = 1.0


def activated(x: Tensor, slope: float) -> Tensor:
    """Multiply negative values by `slope`: 0 for ReLU, 1 for no activation."""
    return x if slope == NO_ACTIVATION else functional.leaky_relu(x, slope) if slope else functional.relu(x)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that uses its running statistics where a batch holds one value per channel."""

    def forward(self, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
        """Normalise (N, C, y, x), then multiply negative values by `slope`."""
        special = _of_batch(self, x, slope)
        return activated(super().forward(x), slope) if special is None else special


class BatchNorm3d(nn.BatchNorm3d):
    """Like `BatchNorm2d`, for volumes."""

    def forward(self, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
        """Normalise (N, C, z, y, x), then multiply negative values by `slope`."""
        special = _of_batch(self, x, slope)
        return activated(super().forward(x), slope) if special is None else special


def _of_batch(norm: nn.BatchNorm2d | nn.BatchNorm3d, x: Tensor, slope: float) -> Tensor | None:
    """Normalise where torch's layer fails or is slower; None where torch's own layer should run."""
    if not norm.training:
        return None
    if x.numel() == x.shape[1]:
        # One value has no variance, and torch raises an error for it. The last batch of an epoch may be one case with
        # a deepest map of one pixel, so that batch is normalised as in evaluation instead of ending the training.
        statistics = (norm.running_mean, norm.running_var)
        result = functional.batch_norm(x, *statistics, norm.weight, norm.bias, training=False, eps=norm.eps)
        return activated(result, slope)
    if not fits(x, norm.weight):
        return None
    result, mean, variance = normalise(x, norm.weight, norm.bias, norm.eps, slope, by_case=False)
    _update_running(norm, mean[0], variance[0], x.numel() // x.shape[1])
    return result


@torch.no_grad()
def _update_running(norm: nn.BatchNorm2d | nn.BatchNorm3d, mean: Tensor, variance: Tensor, values: int) -> None:
    """Move the running statistics as torch does: towards the mean and the unbiased variance."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    # momentum None means a cumulative average in torch; re-estimating statistics after weight averaging relies on it.
    rate = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, rate)
    norm.running_var.lerp_(variance.mul_(values / (values - 1)).to(norm.running_var.dtype), rate)


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov 2016) with scale and shift, in 2D and 3D, the same in training and evaluation.

    In channels-last memory on a CPU, torch copies to the other format and back, or takes a path that is up to 25 times
    slower in bf16. There the kernel of `equipoise.kernels.normalize` normalises each case; where it cannot be built,
    torch's batch-normalisation kernel does, which has the same formula.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
        """Normalise every channel of every case of (N, C, *spatial), then multiply negative values by `slope`."""
        if x.is_contiguous() or not channels_last(x) or x.device.type != "cpu" or torch.compiler.is_compiling():
            # Group normalisation with one channel per group is the same formula as instance normalisation.
            return activated(functional.group_norm(x, x.shape[1], self.weight, self.bias, self.eps), slope)
        if fits(x, self.weight):
            return normalise(x, self.weight, self.bias, self.eps, slope, by_case=True)[0]
        return activated(_CaseByCase.apply(x, self.weight, self.bias, self.eps), slope)


def normalised(x: Tensor, norm: nn.Module, act: nn.Module) -> Tensor:
    """Return `act(norm(x))`; in training as one layer where the activation is a (leaky) ReLU without hooks."""
    slope = _slope(act)
    if slope is None or not isinstance(norm, BatchNorm2d | BatchNorm3d | InstanceNorm) or not norm.training:
        result: Tensor = act(norm(x))
        return result
    joined: Tensor = norm(x, slope)
    return joined


def _slope(act: nn.Module) -> float | None:
    """Return the slope below zero of a (leaky) ReLU; None for other activations and for one with hooks."""
    # A joined layer never calls the activation's module, so its hooks (attribution methods) would not run.
    hooks: tuple[Any, ...] = (act._forward_hooks, act._forward_pre_hooks, act._backward_hooks)
    if any(hooks) or act._backward_pre_hooks:
        return None
    if isinstance(act, nn.LeakyReLU):
        return act.negative_slope
    return 0.0 if isinstance(act, nn.ReLU) else None


class Chain(nn.Sequential):
    """A sequence of layers in which each normalisation is joined with the activation after it."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's result."""
        layers, position = list(self), 0
        while position < len(layers):
            pair = layers[position : position + 2]
            if len(pair) == 2 and isinstance(pair[0], BatchNorm2d | BatchNorm3d | InstanceNorm):
                x, position = normalised(x, *pair), position + 2
            else:
                x, position = pair[0](x), position + 1
        return x


class _CaseByCase(torch.autograd.Function):
    """Batch normalisation's kernel on one case at a time, written straight into the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        """Normalise by the batch and keep its mean and inverse deviation."""
        exact = torch.float64 if x.dtype == torch.float64 else torch.float32
        mean, inverse = (torch.empty(x.shape[:2], dtype=exact) for _ in range(2))
        result = torch.empty_like(x)
        scale, shift = weight.to(exact), bias.to(exact)  # the kernel keeps statistics in the precision of these
        # The `out` variant writes into a slice of the result: concatenating single cases would copy the whole map.
        kernel = torch.ops.aten.native_batch_norm.out
        for n in range(len(x)):
            out = {"out": result[n : n + 1], "save_mean": mean[n], "save_invstd": inverse[n]}
            kernel(x[n : n + 1], scale, shift, None, None, True, 0.0, eps, **out)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps = eps
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of input, weight and bias."""
        x, weight, mean, inverse = ctx.saved_tensors
        # The kernel reads both tensors in one memory order, and a gradient may arrive in the other one.
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
