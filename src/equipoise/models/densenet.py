"""DenseNet (Huang 2017) in 2D and 3D; as a segmenter the fully convolutional DenseNet (Jégou 2017)."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from equipoise.models.blocks import CONVOLUTION, TRANSPOSED, Layers, fit_to, global_mean, initialise, resize_to
from equipoise.models.heads import head
from equipoise.models.normalization import normalised
from equipoise.models.settings import Task, check_construction, check_input, choose

Stem = Literal["imagenet", "small", "full"]
STEMS: tuple[Stem, ...] = ("imagenet", "small", "full")


@dataclass(frozen=True)
class DenseNetSize:
    """Sizes of a DenseNet.

    Attributes:
        blocks: dense layers per block.
        growth: channels every dense layer adds.
        stem_channels: channels of the first convolution.
        stem: "imagenet" (window 7, stride 2, then maximum with stride 2), "small" (window 3, then maximum with
            stride 2) or "full" (window 3 at full resolution).
        bottleneck: channels of a layer's pointwise convolution in units of `growth`; 0 leaves it out.
        compression: fraction of the channels that a transition keeps.
    """

    blocks: tuple[int, ...]
    growth: int = 32
    stem_channels: int = 64
    stem: Stem = "imagenet"
    bottleneck: int = 4
    compression: float = 0.5


def _fully_convolutional(blocks: tuple[int, ...], growth: int) -> DenseNetSize:
    """Return the sizes of a network of Jégou 2017, table 2."""
    return DenseNetSize(blocks, growth, stem_channels=48, stem="full", bottleneck=0, compression=1.0)


PRESETS: dict[str, DenseNetSize] = {
    "tiny": DenseNetSize((2, 2, 2), growth=8, stem_channels=8, stem="small", bottleneck=2),
    "small": DenseNetSize((2, 4, 8), growth=16, stem_channels=16, stem="small", bottleneck=2),
    "121": DenseNetSize((6, 12, 24, 16)),
    "169": DenseNetSize((6, 12, 32, 32)),
    "201": DenseNetSize((6, 12, 48, 32)),
    "fc56": _fully_convolutional((4, 4, 4, 4, 4, 4), 12),
    "fc67": _fully_convolutional((5, 5, 5, 5, 5, 5), 16),
    "fc103": _fully_convolutional((4, 5, 7, 10, 12, 15), 16),
}
"""Sizes by their published names; the last block of an "fc" network is its bottleneck."""


class _DenseLayer(nn.Module):
    """Pointwise then 3-wide convolution, each after normalisation and activation; returns the new channels alone."""

    def __init__(self, layers: Layers, in_channels: int, size: DenseNetSize) -> None:
        super().__init__()
        middle = size.bottleneck * size.growth
        self.norm1, self.act = layers.norm(in_channels), layers.act()
        self.narrows = middle > 0
        if self.narrows:
            self.conv1 = layers.convolution(in_channels, middle, 1)
            self.norm2 = layers.norm(middle)
            self.conv2 = layers.convolution(middle, size.growth)
        else:
            self.conv1 = layers.convolution(in_channels, size.growth)
        self.drop = nn.Sequential(*layers.drop())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the new features of one layer: (n, growth, *sides)."""
        x = self.conv1(normalised(x, self.norm1, self.act))
        if self.narrows:
            x = self.conv2(normalised(x, self.norm2, self.act))
        new: torch.Tensor = self.drop(x)
        return new


class _DenseBlock(nn.Module):
    """Dense layers, each of which reads the input concatenated with the new channels of all layers before it."""

    def __init__(self, layers: Layers, in_channels: int, count: int, size: DenseNetSize) -> None:
        super().__init__()
        self.count = count
        for number in range(count):
            layer = _DenseLayer(layers, in_channels + number * size.growth, size)
            self.add_module(f"denselayer{number + 1}", layer)
        self.new_channels = count * size.growth
        self.out_channels = in_channels + self.new_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Append the features of every layer: (n, channel, *sides)."""
        # Appending to one large tensor is faster than joining all small ones before each layer: in channels-last
        # memory a copy runs over all channels of the large tensor at once.
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class _Transition(nn.Module):
    """Normalisation, activation, pointwise convolution and halving by the mean."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm, self.act = layers.norm(in_channels), layers.act()
        self.conv = layers.convolution(in_channels, out_channels, 1)
        self.pool = layers.halve_by_mean()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the sides: (n, channel, *sides / 2)."""
        halved: torch.Tensor = self.pool(self.conv(normalised(x, self.norm, self.act)))
        return halved


class _DenseEncoder(nn.Module):
    """Stem, dense blocks and transitions, with the names of the published weights (`conv0`, `denseblock1`, …)."""

    def __init__(self, layers: Layers, in_channels: int, size: DenseNetSize) -> None:
        super().__init__()
        published = size.stem == "imagenet"
        kernel, stride = (7, 2) if published else (3, 1)
        self.conv0 = layers.convolution(in_channels, size.stem_channels, kernel, stride=stride)
        self.norm0, self.act = layers.norm(size.stem_channels), layers.act()
        pools = {"imagenet": layers.early_maximum, "small": layers.halve_by_maximum, "full": nn.Identity}
        self.pool0 = pools[size.stem]()
        width = size.stem_channels
        self.skip_channels: list[int] = []
        for number, count in enumerate(size.blocks, start=1):
            block = _DenseBlock(layers, width, count, size)
            self.add_module(f"denseblock{number}", block)
            self.skip_channels.append(block.out_channels)
            width = block.out_channels
            if number < len(size.blocks):
                width = int(width * size.compression)
                self.add_module(f"transition{number}", _Transition(layers, block.out_channels, width))
        self.block_count, self.out_channels = len(size.blocks), width

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the stem's map before its pooling, and every dense block's map, finest first."""
        stem = normalised(self.conv0(x), self.norm0, self.act)
        x, maps = self.pool0(stem), []
        for number in range(1, self.block_count + 1):
            x = self.get_submodule(f"denseblock{number}")(x)
            maps.append(x)
            if number < self.block_count:
                x = self.get_submodule(f"transition{number}")(x)
        return stem, maps


class _DenseDecoder(nn.Module):
    """The upward path of Jégou 2017: only the channels that the block below added are doubled and join the skip."""

    def __init__(self, layers: Layers, encoder: _DenseEncoder, size: DenseNetSize) -> None:
        super().__init__()
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        self.added = [size.blocks[-1] * size.growth]
        for count, skip in zip(size.blocks[-2::-1], encoder.skip_channels[-2::-1], strict=True):
            self.ups.append(_doubling(layers, self.added[-1]))
            self.blocks.append(_DenseBlock(layers, skip + self.added[-1], count, size))
            self.added.append(count * size.growth)
        self.out_channels: int = encoder.skip_channels[0] + sum(self.added[-2:]) if len(self.added) > 1 else 0
        self.last: nn.Module | None = None
        if size.stem != "full":
            # The stem's pooling halved the image once more than the blocks did, and Jégou's path has no counterpart
            # to it: one more doubling, joined with the stem's map, restores that level.
            self.ups.append(_doubling(layers, self.added[-1]))
            self.last = layers.conv_norm_act(self.added[-1] + size.stem_channels, size.stem_channels)
            self.out_channels = size.stem_channels

        # Without a map after them, the channels of the finest block are what the head reads.
        self.coarse_channels = self.added[1:] if self.last is not None else self.added[1:-1]

    def forward(
        self, stem: torch.Tensor, maps: list[torch.Tensor], coarse: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Decode the maps, finest last, to the sides of the first skip.

        coarse: a list that gets what every block added, `coarse_channels` each, coarsest first.
        """
        x = maps[-1]
        skips = [*maps[-2::-1], *([stem] if self.last is not None else [])]
        # Not strict: `added` ends with the channels of the finest block, which no doubling follows with a full stem.
        for level, (up, skip, added) in enumerate(zip(self.ups, skips, self.added, strict=False)):
            # Doubling all channels would let their number grow from level to level on the way up (Jégou 2017).
            doubled = fit_to(up(x[:, -added:]), skip.shape[2:])
            joined = torch.cat([skip, doubled], dim=1)
            x = self.blocks[level](joined) if level < len(self.blocks) else joined
            if coarse is not None and level < len(self.coarse_channels):
                coarse.append(x[:, -self.coarse_channels[level] :])
        return x if self.last is None else self.last(x)


def _doubling(layers: Layers, channels: int) -> nn.Module:
    """Build a transposed convolution with window 3 and stride 2 (Jégou 2017, table 1) that doubles every side."""
    return TRANSPOSED[layers.spatial_dims](channels, channels, 3, stride=2, padding=1, output_padding=1)


class DenseNet(nn.Module):
    """DenseNet: (N, in_channels, *spatial) to logits (N, out_channels) or (N, out_channels, *spatial).

    The classifier averages the last block's normalised map over space; the segmenter adds Jégou's upward path to the
    same encoder. With the "imagenet" stem its logits come at half resolution and are interpolated.

    Args:
        in_channels: channels of the image.
        out_channels: classes, or regions.
        spatial_dims: 2 or 3.
        task: "classification" or "segmentation".
        preset: "tiny", "small", "121", "169", "201", or "fc56", "fc67", "fc103" (see `PRESETS`).
        normalization: "batch", "instance" or "group".
        activation: see `equipoise.models.blocks.ACTIVATIONS`.
        dropout: probability after every dense layer, and before a classifier's linear layer.
        stem: "imagenet", "small" or "full" in place of the preset's; small images need a small stem.
        deep_supervision: in training a segmenter returns a list of logits, full resolution first, then those of what
            every coarser block of the upward path adds (Lee 2015); in evaluation the full-resolution tensor alone.
        unknown: catches misspelt settings; any raises EquipoiseError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        spatial_dims: int,
        *,
        task: Task = "classification",
        preset: str = "small",
        normalization: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        stem: Stem | None = None,
        deep_supervision: bool = False,
        **unknown: object,
    ) -> None:
        super().__init__()
        check_construction("densenet", type(self), unknown, (in_channels, out_channels), spatial_dims, task)
        size = PRESETS[choose(preset, PRESETS, "preset", "densenet")]
        if stem is not None:
            choose(stem, STEMS, "stem", "densenet")
            size = replace(size, stem=stem)
        layers = Layers("densenet", spatial_dims, normalization, activation, dropout)
        self.in_channels, self.spatial_dims, self.task = in_channels, spatial_dims, task
        stem_stride = {"imagenet": 4, "small": 2, "full": 1}[size.stem]
        self.smallest_side = stem_stride * 2 ** (len(size.blocks) - 1) * layers.fewest_pixels
        self.encoder = _DenseEncoder(layers, in_channels, size)
        self.decoder = _DenseDecoder(layers, self.encoder, size) if task == "segmentation" else None
        self.feature_channels = self.decoder.out_channels if self.decoder else self.encoder.out_channels
        self.norm5, self.act = layers.norm(self.feature_channels), layers.act()
        self.head = head(task, self.feature_channels, out_channels, spatial_dims, dropout)
        coarser = self.decoder.coarse_channels[::-1] if self.decoder and deep_supervision else []
        self.coarse_heads = nn.ModuleList(CONVOLUTION[spatial_dims](w, out_channels, 1) for w in coarser)
        initialise(self)

    def blocks(self) -> list[nn.Module]:
        """Return the parts whose inner maps can be computed again for the gradient in place of being kept."""
        # Blocks and not single layers: what a layer reads is a map of its own, and all of them would be kept.
        return [module for module in self.modules() if isinstance(module, _DenseBlock)]

    def features(self, x: torch.Tensor, coarse: list[torch.Tensor] | None = None) -> torch.Tensor:
        """Return the head's input: (N, feature_channels), or for segmentation a map (N, feature_channels, *spatial).

        coarse: a list that gets the maps of the coarse heads, coarsest first.
        """
        check_input(x, "densenet", self.in_channels, self.spatial_dims, self.smallest_side)
        stem, maps = self.encoder(x)
        if self.decoder is None:
            return global_mean(normalised(maps[-1], self.norm5, self.act))
        return normalised(self.decoder(stem, maps, coarse), self.norm5, self.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return logits at the input's resolution; while training with deep supervision, a list of logits."""
        supervised = self.training and len(self.coarse_heads) > 0
        coarse: list[torch.Tensor] | None = [] if supervised else None
        logits: torch.Tensor = self.head(self.features(x, coarse))
        whole = resize_to(logits, x.shape[2:]) if self.task == "segmentation" else logits
        if coarse is None:
            return whole
        return [whole, *(to_logits(level) for to_logits, level in zip(self.coarse_heads, coarse[::-1], strict=True))]
