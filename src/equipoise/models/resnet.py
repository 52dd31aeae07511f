"""Residual encoder (He 2016) whose deep stages replace stride by dilation, as DeepLab requires."""

from dataclasses import dataclass

import torch
from torch import nn

from equipoise.models.blocks import Layers
from equipoise.models.normalization import normalised


@dataclass(frozen=True)
class ResidualSize:
    """Sizes of a residual encoder.

    Attributes:
        blocks: residual blocks per stage.
        channels: channels per stage, before a bottleneck's expansion.
        bottleneck: three convolutions with fourfold expansion in place of two.
        stem_channels: channels of the first convolution.
        stem: "imagenet" (window 7, stride 2, then maximum with stride 2) or "small" (window 3, stride 2).
    """

    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    bottleneck: bool = False
    stem_channels: int = 64
    stem: str = "imagenet"


class _ResidualBlock(nn.Module):
    """Two 3-wide convolutions, or 1-3-1 with fourfold expansion, and a shortcut; names as in the published weights."""

    def __init__(
        self, layers: Layers, in_channels: int, channels: int, stride: int, dilation: int, bottleneck: bool
    ) -> None:
        super().__init__()
        out_channels = 4 * channels if bottleneck else channels
        if bottleneck:
            # The stride is in the 3-wide convolution, as in torchvision's weights; He (2016) had it in the first.
            self.conv1 = layers.convolution(in_channels, channels, 1)
            self.conv2 = layers.convolution(channels, channels, stride=stride, dilation=dilation)
            self.conv3 = layers.convolution(channels, out_channels, 1)
            self.bn3 = layers.norm(out_channels)
        else:
            self.conv1 = layers.convolution(in_channels, channels, stride=stride, dilation=dilation)
            self.conv2 = layers.convolution(channels, channels, dilation=dilation)
        self.bn1, self.bn2 = layers.norm(channels), layers.norm(channels)
        self.bottleneck = bottleneck
        self.act = layers.act()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            projection = layers.convolution(in_channels, out_channels, 1, stride=stride)
            self.downsample = nn.Sequential(projection, layers.norm(out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the block to its shortcut: (n, channel, *sides)."""
        y = self.conv2(normalised(self.conv1(x), self.bn1, self.act))
        y = self.bn3(self.conv3(normalised(y, self.bn2, self.act))) if self.bottleneck else self.bn2(y)
        result: torch.Tensor = self.act(y + self.downsample(x))
        return result


class ResidualEncoder(nn.Module):
    """(N, in_channels, *spatial) to the first stage's map and the last stage's map.

    A stage that would shrink the image beyond `output_stride` keeps its size; instead it dilates every 3-wide
    convolution, twice as far for every omitted stride.

    Attributes:
        low_channels: channels of the first stage's map, 1/4 of the input's sides (1/2 with the small stem).
        out_channels: channels of the last map, which has 1/`output_stride` of the input's sides.
    """

    def __init__(self, layers: Layers, in_channels: int, size: ResidualSize, output_stride: int) -> None:
        super().__init__()
        published = size.stem == "imagenet"
        self.conv1 = layers.convolution(in_channels, size.stem_channels, 7 if published else 3, stride=2)
        self.bn1, self.act = layers.norm(size.stem_channels), layers.act()
        self.pool = layers.early_maximum() if published else nn.Identity()
        shrunk, dilation, width = 4 if published else 2, 1, size.stem_channels
        stages = []
        for index, (count, channels) in enumerate(zip(size.blocks, size.channels, strict=True)):
            stride = 1 if index == 0 else 2
            # Twice the dilation on twice the resolution reads the same pixels, so published weights stay valid.
            if shrunk * stride > output_stride:
                stride, dilation = 1, dilation * 2
            shrunk *= stride
            stages.append(_stage(layers, width, channels, count, stride, dilation, size.bottleneck))
            width = channels * (4 if size.bottleneck else 1)
        self.layer1 = stages[0]
        for number, stage in enumerate(stages[1:], start=2):
            self.add_module(f"layer{number}", stage)
        self.stage_count = len(stages)
        self.low_channels, self.out_channels = size.channels[0] * (4 if size.bottleneck else 1), width

    def stages(self) -> list[nn.Module]:
        """Return the stages, finest first."""
        return [self.get_submodule(f"layer{number}") for number in range(1, self.stage_count + 1)]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first stage's map and the last stage's map."""
        low = x = self.layer1(self.pool(normalised(self.conv1(x), self.bn1, self.act)))
        for number in range(2, self.stage_count + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return low, x


def _stage(
    layers: Layers, in_channels: int, channels: int, count: int, stride: int, dilation: int, bottleneck: bool
) -> nn.Sequential:
    """Build `count` residual blocks, of which the first has the stage's stride."""
    blocks = [_ResidualBlock(layers, in_channels, channels, stride, dilation, bottleneck)]
    out_channels = channels * (4 if bottleneck else 1)
    blocks += [_ResidualBlock(layers, out_channels, channels, 1, dilation, bottleneck) for _ in range(count - 1)]
    return nn.Sequential(*blocks)
