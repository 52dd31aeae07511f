"""A network without one modality: which channels are blank, and that the batch stays as it was."""

import torch
from torch import nn

from equipoise.training.inference.missing_modality import Without


def test_one_channel_is_blank_and_the_batch_stays():
    batch = torch.arange(12.0).reshape(1, 3, 2, 2)
    before = batch.clone()
    answer = Without(nn.Identity(), 1)(batch)
    assert torch.equal(answer[:, 1], torch.zeros(1, 2, 2))
    assert torch.equal(answer[:, [0, 2]], before[:, [0, 2]])
    assert torch.equal(batch, before)
