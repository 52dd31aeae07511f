"""The kernel of normalisation and activation against torch's own layers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from equipoise.kernels import normalize as fused
from equipoise.kernels.normalize import fits, normalise

pytestmark = pytest.mark.skipif(
    fused.kernel(torch.float32) is None, reason="this machine has no C compiler; set CC to one"
)


def case(seed, shape, dtype=torch.float32, offset=0.0):
    """Images in channels-last memory, weights, biases, and a gradient of the result."""
    generator = torch.Generator().manual_seed(seed)
    layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    x, pull = (torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=layout) for _ in range(2))
    weight, bias = torch.randn(shape[1], generator=generator), torch.randn(shape[1], generator=generator)
    return x + offset, weight, bias, pull


def oracle(x, weight, bias, eps, slope, by_case):
    """torch's layers in float64, one after another."""
    if by_case:
        y = functional.instance_norm(x, weight=weight, bias=bias, eps=eps)
    else:
        y = functional.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    return functional.leaky_relu(y, slope)


def gradients(result, leaves, pull):
    return torch.autograd.grad(result, leaves, pull)


SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(2, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(2, 5), st.integers(1, 5), st.integers(1, 5)),
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), SHAPES, st.sampled_from([0.0, 0.01, 1.0]), st.booleans())
def test_results_and_gradients_equal_torchs(seed, shape, slope, by_case):
    x, weight, bias, pull = case(seed, shape, offset=5.0)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    exact = [tensor.detach().double().requires_grad_() for tensor in leaves]
    found = normalise(*leaves, 1e-5, slope, by_case)[0]
    wanted = oracle(*exact, 1e-5, slope, by_case)
    torch.testing.assert_close(found.double(), wanted, atol=2e-4, rtol=1e-4)
    sure = wanted.abs() > 1e-3  # where rounding cannot move a value to the activation's other side
    pull = pull * sure
    pairs = zip(gradients(found, leaves, pull), gradients(wanted, exact, pull.double()), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one.double(), other, atol=2e-3 * float(other.abs().max()) + 1e-4, rtol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("by_case", [False, True])
def test_means_and_variances_are_given(by_case):
    x, weight, bias, _ = case(0, (3, 7, 9, 11), offset=1000.0)
    _, mean, variance = normalise(x, weight, bias, 1e-5, 0.0, by_case)
    axes = (2, 3) if by_case else (0, 2, 3)
    torch.testing.assert_close(mean, x.double().mean(axes).view(-1, 7).float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance, x.double().var(axes, correction=0).view(-1, 7), rtol=1e-4, atol=0)


@pytest.mark.long
@pytest.mark.parametrize("by_case", [False, True])
def test_bfloat16_is_the_float32_result_rounded(by_case):
    x, weight, bias, pull = case(0, (3, 19, 9, 11), torch.bfloat16)
    half = [
        x.detach().clone(memory_format=torch.preserve_format).requires_grad_(),
        weight.requires_grad_(),
        bias.requires_grad_(),
    ]
    full = [half[0].detach().float().requires_grad_(), weight, bias]
    y, exact = normalise(*half, 1e-5, 0.01, by_case)[0], normalise(*full, 1e-5, 0.01, by_case)[0]
    assert torch.equal(y, exact.to(torch.bfloat16))
    for one, other in zip(gradients(y, half, pull), gradients(exact, full, pull.float()), strict=True):
        assert torch.equal(one, other.to(one.dtype))


@pytest.mark.long
def test_threads_change_no_bit():
    x, weight, bias, pull = case(0, (4, 33, 40, 40))
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        leaves = [tensor.detach().requires_grad_() for tensor in (x, weight, bias)]
        y = normalise(*leaves, 1e-5, 0.0, False)[0]
        found.append([y, *gradients(y, leaves, pull)])
    torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.long
def test_a_gradient_in_another_layout_is_taken():
    x, weight, bias, pull = case(0, (2, 5, 6, 7))
    x.requires_grad_()
    y = normalise(x, weight, bias, 1e-5, 0.0, False)[0]
    assert torch.equal(
        gradients(y, [x], pull)[0],
        gradients(normalise(x, weight, bias, 1e-5, 0.0, False)[0], [x], pull.contiguous())[0],
    )


@pytest.mark.long
def test_what_is_not_a_number_stays_visible():
    x, weight, bias, _ = case(0, (2, 3, 4, 4), torch.bfloat16)
    x[0, 1, 2, 2] = float("nan")
    y = normalise(x, weight, bias, 1e-5, 0.0, False)[0]
    assert y[:, 1].isnan().all()
    assert torch.isfinite(y[:, [0, 2]]).all()


def test_what_the_kernel_cannot_take_is_told():
    x, weight, _, _ = case(0, (2, 3, 4, 4))
    assert fits(x, weight)
    assert not fits(x.contiguous(), weight)
    assert not fits(x.double(), weight)
    assert not fits(x, weight.double())
    assert not fits(x[:, :2], weight[:2]), "a slice has gaps"
    assert not fits(x.mean((2, 3)), weight)
