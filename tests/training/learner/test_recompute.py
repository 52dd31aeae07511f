import copy

import pytest
import torch
from torch import nn

from equipoise.errors import ProtocolError
from equipoise.models import DeepLab, DenseNet, LateFusion, UNet
from equipoise.training.learner.recompute import recompute_blocks

NETWORKS = [
    (UNet, {"preset": "tiny", "dropout": 0.3}),
    (UNet, {"preset": "tiny", "normalization": "batch", "deep_supervision": True}),
    (DeepLab, {"preset": "tiny", "dropout": 0.2}),
    (DenseNet, {"preset": "tiny", "task": "segmentation", "dropout": 0.2}),
    (LateFusion, {"encoder": "unet", "preset": "tiny", "task": "segmentation"}),
]


def step(model, dims):
    """One update's loss, gradients and statistics, and the bytes that autograd kept for it."""
    torch.manual_seed(1)
    images = torch.randn(2, 2, *(32,) * dims).to(
        memory_format=torch.channels_last if dims == 2 else torch.preserve_format
    )
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel() * t.element_size()) or t, lambda t: t
    ):
        answers = model(images)
        answers = [answers] if isinstance(answers, torch.Tensor) else answers
        loss = sum(answer.square().mean() for answer in answers)
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters()], list(model.buffers()), sum(kept)


@pytest.mark.parametrize(
    ("factory", "settings", "dims"),
    [
        (NETWORKS[0][0], NETWORKS[0][1], 2),
        *(pytest.param(*network, 2, marks=pytest.mark.long) for network in NETWORKS[1:]),
        pytest.param(*NETWORKS[1], 3, marks=pytest.mark.long),
    ],
)
def test_computed_twice_the_bits_are_the_same_and_memory_is_less(factory, settings, dims):
    torch.manual_seed(0)
    plain = factory(2, 3, dims, **settings)
    other = copy.deepcopy(plain)
    recompute_blocks(other, "net")
    loss, gradients, statistics, kept = step(plain.train(), dims)
    again, others, buffers, less = step(other.train(), dims)
    assert torch.equal(loss, again)
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(statistics, buffers, strict=True))
    assert less < 0.6 * kept


def test_a_copy_of_the_model_computes_with_its_own_weights():
    model = UNet(1, 2, 2, preset="tiny")
    recompute_blocks(model, "unet")
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert float(other(torch.ones(1, 1, 16, 16)).detach().abs().max()) == 0


def test_in_evaluation_nothing_is_kept():
    model = UNet(1, 2, 2, preset="tiny").eval()
    before = model(torch.ones(1, 1, 16, 16)).detach()
    recompute_blocks(model, "unet")
    with torch.no_grad():
        assert torch.equal(model(torch.ones(1, 1, 16, 16)), before)


def test_a_model_without_blocks_is_told_what_it_lacks():
    with pytest.raises(ProtocolError, match=r"'mine' has no method blocks\(\)"):
        recompute_blocks(nn.Linear(2, 2), "mine")
