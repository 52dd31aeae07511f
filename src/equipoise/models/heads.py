"""The last layers: a vector or a map of features becomes logits."""

from torch import nn

from equipoise.models.blocks import CONVOLUTION
from equipoise.models.settings import Task


def head(task: Task, features: int, out_channels: int, spatial_dims: int, dropout: float) -> nn.Sequential:
    """Dropout and one linear layer: on pooled features (N, C) or, for segmentation, on a map (N, C, *spatial)."""
    last: nn.Module
    if task == "classification":
        last = nn.Linear(features, out_channels)
    else:
        last = CONVOLUTION[spatial_dims](features, out_channels, 1)
    # A segmenter's blocks drop out already; dropping single values of the final map only adds label noise.
    dropping: list[nn.Module] = [nn.Dropout(dropout)] if dropout and task == "classification" else []
    return nn.Sequential(*dropping, last)
