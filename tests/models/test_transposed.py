import pytest
import torch
from torch import nn

from equipoise.models.transposed import TransposedConvolution2d, TransposedConvolution3d

PAIRS = [
    (TransposedConvolution2d, nn.ConvTranspose2d, (2, 3, 5, 4)),
    (TransposedConvolution3d, nn.ConvTranspose3d, (2, 3, 3, 4, 5)),
]


@pytest.mark.parametrize(("ours", "theirs", "shape"), PAIRS)
@pytest.mark.parametrize(
    "settings", [{"kernel_size": 2, "stride": 2}, {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}]
)
def test_results_and_gradients_equal_torchs(ours, theirs, shape, settings):
    torch.manual_seed(0)
    one, other = ours(3, 4, **settings).double(), theirs(3, 4, **settings).double()
    other.load_state_dict(one.state_dict())
    found = []
    for layer in (one, other):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
        y = layer(x)
        (y * torch.linspace(0, 1, y.numel(), dtype=torch.float64).view(y.shape)).sum().backward()
        found.append([y.detach(), x.grad, layer.weight.grad, layer.bias.grad])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("ours", "theirs", "shape"), PAIRS)
def test_without_gradients_it_is_torchs_layer_bit_for_bit(ours, theirs, shape):
    torch.manual_seed(0)
    one, other = ours(3, 4, 2, stride=2), theirs(3, 4, 2, stride=2)
    other.load_state_dict(one.state_dict())
    x = torch.randn(shape)
    with torch.no_grad():
        assert torch.equal(one(x), other(x))


def test_a_wanted_size_is_given():
    layer = TransposedConvolution2d(3, 4, 3, stride=2, padding=1)
    assert layer(torch.randn(1, 3, 4, 5), [8, 10]).shape == (1, 4, 8, 10)


def test_autocast_keeps_the_reduced_type():
    layer = TransposedConvolution2d(3, 4, 2, stride=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(1, 3, 4, 4)).dtype == torch.bfloat16
