"""DeepLabV3+ (Chen 2018) in 2D and 3D: atrous pyramid over a residual encoder, decoder with a low-level skip."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from equipoise.models.blocks import CONVOLUTION, Layers, global_mean, initialise, resize_to
from equipoise.models.heads import head
from equipoise.models.normalization import Chain
from equipoise.models.resnet import ResidualEncoder, ResidualSize
from equipoise.models.settings import (
    Task,
    check_construction,
    check_counts,
    check_input,
    choose,
)


@dataclass(frozen=True)
class DeepLabSize:
    """Sizes of a DeepLabV3+.

    Attributes:
        encoder: the residual encoder's sizes.
        output_stride: input pixels per pixel of the deepest map.
        rates: dilations of the pyramid's three atrous branches, for an output stride of `output_stride`.
        channels: channels of the pyramid and of the decoder.
        low_channels: channels to which the low-level map is reduced (48 in the publication).
        separable: depthwise separable convolutions in pyramid and decoder, as published.
    """

    encoder: ResidualSize
    output_stride: int = 16
    rates: tuple[int, ...] = (12, 24, 36)
    channels: int = 256
    low_channels: int = 48
    separable: bool = True


def _published(blocks: tuple[int, ...], bottleneck: bool) -> DeepLabSize:
    """DeepLabV3+ over a residual network of the original widths."""
    return DeepLabSize(ResidualSize(blocks, (64, 128, 256, 512), bottleneck))


PRESETS: dict[str, DeepLabSize] = {
    "tiny": DeepLabSize(
        ResidualSize((1, 1, 1), (8, 16, 32), stem_channels=8, stem="small"), 8, (1, 2, 3), 16, 8, separable=False
    ),
    "small": DeepLabSize(
        ResidualSize((1, 2, 2), (16, 32, 64), stem_channels=16, stem="small"), 8, (1, 2, 3), 32, 16, separable=False
    ),
    "resnet18": _published((2, 2, 2, 2), bottleneck=False),
    "resnet34": _published((3, 4, 6, 3), bottleneck=False),
    "resnet50": _published((3, 4, 6, 3), bottleneck=True),
    "resnet101": _published((3, 4, 23, 3), bottleneck=True),
}
"""Published sizes have the name of their residual encoder; "tiny" and "small" have a stem of stride 2."""
OUTPUT_STRIDES = (4, 8, 16, 32)


class _AtrousPyramid(nn.Module):
    """Combine five views of one map (pointwise, three dilations, the mean over the image) by one projection."""

    def __init__(self, layers: Layers, in_channels: int, size: DeepLabSize) -> None:
        super().__init__()
        wide = size.channels
        self.branches = nn.ModuleList([layers.conv_norm_act(in_channels, wide, 1)])
        for rate in size.rates:
            self.branches.append(_spatial(layers, in_channels, wide, size.separable, rate))
        # The mean is one value per channel. Instance normalisation would subtract that value from itself.
        norm = [layers.norm(wide)] if layers.normalization != "instance" else []
        self.pool = Chain(layers.convolution(in_channels, wide, 1, bias=not norm), *norm, layers.act())
        views = len(self.branches) + 1
        self.project = nn.Sequential(layers.conv_norm_act(views * wide, wide, 1), *layers.drop())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Join the views of all branches and of the global mean: (n, channel, *sides) to the same sides."""
        whole = global_mean(x).reshape(*x.shape[:2], *(1 for _ in x.shape[2:]))
        views = [branch(x) for branch in self.branches]
        # A view, not an interpolation: the mean is the same at every pixel, and `cat` copies it once.
        views.append(self.pool(whole).expand(-1, -1, *x.shape[2:]))
        projected: torch.Tensor = self.project(torch.cat(views, dim=1))
        return projected


def _spatial(layers: Layers, in_channels: int, out_channels: int, separable: bool, rate: int = 1) -> nn.Sequential:
    """Build a 3-wide convolution, separable or plain, with normalisation and activation."""
    if not separable:
        return layers.conv_norm_act(in_channels, out_channels, dilation=rate)
    convolution = layers.separable(in_channels, out_channels, rate)
    return Chain(convolution, layers.norm(out_channels), layers.act())


class DeepLab(nn.Module):
    """DeepLabV3+: (N, in_channels, *spatial) to logits (N, out_channels) or (N, out_channels, *spatial).

    The classifier uses the whole trunk: the pyramid's map and the decoder's map are averaged over space, and one
    linear layer reads the concatenated means. A segmenter's logits are interpolated to the input's size.

    Args:
        in_channels: channels of the image.
        out_channels: classes, or regions.
        spatial_dims: 2 or 3.
        task: "classification" or "segmentation".
        preset: "tiny", "small", "resnet18", "resnet34", "resnet50" or "resnet101" (see `PRESETS`).
        normalization: "batch", "instance" or "group".
        activation: see `equipoise.models.blocks.ACTIVATIONS`.
        dropout: probability after the pyramid, and before a classifier's linear layer.
        output_stride: 4, 8, 16 or 32 input pixels per pixel of the deepest map; the pyramid's rates follow it.
        rates: dilations of the pyramid in place of the preset's.
        separable: separable convolutions in pyramid and decoder, in place of the preset's choice.
        deep_supervision: in training a segmenter returns a list: its logits, and those of the pyramid's map at that
            map's own sides (as in Chen's and Zhao's networks); in evaluation the full-resolution tensor alone.
        unknown: catches misspelt settings; any raises EquipoiseError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        spatial_dims: int,
        *,
        task: Task = "segmentation",
        preset: str = "small",
        normalization: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        output_stride: int | None = None,
        rates: Sequence[int] | None = None,
        separable: bool | None = None,
        deep_supervision: bool = False,
        **unknown: object,
    ) -> None:
        super().__init__()
        check_construction("deeplab", type(self), unknown, (in_channels, out_channels), spatial_dims, task)
        size = _sized(PRESETS[choose(preset, PRESETS, "preset", "deeplab")], output_stride, rates, separable)
        layers = Layers("deeplab", spatial_dims, normalization, activation, dropout)
        self.in_channels, self.spatial_dims, self.task = in_channels, spatial_dims, task
        self.smallest_side = size.output_stride * layers.fewest_pixels
        self.encoder = ResidualEncoder(layers, in_channels, size.encoder, size.output_stride)
        self.pyramid = _AtrousPyramid(layers, self.encoder.out_channels, size)
        self.refine = _spatial(layers, size.channels, size.channels, size.separable)
        self.low = layers.conv_norm_act(self.encoder.low_channels, size.low_channels, 1)
        self.decoder = _spatial(layers, size.channels + size.low_channels, size.channels, size.separable)
        self.feature_channels = size.channels * (2 if task == "classification" else 1)
        self.head = head(task, self.feature_channels, out_channels, spatial_dims, dropout)
        coarser = (size.channels,) if deep_supervision and task == "segmentation" else ()
        self.coarse_heads = nn.ModuleList(CONVOLUTION[spatial_dims](w, out_channels, 1) for w in coarser)
        initialise(self)

    def blocks(self) -> list[nn.Module]:
        """Return the parts whose inner maps can be computed again for the gradient in place of being kept."""
        return [*self.encoder.stages(), self.pyramid, self.refine, self.decoder]

    def _decoded(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pyramid's map and the decoder's map."""
        check_input(x, "deeplab", self.in_channels, self.spatial_dims, self.smallest_side)
        low, deep = self.encoder(x)
        deep = self.refine(self.pyramid(deep))
        low = self.low(low)
        return deep, self.decoder(torch.cat([resize_to(deep, low.shape[2:]), low], dim=1))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the head's input: (N, feature_channels), or a map with the sides of the encoder's low-level map."""
        deep, decoded = self._decoded(x)
        if self.task == "segmentation":
            return decoded
        return torch.cat([global_mean(deep), global_mean(decoded)], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return logits at the input's resolution; while training with deep supervision, a list of logits."""
        if self.training and len(self.coarse_heads):
            deep, decoded = self._decoded(x)
            return [resize_to(self.head(decoded), x.shape[2:]), self.coarse_heads[0](deep)]
        logits: torch.Tensor = self.head(self.features(x))
        return resize_to(logits, x.shape[2:]) if self.task == "segmentation" else logits


def _sized(
    size: DeepLabSize, output_stride: int | None, rates: Sequence[int] | None, separable: bool | None
) -> DeepLabSize:
    """Apply the user's settings to a preset; halving the output stride doubles the preset's rates (Chen 2018)."""
    if output_stride is not None:
        choose(output_stride, OUTPUT_STRIDES, "output_stride", "deeplab")
        # Rates count pixels of the deepest map: scaled, the branches keep their reach in pixels of the input.
        scaled = tuple(max(1, rate * size.output_stride // output_stride) for rate in size.rates)
        size = replace(size, output_stride=output_stride, rates=scaled)
    if rates is not None:
        size = replace(size, rates=check_counts(rates, "rates", "deeplab"))
    return size if separable is None else replace(size, separable=separable)
