"""Layers that all networks share, in 2D and 3D from one source."""

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
    """Factory of layers that share dimensions, normalisation, activation and dropout.

    Attributes:
        model: the network's name, for error messages.
        spatial_dims: 2 (y, x) or 3 (z, y, x).
        normalization: "batch", "instance" or "group" (groups of at least four channels, at most 32 groups).
        activation: one of `ACTIVATIONS`.
        dropout: probability that a block zeroes a value in training; 0 leaves the layer out.
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
        """Pixels per side that the deepest map needs: instance normalisation turns a single pixel into zero."""
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
        """Build a convolution that keeps the size at stride 1; without bias, because a normalisation follows."""
        padding = dilation * (kernel // 2)
        layer = CONVOLUTION[self.spatial_dims]
        return layer(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias)

    def separable(self, in_channels: int, out_channels: int, dilation: int = 1) -> nn.Module:
        """Build a depthwise 3-wide convolution followed by a pointwise one (Chollet 2017)."""
        depthwise = self.convolution(in_channels, in_channels, dilation=dilation, groups=in_channels)
        return nn.Sequential(depthwise, self.convolution(in_channels, out_channels, 1))

    def doubling(self, in_channels: int, out_channels: int) -> nn.Module:
        """Build a transposed convolution that doubles every side."""
        # Window equal to stride: windows do not overlap, so the result has no checkerboard (Odena et al. 2016).
        return TRANSPOSED[self.spatial_dims](in_channels, out_channels, 2, stride=2)

    def norm(self, channels: int) -> nn.Module:
        """Build the normalisation; on a CPU in channels-last memory, "group" is several times slower than the rest."""
        if self.normalization == "instance":
            return InstanceNorm(channels)
        if self.normalization == "group":
            return nn.GroupNorm(group_count(channels), channels)
        return BatchNorm2d(channels) if self.spatial_dims == 2 else BatchNorm3d(channels)

    def act(self) -> nn.Module:
        """Build the activation, never in place: attribution methods hook the tensors around it."""
        return ACTIVATIONS[self.activation]()

    def conv_norm_act(
        self, in_channels: int, out_channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> nn.Sequential:
        """Build a convolution, its normalisation and its activation."""
        convolution = self.convolution(in_channels, out_channels, kernel, stride=stride, dilation=dilation)
        return Chain(convolution, self.norm(out_channels), self.act())

    def drop(self) -> list[nn.Module]:
        """Return the dropout layer as a list of one, or an empty list at probability 0 (a dead layer costs time)."""
        # Single values, not whole channels (Dropout2d): both the U-Net's and the DenseNet's paper drop single values.
        return [nn.Dropout(self.dropout)] if self.dropout else []

    def halve_by_maximum(self) -> nn.Module:
        """Build a maximum over windows of two."""
        return MAX_POOL[self.spatial_dims](2)

    def halve_by_mean(self) -> nn.Module:
        """Build a mean over windows of two."""
        return AVERAGE_POOL[self.spatial_dims](2)

    def early_maximum(self) -> nn.Module:
        """Build the overlapping maximum (window 3, stride 2) of the published stems for 224-pixel images."""
        return MAX_POOL[self.spatial_dims](3, stride=2, padding=1)


def group_count(channels: int) -> int:
    """Return the largest number of groups, at most 32, that divides `channels` into groups of four or more.

    >>> [group_count(channels) for channels in (3, 16, 48, 64, 256)]
    [1, 4, 12, 16, 32]
    """
    # Wu & He (2018) take 32 groups. Groups of fewer than four channels come close to instance normalisation, which
    # erases the contrast of each image; narrow networks therefore get fewer groups, not smaller ones.
    most = max(1, min(32, channels // 4))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def fit_to(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Bring a doubled map to the spatial `size` before halving: at most one slice more or less per axis.

    Halving drops or keeps the odd slice. A missing slice repeats the last one; a surplus slice is cut.
    """
    # An exported network must hold for every size that is free in it, so its trace may not branch on those; fixed sizes
    # are plain numbers there, and take the way below, which copies nothing where they agree.
    if torch.compiler.is_exporting() and not all(type(side) is int for side in (*x.shape[2:], *size)):
        if x.ndim == 4:
            # Padding, then the cut: a look-up of lines took a quarter of a small U-Net's time. Two lines, of which one
            # at least is cut: a cut that may leave all is a branch on the size, which a trace keeps as a condition.
            return functional.pad(x, (0, 2, 0, 2), mode="replicate").narrow(2, 0, size[0]).narrow(3, 0, size[1])
        for axis, side in enumerate(size, start=2):
            planes = torch.arange(side, device=x.device).clamp(max=x.shape[axis] - 1)
            x = x.index_select(axis, planes)
        return x
    # A concatenation, because the backward pass of replicate padding is not deterministic on a GPU.
    for axis, side in enumerate(size, start=2):
        if x.shape[axis] < side:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
        elif x.shape[axis] > side:
            x = x.narrow(axis, 0, side)
    return x


def resize_to(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Interpolate linearly to the spatial `size`, corners aligned as in DeepLab's publication."""
    # At equal size interpolation is the identity, but it would still copy the map and its gradient.
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size=size, mode=INTERPOLATION[x.ndim - 2], align_corners=True)


def global_mean(x: torch.Tensor) -> torch.Tensor:
    """Average over all spatial axes: (N, C, *spatial) to (N, C)."""
    # The axes are merged in memory order, so that the gradient comes back in the memory format of `x`: a gradient in
    # the other format slowed the preceding layer by a factor of seven.
    if x.is_contiguous():
        return x.flatten(2).mean(2)
    return x.movedim(1, -1).flatten(1, -2).mean(1)


def initialise(network: nn.Module) -> None:
    """Draw convolution weights from He's normal distribution (2015), with torch's current generator."""
    # The gain of ReLU serves every activation: that of a leaky ReLU with slope 0.01 differs from it by 0.005 %.
    # Linear layers keep torch's own initialisation.
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
