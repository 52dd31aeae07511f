"""Normalisation layers that are right for the last small batch of an epoch, and fast in channels-last memory.

Each takes the activation after it along (`slope`), because reading and writing a map once more costs as much as the
normalisation; `normalised` joins the two layers where that changes nothing but the time.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from equipoise.kernels.normalize import channels_last, fits, normalise

NO_ACTIVATION = 1.0


def activated(x: Tensor, slope: float) -> Tensor:
    """Negative values times `slope`: 0 for ReLU, 1 for no activation."""
    return x if slope == NO_ACTIVATION else functional.leaky_relu(x, slope) if slope else functional.relu(x)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that takes its running statistics where a batch holds one value per channel."""

    def forward(self, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
        """Normalise (N, C, y, x), then multiply negative values by `slope`."""
        found = _of_batch(self, x, slope)
        return activated(super().forward(x), slope) if found is None else found


class BatchNorm3d(nn.BatchNorm3d):
    """As `BatchNorm2d`, for volumes."""

    def forward(self, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
        """Normalise (N, C, z, y, x), then multiply negative values by `slope`."""
        found = _of_batch(self, x, slope)
        return activated(super().forward(x), slope) if found is None else found


def _of_batch(norm: nn.BatchNorm2d | nn.BatchNorm3d, x: Tensor, slope: float) -> Tensor | None:
    """What torch's layer cannot do, or more slowly; None where its own way is the one."""
    if not norm.training:
        return None
    if x.numel() == x.shape[1]:
        # one value has no variance, and the last batch of an epoch may be one case: normalise as in evaluation
        statistics = (norm.running_mean, norm.running_var)
        found = functional.batch_norm(x, *statistics, norm.weight, norm.bias, training=False, eps=norm.eps)
        return activated(found, slope)
    if not fits(x, norm.weight):
        return None
    result, mean, variance = normalise(x, norm.weight, norm.bias, norm.eps, slope, by_case=False)
    _remember(norm, mean[0], variance[0], x.numel() // x.shape[1])
    return result


@torch.no_grad()
def _remember(norm: nn.BatchNorm2d | nn.BatchNorm3d, mean: Tensor, variance: Tensor, values: int) -> None:
    """Move the running statistics as torch does: towards the mean and the unbiased variance."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance.mul_(values / (values - 1)).to(norm.running_var.dtype), share)


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov 2016) with scale and shift, in 2D and 3D, the same in training and evaluation.

    In channels-last memory on a CPU torch copies to the other format and back, or takes a path that is up to 25 times
    slower in bf16; there the kernel of `equipoise.kernels.normalize` goes over each case, or where it cannot be built,
    the batch-normalisation kernel, which is the same formula.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
        """Normalise every channel of every case of (N, C, *spatial), then multiply negative values by `slope`."""
        if x.is_contiguous() or not channels_last(x) or x.device.type != "cpu" or torch.compiler.is_compiling():
            return activated(functional.group_norm(x, x.shape[1], self.weight, self.bias, self.eps), slope)
        if fits(x, self.weight):
            return normalise(x, self.weight, self.bias, self.eps, slope, by_case=True)[0]
        return activated(_CaseByCase.apply(x, self.weight, self.bias, self.eps), slope)


def normalised(x: Tensor, norm: nn.Module, act: nn.Module) -> Tensor:
    """`act(norm(x))`; in training as one layer where the activation is a (leaky) ReLU that nobody listens to."""
    slope = _slope(act)
    if slope is None or not isinstance(norm, BatchNorm2d | BatchNorm3d | InstanceNorm) or not norm.training:
        result: Tensor = act(norm(x))
        return result
    joined: Tensor = norm(x, slope)
    return joined


def _slope(act: nn.Module) -> float | None:
    listeners: tuple[Any, ...] = (act._forward_hooks, act._forward_pre_hooks, act._backward_hooks)
    if any(listeners) or act._backward_pre_hooks:
        return None
    if isinstance(act, nn.LeakyReLU):
        return act.negative_slope
    return 0.0 if isinstance(act, nn.ReLU) else None


class Chain(nn.Sequential):
    """Layers one after another, a normalisation and the activation after it joined."""

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's result."""
        layers, taken = list(self), 0
        while taken < len(layers):
            pair = layers[taken : taken + 2]
            if len(pair) == 2 and isinstance(pair[0], BatchNorm2d | BatchNorm3d | InstanceNorm):
                x, taken = normalised(x, *pair), taken + 2
            else:
                x, taken = pair[0](x), taken + 1
        return x


class _CaseByCase(torch.autograd.Function):
    """Batch normalisation's kernel on one case at a time, written straight into the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
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
