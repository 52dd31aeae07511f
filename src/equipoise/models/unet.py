"""U-Net (Ronneberger, Fischer, Brox 2015) in 2D and 3D, as a segmenter and as a classifier."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn

from equipoise.models.blocks import CONVOLUTION, Layers, fit_to, global_mean, initialise
from equipoise.models.heads import head
from equipoise.models.normalization import Chain, normalised
from equipoise.models.settings import (
    Task,
    check_construction,
    check_counts,
    check_input,
    choose,
)

PRESETS: dict[str, tuple[int, ...]] = {
    "tiny": (4, 8, 16),
    "small": (8, 16, 32, 64, 128),
    "basic": (32, 32, 64, 128, 256),
    "published": (64, 128, 256, 512, 1024),
}
"""Channels per level, finest first: "basic" is MONAI's BasicUNet, "published" is Ronneberger's network."""


class _DoubleConvolution(nn.Module):
    """Two convolutions, each with normalisation, dropout and activation, and an optional shortcut (He 2016)."""

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, residual: bool = False) -> None:
        super().__init__()
        self.first = Chain(
            layers.convolution(in_channels, out_channels), layers.norm(out_channels), *layers.drop(), layers.act()
        )
        self.second = nn.Sequential(
            layers.convolution(out_channels, out_channels), layers.norm(out_channels), *layers.drop()
        )
        self.act = layers.act()
        self.shortcut: nn.Module | None = None
        if residual:
            same = in_channels == out_channels
            self.shortcut = (
                nn.Identity()
                if same
                else nn.Sequential(layers.convolution(in_channels, out_channels, 1), layers.norm(out_channels))
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve twice: (n, channel, *sides) to the same sides."""
        y = self.first(x)
        # Without dropout and shortcut the activation directly follows the normalisation, so the two can be joined.
        if self.shortcut is None and len(self.second) == 2:
            convolution, norm = self.second
            return normalised(convolution(y), norm, self.act)
        y = self.second(y)
        result: torch.Tensor = self.act(y if self.shortcut is None else y + self.shortcut(x))
        return result


class _Up(nn.Module):
    """Double the coarse map, concatenate it with the encoder's map of that level, and convolve twice."""

    def __init__(self, layers: Layers, coarse: int, fine: int) -> None:
        super().__init__()
        self.up = layers.doubling(coarse, fine)
        self.convolutions = _DoubleConvolution(layers, 2 * fine, fine)

    def forward(self, x: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        """Double the sides, join the skip of the level, convolve."""
        # Popping the map drops the list's reference, so that its memory is free before the convolutions, where the
        # use of memory peaks.
        skip = skips.pop()
        joined = torch.cat([skip, fit_to(self.up(x), skip.shape[2:])], dim=1)
        del skip
        result: torch.Tensor = self.convolutions(joined)
        return result


class UNet(nn.Module):
    """U-Net: (N, in_channels, *spatial) to logits (N, out_channels) or (N, out_channels, *spatial).

    The classifier uses the whole trunk, encoder and decoder: every decoder level (the deepest map included) is
    averaged over space, and one linear layer reads the concatenated means, so coarse and fine features both count.
    Images of any size from `smallest_side` pixels are accepted; odd sizes need no padding.

    Args:
        in_channels: channels of the image.
        out_channels: classes, or regions.
        spatial_dims: 2 or 3.
        task: "classification" or "segmentation".
        preset: "tiny", "small", "basic" or "published" (see `PRESETS`).
        normalization: "batch", "instance" or "group"; by default "batch" for a classifier (normalising each
            image by itself would erase contrast before the mean) and "instance" for a segmenter (small batches).
        activation: see `equipoise.models.blocks.ACTIVATIONS`.
        dropout: probability at the end of the contracting path (Ronneberger 2015), and before a classifier's linear
            layer.
        channels: channels per level in place of the preset's, finest first, at least two levels.
        residual: adds a shortcut around every encoder block.
        deep_supervision: in training a segmenter returns a list of logits, full resolution first, each next one
            at half the sides (Lee 2015); in evaluation the full-resolution tensor alone.
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
        normalization: str | None = None,
        activation: str = "leaky-relu",
        dropout: float = 0.0,
        channels: Sequence[int] | None = None,
        residual: bool = False,
        deep_supervision: bool = False,
        **unknown: object,
    ) -> None:
        super().__init__()
        check_construction("unet", type(self), unknown, (in_channels, out_channels), spatial_dims, task)
        widths = PRESETS[choose(preset, PRESETS, "preset", "unet")]
        if channels is not None:
            widths = check_counts(channels, "channels", "unet", fewest=2)
        if normalization is None:
            normalization = "batch" if task == "classification" else "instance"
        layers = Layers("unet", spatial_dims, normalization, activation, dropout)
        self.in_channels, self.spatial_dims, self.task = in_channels, spatial_dims, task
        self.smallest_side = 2 ** (len(widths) - 1) * layers.fewest_pixels
        # Dropout only at the deepest level, as published. Elsewhere a maximum or a normalisation follows, and dropout
        # would change the variance they receive between training and evaluation (Li et al. 2019).
        above = replace(layers, dropout=0.0)
        *steps, deepest = pairwise((in_channels, *widths))
        self.encoder = nn.ModuleList(_DoubleConvolution(above, a, b, residual) for a, b in steps)
        self.encoder.append(_DoubleConvolution(layers, *deepest, residual))
        self.halve = layers.halve_by_maximum()
        self.decoder = nn.ModuleList(_Up(above, coarse, fine) for fine, coarse in pairwise(widths))
        self.feature_channels = sum(widths) if task == "classification" else widths[0]
        self.head = head(task, self.feature_channels, out_channels, spatial_dims, dropout)
        # No head on the deepest map: its pixels are too coarse for a target, as in nnU-Net's deep supervision.
        coarser = widths[1:-1] if deep_supervision and task == "segmentation" else ()
        self.coarse_heads = nn.ModuleList(CONVOLUTION[spatial_dims](w, out_channels, 1) for w in coarser)
        initialise(self)

    def blocks(self) -> list[nn.Module]:
        """Return the parts whose inner maps can be computed again for the gradient in place of being kept."""
        return [*self.encoder, *(up.convolutions for up in self.decoder)]

    def _decoded(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the decoder's maps, full resolution first; the last one is the encoder's deepest."""
        check_input(x, "unet", self.in_channels, self.spatial_dims, self.smallest_side)
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.halve(x))
            skips.append(x)
        # This name would keep the deepest map alive while the decoder runs.
        del x
        maps = [skips.pop()]
        for up in reversed(self.decoder):
            maps.append(up(maps[-1], skips))
        return maps[::-1]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the head's input: (N, feature_channels), or for segmentation (N, feature_channels, *spatial)."""
        maps = self._decoded(x)
        if self.task == "segmentation":
            return maps[0]
        return torch.cat([global_mean(level) for level in maps], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return logits; while training with deep supervision, a list of logits."""
        if not (self.training and len(self.coarse_heads)):
            logits: torch.Tensor = self.head(self.features(x))
            return logits
        maps = self._decoded(x)
        coarse = zip(self.coarse_heads, maps[1:], strict=False)
        return [self.head(maps[0]), *(to_logits(level) for to_logits, level in coarse)]
