"""What a network is worth when a modality is not there: the same weights, one channel blank."""

import torch
from torch import Tensor, nn

from equipoise.models import LateFusion


class Without(nn.Module):
    """A trained model that never sees the modality of one channel.

    Late fusion is told that the modality is missing (NaN in all its channels); any other network reads zeros in place
    of the channel, which is all that it can be given.
    """

    def __init__(self, model: nn.Module, channel: int) -> None:
        super().__init__()
        self.model, self.hidden, self.blank = model, [channel], 0.0
        if isinstance(model, LateFusion):
            self.hidden, self.blank = _modality(model, channel), float("nan")

    def forward(self, x: Tensor) -> Tensor:
        """The model's answer to (N, channel, *spatial) with the channel blank."""
        x = x.clone(memory_format=torch.preserve_format)
        x[:, self.hidden] = self.blank
        answer: Tensor = self.model(x)
        return answer


def _modality(model: LateFusion, channel: int) -> list[int]:
    """All channels that come into the encoder of this one."""
    start = 0
    for count in model.channels:
        if channel < start + count:
            return list(range(start, start + count))
        start += count
    raise IndexError(channel)
