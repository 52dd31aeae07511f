"""The gradients for graphics cards equal torch's own of the processor, in float64 and over all settings."""

import itertools

import pytest
import torch
from torch.nn import functional

from equipoise.kernels.cuda_gradients import implementations, map_entropy, replace_cuda_gradients

OURS = implementations()
VOLUME = (2, 3, 9, 10, 7)


def same(name, function, shape, settings):
    """Hold the named gradient against autograd's for a random input and a random gradient of the answer."""
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    answer = function(x)
    y, found = answer if isinstance(answer, tuple) else (answer, None)
    drawn = torch.randn_like(y)
    (exact,) = torch.autograd.grad(y, x, drawn)
    more = () if found is None else (found,)
    torch.testing.assert_close(OURS[name](drawn, x.detach(), *settings, *more), exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("window", "stride", "padding", "dilation", "ceil"),
    [(2, 2, 0, 1, False), (3, 2, 1, 1, False), (3, 1, 1, 1, False), (3, 2, 1, 1, True), (2, 1, 0, 2, False)],
)
def test_maximum(window, stride, padding, dilation, ceil):
    def pool(x):
        return functional.max_pool3d(x, window, stride, padding, dilation, ceil_mode=ceil, return_indices=True)

    settings = ([window] * 3, [stride] * 3, [padding] * 3, [dilation] * 3, ceil)
    same("max_pool3d_with_indices_backward", pool, VOLUME, settings)


def test_the_first_of_equal_values_alone_has_the_gradient():
    x = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    y, found = functional.max_pool3d(x, 2, return_indices=True)
    (exact,) = torch.autograd.grad(y.sum(), x)
    ones = torch.ones_like(y)
    ours = OURS["max_pool3d_with_indices_backward"](ones, x, [2], [], [0], [1], False, found)
    assert torch.equal(ours, exact)


@pytest.mark.parametrize(
    ("window", "stride", "padding", "ceil", "counted", "divisor"),
    [
        (2, 2, 0, False, True, None),
        (3, 2, 1, False, True, None),
        (3, 2, 1, True, False, None),
        (3, 2, 1, True, True, None),
        (3, 2, 1, True, True, 5),
    ],
)
def test_mean(window, stride, padding, ceil, counted, divisor):
    settings = ([window] * 3, [stride] * 3, [padding] * 3, ceil, counted, divisor)
    same(
        "avg_pool3d_backward",
        lambda x: functional.avg_pool3d(x, window, stride, padding, ceil, counted, divisor),
        VOLUME,
        settings,
    )


@pytest.mark.parametrize("size", [(3, 4, 2), (1, 1, 1), (9, 3, 5), (12, 12, 12)])
def test_adaptive(size):
    native = torch.ops.aten
    same("_adaptive_avg_pool3d_backward", lambda x: native._adaptive_avg_pool3d(x, size), VOLUME, ())
    same("_adaptive_avg_pool2d_backward", lambda x: native._adaptive_avg_pool2d(x, size[:2]), VOLUME[:4], ())
    for axes, pool in ((2, functional.adaptive_max_pool2d), (3, functional.adaptive_max_pool3d)):
        name = f"adaptive_max_pool{axes}d_backward"
        same(name, lambda x, p=pool, n=axes: p(x, size[:n], return_indices=True), VOLUME[: axes + 2], ())


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("mode", "name"), [("replicate", "replication"), ("reflect", "reflection")])
def test_padding(mode, name, axes):
    width = [1, 2, 3, 0, 2, 1][: 2 * axes]
    same(f"{name}_pad{axes}d_backward", lambda x: functional.pad(x, width, mode), VOLUME[: axes + 2], (width,))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("reduction", "ignored"), list(itertools.product([0, 1, 2], [-100, 2])))
def test_cross_entropy_of_maps(reduction, ignored, weighted):
    torch.manual_seed(0)
    log_p = torch.randn(2, 4, 5, 6, dtype=torch.float64).log_softmax(1).requires_grad_()
    target, weight = torch.randint(0, 4, (2, 5, 6)), torch.rand(4).double() if weighted else None
    exact, total = torch.ops.aten.nll_loss2d_forward(log_p, target, weight, reduction, ignored)
    ours, our_total = map_entropy(log_p, target, weight, reduction, ignored)
    torch.testing.assert_close((ours, our_total), (exact, total), rtol=0, atol=1e-12)
    drawn = torch.randn_like(exact)
    (gradient,) = torch.autograd.grad(exact, log_p, drawn)
    arguments = (drawn, log_p.detach(), target, weight, reduction, ignored, our_total.detach())
    torch.testing.assert_close(OURS["nll_loss2d_backward"](*arguments), gradient, rtol=0, atol=1e-12)


def test_they_are_installed_once_and_change_nothing_on_a_processor():
    x = torch.randn(1, 2, 6, 6, 6, requires_grad=True)
    before = torch.autograd.grad(functional.max_pool3d(x, 3, 2, 1).sum(), x)[0]
    assert replace_cuda_gradients() is replace_cuda_gradients()
    assert torch.equal(before, torch.autograd.grad(functional.max_pool3d(x, 3, 2, 1).sum(), x)[0])
