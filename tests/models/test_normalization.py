"""Normalisation of a single value, and normalisation in channels-last memory against torch's own."""

import pytest
import torch
from torch import nn

from equipoise.models.normalization import BatchNorm2d, BatchNorm3d, Chain, InstanceNorm, normalised

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm3d])
def test_batch_norm_of_one_value_uses_running_statistics_and_leaves_them(kind: type[nn.Module]) -> None:
    norm = kind(4).train()
    nn.init.constant_(norm.running_mean, 2.0)
    nn.init.constant_(norm.running_var, 4.0)
    single = torch.arange(4.0).reshape(1, 4, *(1,) * (2 if kind is BatchNorm2d else 3))
    torch.testing.assert_close(norm(single).flatten(), (torch.arange(4.0) - 2) / 2, atol=1e-4, rtol=0)
    assert norm.running_mean.tolist() == [2.0] * 4
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize(("ours", "theirs"), [(BatchNorm2d, nn.BatchNorm2d), (BatchNorm3d, nn.BatchNorm3d)])
def test_batch_norm_of_several_values_is_the_ordinary_one(ours: type[nn.Module], theirs: type[nn.Module]) -> None:
    x = torch.randn(2, 4, *(3,) * (2 if ours is BatchNorm2d else 3), generator=torch.Generator().manual_seed(0))
    one, other = ours(4), theirs(4)
    torch.testing.assert_close(one(x), other(x))
    torch.testing.assert_close(one.running_var, other.running_var)


@pytest.mark.parametrize(("ours", "theirs"), [(BatchNorm2d, nn.BatchNorm2d), (BatchNorm3d, nn.BatchNorm3d)])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_in_channels_last_memory_is_the_ordinary_one(
    ours: type[nn.Module], theirs: type[nn.Module], momentum: float | None
) -> None:
    dims = 2 if ours is BatchNorm2d else 3
    one, other = ours(5, momentum=momentum), theirs(5, momentum=momentum)
    for step in range(3):
        x = torch.randn(2, 5, *(3, 4, 5)[:dims], generator=torch.Generator().manual_seed(step)) + step
        found = one(x.contiguous(memory_format=LAYOUTS[dims]))
        torch.testing.assert_close(found, other(x), atol=1e-5, rtol=1e-5)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(one.state_dict()[name], value, msg=name)
    one.eval()
    other.eval()
    torch.testing.assert_close(one(x), other(x), atol=1e-5, rtol=1e-5)


NORMS = [nn.BatchNorm2d, BatchNorm2d, InstanceNorm, nn.Identity]
ACTS = [nn.ReLU, lambda: nn.LeakyReLU(0.2), nn.SiLU]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_joined_layers_equal_one_after_another(norm, act, training: bool, channels_last: bool) -> None:
    layers = (norm(4) if norm is not nn.Identity else norm(), act())
    chain = Chain(nn.Conv2d(2, 4, 1), *layers, nn.Conv2d(4, 1, 1)).train(training)
    x = torch.randn(3, 2, 6, 7, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    apart = x
    for layer in chain:
        apart = layer(apart)
    torch.testing.assert_close(chain(x), apart, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(normalised(chain[0](x), *layers), layers[1](layers[0](chain[0](x))))


def test_an_activation_that_somebody_listens_to_is_called() -> None:
    norm, act, heard = BatchNorm2d(3), nn.ReLU(), []
    act.register_forward_hook(lambda *_: heard.append(1))
    normalised(torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last), norm, act)
    assert heard == [1]


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_one_value_a_channel_is_activated_too(slope: float) -> None:
    norm = BatchNorm2d(4).train()
    found = norm(torch.tensor([-1.0, 1, -2, 2]).view(1, 4, 1, 1), slope).flatten()
    torch.testing.assert_close(found, torch.tensor([-slope, 1, -2 * slope, 2]), atol=1e-4, rtol=0)


def instance_norms(channels: int, spatial_dims: int) -> tuple[InstanceNorm, nn.Module]:
    """Ours and torch's, with the same scales and shifts away from 1 and 0."""
    ours, theirs = (
        InstanceNorm(channels),
        [nn.InstanceNorm2d, nn.InstanceNorm3d][spatial_dims - 2](channels, affine=True),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.copy_(torch.randn(channels, generator=generator))
            b.copy_(a)
    return ours.double(), theirs.double()


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("channels_last", [False, True])
def test_instance_norm_and_its_gradients_equal_torch(spatial_dims: int, channels_last: bool) -> None:
    ours, theirs = instance_norms(5, spatial_dims)
    x = torch.randn(3, 5, *(4, 3, 6)[:spatial_dims], generator=torch.Generator().manual_seed(1)).double() * 3 + 7
    pull = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double()
    results = []
    for norm in (ours, theirs):
        layout = LAYOUTS[spatial_dims] if channels_last and norm is ours else torch.contiguous_format
        leaf = x.clone(memory_format=torch.contiguous_format).requires_grad_()
        out = norm(leaf.contiguous(memory_format=layout))
        (out * pull).sum().backward()
        results.append([out.detach(), leaf.grad, *(p.grad for p in norm.parameters())])
        assert out.is_contiguous(memory_format=layout)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


@pytest.mark.long
def test_channels_last_gradient_passes_the_numerical_check() -> None:
    norm = instance_norms(3, 2)[0]
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1)).double()
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(lambda *a: norm(*a), (x,))


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("weights_too", [False, True])
def test_half_precision_keeps_its_type_and_is_close(dtype: torch.dtype, weights_too: bool) -> None:
    exact, half = InstanceNorm(8), InstanceNorm(8).to(dtype if weights_too else torch.float32)
    x = torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = half(x.contiguous(memory_format=torch.channels_last).requires_grad_())
    found.square().sum().backward()
    assert found.dtype == dtype
    assert half.weight.grad is not None
    assert half.weight.grad.dtype == half.weight.dtype
    torch.testing.assert_close(found.detach().float(), exact(x.float()), atol=0.03, rtol=0.02)


def test_state_dict_has_the_names_of_torchs_layer() -> None:
    ours, theirs = instance_norms(3, 2)
    assert list(ours.state_dict()) == list(theirs.state_dict())
