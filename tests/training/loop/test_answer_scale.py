"""Probabilities are told from logits by what large images and weights do to them."""

import pytest
import torch
from torch import nn

from equipoise.training.loop.answer_scale import squashed_by

ENDS = {
    nn.Identity: None,
    lambda: nn.LogSoftmax(1): None,
    nn.ReLU: None,
    lambda: nn.Softmax(1): "a softmax",
    nn.Sigmoid: "a sigmoid",
}


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("end", ENDS)
def test_every_end_of_a_network_is_told(end, classes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes), end()).eval()
    images = torch.rand(3, 1, 8, 8)
    assert squashed_by(net, net, images) == ENDS[end]


def test_a_head_that_starts_at_zero_is_no_softmax():
    net = nn.Linear(4, 3)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    assert squashed_by(net, net, torch.rand(2, 4)) is None
