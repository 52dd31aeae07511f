"""Evaluate a network without one modality: the same weights, with one channel blank."""

import torch
from torch import Tensor, nn

from equipoise.models import LateFusion
from equipoise.models.ensemble import Ensemble


class Without(nn.Module):
    """A trained model whose input lacks the modality of one channel.

    Late fusion receives NaN in all channels of the modality, which marks it as missing; any other network receives
    zeros in the channel, because it has no code for "missing".
    """

    def __init__(self, model: nn.Module, channel: int) -> None:
        super().__init__()
        self.model, self.hidden, self.blank = model, [channel], 0.0
        if isinstance(model, LateFusion):
            self.hidden, self.blank = _modality(model, channel), float("nan")

    def forward(self, x: Tensor) -> Tensor:
        """Return the model's answer to (N, channel, *spatial) with the channel blank."""
        # The caller's batch must stay as it is: mirroring uses it again.
        x = x.clone(memory_format=torch.preserve_format)
        x[:, self.hidden] = self.blank
        answer: Tensor = self.model(x)
        return answer


def without(model: nn.Module, channel: int) -> nn.Module:
    """Return the model without a channel; of an ensemble every member, each in its own way."""
    return model.over(lambda one: Without(one, channel)) if isinstance(model, Ensemble) else Without(model, channel)


def _modality(model: LateFusion, channel: int) -> list[int]:
    """Return all channels that share an encoder with this one."""
    start = 0
    for count in model.channels:
        if channel < start + count:
            return list(range(start, start + count))
        start += count
    raise IndexError(channel)
