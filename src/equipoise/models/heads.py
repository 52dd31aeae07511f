"""The last layers of a network, from a vector or a map of features to logits."""

from torch import nn

from equipoise.models.blocks import CONVOLUTION
from equipoise.models.settings import Task


def head(task: Task, features: int, out_channels: int, spatial_dims: int, dropout: float) -> nn.Sequential:
    """Build dropout and one linear layer, for pooled features (N, C) or, in segmentation, a map (N, C, *spatial)."""
    last: nn.Module
    if task == "classification":
        last = nn.Linear(features, out_channels)
    else:
        last = CONVOLUTION[spatial_dims](features, out_channels, 1)
    # A segmenter's blocks have dropout already. In the final map each value serves one pixel alone: dropping it would
    # corrupt that pixel's logits instead of regularising a shared feature.
    dropping: list[nn.Module] = [nn.Dropout(dropout)] if dropout and task == "classification" else []
    return nn.Sequential(*dropping, last)
