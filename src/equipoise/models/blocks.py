"""The layers every network here is built from, in 2D and 3D from one source."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from equipoise.models.normalization import BatchNorm2d, BatchNorm3d, Chain, InstanceNorm
from equipoise.models.settings import check_probability, choose
from equipoise.models.transposed import TransposedConvolution2d, TransposedConvolution3d

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: TransposedConvolution2d, 3: TransposedConvolution3d}
MAX_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOL = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
INTERPOLATION = {2: "bilinear", 3: "trilinear"}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
NORMALIZATIONS = ("batch", "instance", "group")


@dataclass(frozen=True)
class Layers:
    """A maker of layers that share dimensions, normalisation, activation and dropout.

    Attributes:
        model: the network's name, for refusals.
        spatial_dims: 2 (y, x) or 3 (z, y, x).
        normalization: "batch", "instance" or "group" (groups of at least four channels, at most 32 groups).
        activation: one of `ACTIVATIONS`.
        dropout: probability with which a network's blocks zero a value in training; 0 leaves the layer out.
    """

    model: str
    spatial_dims: int
    normalization: str = "batch"
    activation: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        choose(self.normalization, NORMALIZATIONS, "normalization", self.model)
        choose(self.activation, ACTIVATIONS, "activation", self.model)
        check_probability(self.dropout, "dropout", self.model)

    @property
    def fewest_pixels(self) -> int:
        """Pixels a side that the deepest map needs: instance normalisation turns a single pixel into zero."""
        return 2 if self.normalization == "instance" else 1

    def convolution(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> nn.Module:
        """A convolution that keeps the size at stride 1; without bias, because a normalisation follows."""
        padding = dilation * (kernel // 2)
        kind = CONVOLUTION[self.spatial_dims]
        return kind(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias)

    def separable(self, in_channels: int, out_channels: int, dilation: int = 1) -> nn.Module:
        """A depthwise 3-wide convolution followed by a pointwise one (Chollet 2017)."""
        depthwise = self.convolution(in_channels, in_channels, dilation=dilation, groups=in_channels)
        return nn.Sequential(depthwise, self.convolution(in_channels, out_channels, 1))

    def doubling(self, in_channels: int, out_channels: int) -> nn.Module:
        """A transposed convolution that doubles every side."""
        return TRANSPOSED[self.spatial_dims](in_channels, out_channels, 2, stride=2)

    def norm(self, channels: int) -> nn.Module:
        """The normalisation layer; on a CPU in channels-last memory, "group" is several times slower than the rest."""
        if self.normalization == "instance":
            return InstanceNorm(channels)
        if self.normalization == "group":
            return nn.GroupNorm(group_count(channels), channels)
        return BatchNorm2d(channels) if self.spatial_dims == 2 else BatchNorm3d(channels)

    def act(self) -> nn.Module:
        """The activation, never in place: attribution methods hook the tensors around it."""
        return ACTIVATIONS[self.activation]()

    def conv_norm_act(
        self, in_channels: int, out_channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> nn.Sequential:
        """Convolution, normalisation, activation."""
        convolution = self.convolution(in_channels, out_channels, kernel, stride=stride, dilation=dilation)
        return Chain(convolution, self.norm(out_channels), self.act())

    def drop(self) -> list[nn.Module]:
        """The dropout layer as a list of one, or an empty list at probability 0 (a dead layer costs time)."""
        return [nn.Dropout(self.dropout)] if self.dropout else []

    def halve_by_maximum(self) -> nn.Module:
        """Maximum over windows of two."""
        return MAX_POOL[self.spatial_dims](2)

    def halve_by_mean(self) -> nn.Module:
        """Mean over windows of two."""
        return AVERAGE_POOL[self.spatial_dims](2)

    def early_maximum(self) -> nn.Module:
        """The overlapping maximum (window 3, stride 2) of the published stems for 224-pixel images."""
        return MAX_POOL[self.spatial_dims](3, stride=2, padding=1)


def group_count(channels: int) -> int:
    """The largest number of groups, at most 32, that divides `channels` into groups of four or more.

    >>> [group_count(channels) for channels in (3, 16, 48, 64, 256)]
    [1, 4, 12, 16, 32]
    """
    most = max(1, min(32, channels // 4))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def fit_to(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Bring a doubled map to the spatial `size` that was halved before: one slice more or less on every axis.

    Halving drops or keeps the odd slice; a missing one repeats the last, a surplus one is cut. Written as a
    concatenation because the backward pass of replicate padding is not deterministic on a GPU.
    """
    for axis, side in enumerate(size, start=2):
        if x.shape[axis] < side:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
        elif x.shape[axis] > side:
            x = x.narrow(axis, 0, side)
    return x


def resize_to(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Linear interpolation to the spatial `size`, corners aligned as in DeepLab's publication."""
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size=size, mode=INTERPOLATION[x.ndim - 2], align_corners=True)


def global_mean(x: torch.Tensor) -> torch.Tensor:
    """Mean over all spatial axes: (N, C, *spatial) to (N, C).

    The axes are merged in memory order, so that the gradient comes back in the memory format of `x`: a gradient in
    the other format slowed the layer before by a factor of seven.
    """
    if x.is_contiguous():
        return x.flatten(2).mean(2)
    return x.movedim(1, -1).flatten(1, -2).mean(1)


def initialise(network: nn.Module) -> None:
    """Draw convolution weights from He's normal distribution (2015), with torch's current generator."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
