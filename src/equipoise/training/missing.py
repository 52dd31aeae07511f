"""What a network is worth when a modality is not there: the same weights, one channel blank."""

import torch
from torch import Tensor, nn

from equipoise.models import LateFusion


class Without(nn.Module):
    """A trained model that never sees one channel.

    Late fusion is told that the modality is missing (NaN); any other network reads zeros in its place, which is all
    that it can be given.
    """

    def __init__(self, model: nn.Module, channel: int) -> None:
        super().__init__()
        self.model, self.channel = model, channel
        self.blank = float("nan") if isinstance(model, LateFusion) else 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The model's answer to (N, channel, *spatial) with the channel blank."""
        x = x.clone(memory_format=torch.preserve_format)
        x[:, self.channel] = self.blank
        answer: Tensor = self.model(x)
        return answer
