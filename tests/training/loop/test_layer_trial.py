"""A layer is tried on poisoned memory: planted faults are found, sound layers and exact ill-conditioned ones pass."""

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from equipoise.models.normalization import BatchNorm2d, BatchNorm3d, InstanceNorm
from equipoise.models.transposed import TransposedConvolution2d
from equipoise.training.learner.routes import CONTIGUOUS, DOUBLE, SINGLE, routes_for
from equipoise.training.loop.layer_calls import traced
from equipoise.training.loop.layer_trial import fault_of, poison

sys.path.insert(0, str(Path(__file__).parent))
import broken_layers as broken

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
SOUND = [
    (nn.Conv2d(4, 8, 3, padding=1), (3, 4, 6, 5)),
    (nn.Conv2d(4, 8, 3, padding=2, dilation=2), (2, 4, 9, 9)),
    (TransposedConvolution2d(4, 2, 2, stride=2), (2, 4, 6, 6)),
    (nn.Linear(7, 3), (5, 7)),
    (nn.Conv3d(2, 4, 3, padding=1), (2, 2, 5, 4, 5)),
    (BatchNorm2d(4), (3, 4, 5, 5)),
    (BatchNorm3d(4), (2, 4, 1, 1, 1)),  # of two values: nearly all of the gradient cancels
    (nn.BatchNorm2d(4), (2, 4, 2, 2)),
    (InstanceNorm(4), (2, 4, 5, 5)),
    (nn.GroupNorm(2, 4), (2, 4, 5, 5)),
    (nn.MaxPool2d(2), (2, 3, 6, 6)),  # equal values in half precision: either may be the largest
    (nn.AvgPool2d(2), (2, 3, 6, 6)),
]


def call_of(layer, shape, precision="float32", trained=True):
    """The call of a layer in a network whose maps are channels last."""
    layout = LAST.get(len(shape), torch.contiguous_format)
    network = nn.Sequential(layer).to(memory_format=layout).train(trained)
    x = torch.randn(shape).contiguous(memory_format=layout).requires_grad_(trained)

    def answer():
        with torch.set_grad_enabled(trained), torch.autocast("cpu", enabled=precision == "bfloat16"):
            network(x)

    (call,) = traced(network, [answer])
    return call, layout


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("layer", "shape"), SOUND, ids=lambda x: type(x).__name__)
def test_a_sound_layer_passes(layer, shape, precision):
    call, layout = call_of(layer, shape, precision)
    assert fault_of(call, precision, None, layout) is None


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        # What memory holds that was never written: anything, also the same large numbers in every run.
        ("Garbage", "answer (is not finite|differs from run to run|is wrong by)"),
        ("Unrepeatable", "answer differs from run to run"),
        ("OnePercent", "answer is wrong by 1 %"),
        ("WrongGradient", "gradient of input 0 is wrong by 1 %"),
        ("NotFinite", "answer is not finite"),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_planted_fault_is_found_and_a_route_is_sound(kind, fault, precision):
    call, layout = call_of(getattr(broken, kind)(4, 8, 3, padding=1), (3, 4, 6, 6), precision)
    assert re.search(fault, fault_of(call, precision, None, layout) or "")
    assert fault_of(call, precision, CONTIGUOUS, layout) is None


@pytest.mark.long
def test_a_fault_of_half_precision_is_left_by_single_precision():
    call, layout = call_of(broken.HalfOnly(4, 8, 3, padding=1), (3, 4, 6, 6), "bfloat16")
    faults = {route: fault_of(call, "bfloat16", route, layout) for route in (None, *routes_for("bfloat16"))}
    assert "wrong by 1 %" in faults[None]
    assert "wrong by 1 %" in faults[CONTIGUOUS]
    assert faults[SINGLE] is faults[DOUBLE] is None


def test_no_route_helps_a_layer_that_is_never_the_same():
    call, layout = call_of(broken.Nowhere(4, 8, 3, padding=1), (2, 4, 5, 5))
    assert all(fault_of(call, "float32", route, layout) for route in (None, *routes_for("float32")))


def test_a_replaced_convolution_is_found_and_never_taken_from_the_cache(monkeypatch):
    sound, _ = call_of(nn.Conv2d(4, 8, 3, padding=1), (2, 4, 5, 5))
    own = nn.functional.conv2d

    def conv2d(x, *rest):
        y = own(x, *rest)
        return y if x.is_contiguous() else y * 1.01

    monkeypatch.setattr(nn.functional, "conv2d", conv2d)
    call, layout = call_of(nn.Conv2d(4, 8, 3, padding=1), (2, 4, 5, 5))
    assert sound.shared
    assert not call.shared
    assert call.key != sound.key
    assert "wrong by 1 %" in fault_of(call, "float32", None, layout)
    assert fault_of(call, "float32", CONTIGUOUS, layout) is None


def test_our_own_kernel_is_held_against_torchs_layer(monkeypatch):
    from equipoise.models import normalization

    own = normalization.normalise

    def off(*arguments, **settings):
        result, mean, variance = own(*arguments, **settings)
        return result * 1.01, mean, variance

    monkeypatch.setattr(normalization, "normalise", off)
    call, layout = call_of(BatchNorm2d(4), (3, 4, 5, 5))
    if not normalization.fits(torch.zeros(3, 4, 5, 5).contiguous(memory_format=layout), torch.ones(4)):
        pytest.skip("no compiler here")
    assert "wrong by 1 %" in fault_of(call, "float32", None, layout)
    assert fault_of(call, "float32", CONTIGUOUS, layout) is None


def test_calls_are_told_by_shape_layout_and_mode():
    layer = nn.Conv2d(4, 8, 3, padding=1)
    keys = {
        call_of(layer, shape, trained=trained)[0].key
        for shape in ((2, 4, 5, 5), (2, 4, 5, 6))
        for trained in (True, False)
    }
    assert len(keys) == 4


def test_freed_memory_holds_the_pattern():
    poison(0x40404040, [1 << 10])
    # What torch.empty gives next is the freed buffer, where the allocator keeps it; otherwise nothing can be said.
    assert torch.empty(1 << 10).shape == (1 << 10,)
