"""A layer on a route computes its own formula, with gradients and buffers, in the layout and precision of its model."""

import pytest
import torch
from torch import nn

from equipoise.training.learner.routes import CONTIGUOUS, DOUBLE, SINGLE, SINGLE_CONTIGUOUS, apply_routes, reroute

EVERY = (CONTIGUOUS, SINGLE, SINGLE_CONTIGUOUS, DOUBLE)


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    return layers.to(memory_format=torch.channels_last)


def passes(model, half=False):
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1)).contiguous(
        memory_format=torch.channels_last
    )
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = model(x)
    y.float().square().sum().backward()
    return y, {"input": x.grad, **{name: p.grad for name, p in model.named_parameters()}, **dict(model.named_buffers())}


@pytest.mark.parametrize("route", EVERY)
@pytest.mark.parametrize("half", [False, True])
def test_a_route_changes_no_formula(route, half):
    plain, expected = passes(network(), half)
    routed = network()
    apply_routes(routed, [("0", route), ("1", route), ("3", route)], torch.channels_last)
    answer, parts = passes(routed, half)
    assert answer.dtype == plain.dtype
    assert answer.is_contiguous(memory_format=torch.channels_last)
    tolerance = {"rtol": 0.05, "atol": 0.1} if half else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(answer, plain, **tolerance)
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value, **({"rtol": 0.1, "atol": 1.0} if half else tolerance))


def test_a_routed_model_is_saved_and_loaded_as_any_other():
    routed = network()
    apply_routes(routed, [("0", DOUBLE), ("1", CONTIGUOUS)], torch.channels_last)
    assert routed.state_dict().keys() == network().state_dict().keys()
    routed.load_state_dict(network().state_dict())


def test_the_whole_model_may_follow_a_route():
    routed = network()
    apply_routes(routed, [("", CONTIGUOUS)], torch.channels_last)
    torch.testing.assert_close(passes(routed)[0], passes(network())[0], rtol=1e-4, atol=1e-5)


def test_a_layer_sees_what_its_route_says():
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append((x.dtype, x.is_contiguous(), torch.is_autocast_enabled("cpu")))
            return x

    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    for route in EVERY:
        layer = Look()
        reroute(layer, route, torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)
    assert seen == [
        (torch.float32, True, True),
        (torch.float32, False, False),
        (torch.float32, True, False),
        (torch.float64, True, False),
    ]
