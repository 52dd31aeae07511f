"""The layers: normalisation of a single value, group sizes, fitting and resizing maps, means, initialisation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from equipoise.errors import EquipoiseError
from equipoise.models.blocks import (
    ACTIVATIONS,
    NORMALIZATIONS,
    Layers,
    fit_to,
    global_mean,
    group_count,
    initialise,
    resize_to,
)


@pytest.mark.long
@given(channels=st.integers(1, 512))
def test_groups_divide_the_channels_and_are_not_too_small(channels: int) -> None:
    groups = group_count(channels)
    assert channels % groups == 0
    assert 1 <= groups <= 32
    assert groups == 1 or channels // groups >= 4


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalisation_centres_what_its_name_says(spatial_dims: int, name: str) -> None:
    norm = Layers("net", spatial_dims, name).norm(16)
    x = torch.randn(3, 16, *(6,) * spatial_dims, generator=torch.Generator().manual_seed(0)) * 5 + 2
    y = norm(x).flatten(2)
    if name == "group":  # (case, group, channels and pixels of the group)
        y = y.unflatten(1, (4, 4)).flatten(2).movedim(1, 0)
    means = {"batch": y.mean((0, 2)), "instance": y.mean(2), "group": y.mean(2)}[name]
    torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-5, rtol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_every_block_keeps_the_size_and_writes_in_no_input(normalization: str, activation: str) -> None:
    block = Layers("net", 3, normalization, activation).conv_norm_act(8, 8, dilation=2)
    x = torch.randn(2, 8, 5, 6, 7)
    before = x.clone()
    assert block(x).shape == x.shape
    assert torch.equal(x, before)
    assert not any(getattr(module, "inplace", False) for module in block.modules())


def test_dropout_of_zero_adds_no_layer() -> None:
    assert Layers("net", 2).drop() == []
    assert Layers("net", 2, dropout=0.5).drop()[0].p == 0.5


@pytest.mark.parametrize("field", ["normalization", "activation"])
def test_unknown_layers_are_refused_with_the_allowed_ones(field: str) -> None:
    with pytest.raises(EquipoiseError, match=f"net has no {field} 'batchh'; .*allowed: "):
        Layers("net", 2, **{field: "batchh"})


@given(side=st.integers(1, 9), floor=st.booleans())
def test_a_halved_and_doubled_map_fits_its_original(side: int, floor: bool) -> None:
    half = max(1, side // 2 if floor else -(-side // 2))
    doubled = torch.arange(2.0 * half).reshape(1, 1, -1, 1).expand(1, 1, -1, 2)
    fitted = fit_to(doubled, torch.Size((side, 2)))
    assert fitted.shape[2:] == (side, 2)
    expected = [min(i, 2 * half - 1) for i in range(side)]
    assert fitted[0, 0, :, 0].tolist() == expected


def test_resizing_keeps_the_corners_and_linear_ramps() -> None:
    ramp = torch.linspace(0, 1, 5).reshape(1, 1, 1, 5).expand(1, 1, 4, 5)
    resized = resize_to(ramp, torch.Size((7, 9)))
    torch.testing.assert_close(resized[0, 0, 3], torch.linspace(0, 1, 9))
    assert resize_to(ramp, torch.Size((4, 5))) is ramp


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 3, 4, 3, 5)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_global_mean_and_its_gradient_keep_the_memory_format(shape: tuple[int, ...], channels_last: bool) -> None:
    layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    x = torch.randn(shape).contiguous(memory_format=layout if channels_last else torch.contiguous_format)
    seen: list[torch.Tensor] = []
    leaf = x.clone().requires_grad_()
    passed = leaf * 1
    passed.register_hook(seen.append)
    mean = global_mean(passed)
    torch.testing.assert_close(mean, x.mean(dim=tuple(range(2, x.ndim))))
    mean.sum().backward()
    torch.testing.assert_close(seen[0], torch.full(shape, 1 / x[0, 0].numel()))
    assert seen[0].stride() == x.stride()


def test_initial_weights_keep_the_variance_through_rectified_layers() -> None:
    network = nn.Sequential(*[m for _ in range(8) for m in (nn.Conv2d(64, 64, 1), nn.ReLU())])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        initialise(network)
    x = torch.randn(256, 64, 1, 1, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ratio = float(network(x).square().mean() / x.square().mean())
    assert 0.3 < ratio < 3
    assert all(not module.bias.any() for module in network if isinstance(module, nn.Conv2d))
