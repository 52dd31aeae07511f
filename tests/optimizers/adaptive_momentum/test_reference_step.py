"""The reference path: what each rule does, against literal float64 recursions and torch's own optimizers."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from equipoise.optimizers import AdaptiveMomentum
from equipoise.optimizers.adaptive_momentum.sign_counts import clamp_limit


def rule_by_rule(
    theta: Tensor, grads: list[Tensor], rule: str, per: str, lr: float, kappa: float, ratio=10.0, leak=False
):
    """Equations 1 to 5 in float64 for one tensor, with b = gamma * beta."""
    bound = kappa * clamp_limit(kappa, ratio)  # the multiple of kappa within ln(ratio): beta moves in such steps
    b, m, v, previous = (
        torch.zeros_like(theta),
        torch.zeros_like(theta),
        torch.zeros_like(theta),
        torch.zeros_like(theta),
    )
    for t, g in enumerate(grads, start=1):
        if rule == "bounded":
            u = torch.sign(previous)
        else:
            u = -torch.sign(g * m) if per == "element" else -torch.sign((g * m).sum()) * torch.ones_like(theta)
        b = (1 - kappa / math.log(ratio)) * b + kappa * u if leak else (b + kappa * u).clamp(-bound, bound)  # (1)
        eta = lr * torch.exp(-b)  # (2)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2  # (4)
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        step = {"bounded": g, "agreement": m_hat, "adam": m_hat / (v_hat.sqrt() + 1e-8)}[rule]
        theta = theta - eta * step  # (3), (5)
        previous = g
    return theta


@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(
    ("rule", "per"),
    [
        ("bounded", "element"),
        ("agreement", "element"),
        ("agreement", "tensor"),
        ("adam", "element"),
        ("adam", "tensor"),
    ],
)
def test_every_rule_equals_its_literal_recursion(stream, drive, rule, per, leak) -> None:
    grads = [grad.double() for grad in stream((6, 50), 120)]
    theta = torch.linspace(-1, 1, 300, dtype=torch.float64).view(6, 50)
    param = torch.nn.Parameter(theta.clone())
    optimizer = AdaptiveMomentum([param], 0.1, rule=rule, per=per, alpha=0.5, gamma=0.125, leak=leak, path="loop")
    drive(optimizer, [param], [[grad] for grad in grads])
    expected = rule_by_rule(theta, grads, rule, per, 0.1, 0.0625, leak=leak)
    tolerance = 1e-5 if leak else 1e-9  # the fractional counts of a leak are float32
    torch.testing.assert_close(param.detach(), expected, rtol=tolerance, atol=tolerance)


def sgd(params):
    return torch.optim.SGD(params, lr=0.1)


def averaged_sgd(params):
    """SGD on the bias-corrected average of gradients is Adam without its denominator: here, literally."""
    optimizer = torch.optim.SGD(params, lr=0.1)
    plain, m, t = optimizer.step, [0.0], [0]

    def step(closure=None):
        t[0] += 1
        m[0] = 0.9 * m[0] + 0.1 * params[0].grad
        params[0].grad = m[0] / (1 - 0.9 ** t[0])
        plain()

    optimizer.step = step
    return optimizer


def adam(params):
    return torch.optim.Adam(params, lr=0.1)


def adamw(params):
    return torch.optim.AdamW(params, lr=0.1, weight_decay=0.05)


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({"rule": "paper"}, sgd),
        ({"rule": "bounded"}, sgd),
        ({"rule": "agreement"}, averaged_sgd),
        ({"rule": "adam"}, adam),
        ({"rule": "adam", "weight_decay": 0.05}, adamw),
    ],
)
def test_without_adaptation_each_rule_is_a_known_optimizer(stream, drive, settings, known) -> None:
    grads = [[grad] for grad in stream((70,), 60)]
    ours, theirs = torch.nn.Parameter(torch.ones(70)), torch.nn.Parameter(torch.ones(70))
    drive(AdaptiveMomentum([ours], 0.1, alpha=0.0, path="loop", **settings), [ours], grads)
    drive(known([theirs]), [theirs], grads)
    torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("rule", "per", "direction"),
    [("paper", "element", 1), ("bounded", "element", 1), ("agreement", "element", 0), ("adam", "tensor", 0)],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rate_after_a_run_of_equal_signs(drive, rule, per, direction, sign) -> None:
    """Literal rules shrink on positive gradients and grow on negative ones; agreement grows on both."""
    param = torch.nn.Parameter(torch.zeros(4))
    optimizer = AdaptiveMomentum([param], 0.1, rule=rule, per=per, alpha=0.5, gamma=0.1, ratio=1e3, path="loop")
    for k in range(1, 41):
        before = param.detach().clone()
        drive(optimizer, [param], [[torch.full((4,), sign)]])
        exponent = -sign if direction else 1.0
        expected = 0.1 * math.exp(exponent * 0.05 * (k - 1))  # the first gradient has no predecessor
        assert (before - param.detach()).div(sign).tolist() == pytest.approx([expected] * 4, rel=2e-5)


def test_a_zero_gradient_leaves_beta_alone(drive) -> None:
    param = torch.nn.Parameter(torch.zeros(3))
    for rule in ("paper", "bounded", "agreement", "adam"):
        optimizer = AdaptiveMomentum([param], rule=rule, per="element", path="loop")
        drive(optimizer, [param], [[torch.ones(3)]] * 5)
        before = optimizer.state[param]["count"].clone()
        drive(optimizer, [param], [[torch.zeros(3)]] * 5)
        assert before.any()
        assert torch.equal(optimizer.state[param]["count"], before)


@pytest.mark.parametrize("rule", ["paper", "bounded", "agreement", "adam"])
@pytest.mark.parametrize("leak", [False, True])
def test_a_gradient_that_is_not_a_number_never_reaches_beta(drive, rule, leak) -> None:
    if rule == "paper" and leak:
        return  # refused by the rule
    param = torch.nn.Parameter(torch.zeros(2))
    optimizer = AdaptiveMomentum([param], rule=rule, per="element", leak=leak, path="loop")
    drive(optimizer, [param], [[torch.ones(2)], [torch.tensor([math.nan, 1.0])], [torch.ones(2)]])
    assert param.isnan().tolist() == [True, False]
    assert optimizer.state[param]["count"].isfinite().all()


def test_the_clamp_is_reached_held_and_left(drive) -> None:
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer = AdaptiveMomentum([param], rule="bounded", alpha=1.0, gamma=0.5, ratio=10.0, path="loop")

    def counts(sign: float, steps: int) -> list[int]:
        seen = []
        for _ in range(steps):
            drive(optimizer, [param], [[torch.tensor([sign])]])
            seen.append(int(optimizer.state[param]["count"]))
        return seen

    assert counts(1.0, 6) == [1, 2, 3, 4, 4, 4]  # ln 10 / 0.5 = 4.6
    assert counts(-1.0, 9) == [3, 2, 1, 0, -1, -2, -3, -4, -4]


@pytest.mark.long
def test_a_leak_never_reaches_its_bound(drive) -> None:
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer = AdaptiveMomentum([param], 1e-3, rule="bounded", alpha=1.0, gamma=0.1, leak=True, path="loop")
    drive(optimizer, [param], [[torch.ones(1)]] * 60)
    early = float(optimizer.state[param]["count"]) * 0.1
    drive(optimizer, [param], [[torch.ones(1)]] * 300)
    late = float(optimizer.state[param]["count"]) * 0.1
    assert 0.9 * math.log(10) < early < late <= math.log(10) * (1 + 1e-6)


def test_counts_widen_before_they_could_overflow(drive) -> None:
    param = torch.nn.Parameter(torch.zeros(2))
    optimizer = AdaptiveMomentum([param], rule="paper", alpha=1e-6, ratio=1e9, path="loop")
    param.grad = torch.tensor([1.0, -1.0])
    seen = set()
    for step in range(1, 33_001):
        if step == 131:
            # no need to walk: a long run of equal signs, written into the state
            optimizer.state[param].update(step=32_700, count=torch.tensor([32_700, -32_700], dtype=torch.int16))
        if step == 300:
            break
        optimizer.step()
        seen.add(optimizer.state[param]["count"].dtype)
    assert seen == {torch.int8, torch.int16, torch.int32}
    assert optimizer.state[param]["count"].tolist() == [32_869, -32_869]


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    rule=st.sampled_from(["paper", "bounded", "agreement", "adam"]),
    seed=st.integers(0, 2**31),
    cut=st.integers(1, 35),
)
def test_elements_neither_know_their_place_nor_their_tensor(rule, seed, cut) -> None:
    """Permuting elements, or splitting a tensor, changes no bit (rates per element)."""
    generator = torch.Generator().manual_seed(seed)
    grads = torch.randn((20, 36), generator=generator)
    order = torch.randperm(36, generator=generator)

    def end(pieces: list[Tensor]) -> Tensor:
        params = [torch.nn.Parameter(torch.zeros(len(piece))) for piece in pieces]
        optimizer = AdaptiveMomentum(params, rule=rule, per="element", path="loop")
        for grad in grads:
            for param, piece in zip(params, pieces, strict=True):
                param.grad = grad[piece].clone()
            optimizer.step()
        return torch.cat([param.detach() for param in params])

    whole = end([torch.arange(36)])
    assert torch.equal(end([order]), whole[order])
    assert torch.equal(end([torch.arange(cut), torch.arange(cut, 36)]), whole)


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
@pytest.mark.parametrize(
    ("rule", "per", "alike"),
    [
        ("agreement", "element", True),
        ("agreement", "tensor", True),
        ("adam", "element", True),
        ("paper", "element", False),  # by its design, see the class
        ("bounded", "element", False),
    ],
)
def test_mirror_images_are_treated_alike_by_agreement_and_never_by_the_literal_sign(rule, per, alike, seed) -> None:
    grads = torch.randn((20, 36), generator=torch.Generator().manual_seed(seed))

    def end(sign: float) -> Tensor:
        param = torch.nn.Parameter(torch.zeros(36))
        optimizer = AdaptiveMomentum([param], rule=rule, per=per, alpha=0.5, path="loop")
        for grad in grads:
            param.grad = sign * grad
            optimizer.step()
        return sign * param.detach()

    assert torch.equal(end(1.0), end(-1.0)) == alike


@pytest.mark.parametrize(("rule", "scale"), [("paper", 4), ("bounded", 4), ("agreement", 4), ("adam", 1)])
def test_a_loss_times_four_needs_a_quarter_of_the_rate_but_for_adam(stream, drive, rule, scale) -> None:
    grads = stream((40,), 40)
    ends = []
    for factor, lr in ((1.0, 0.1), (4.0, 0.1 / scale)):
        param = torch.nn.Parameter(torch.zeros(40))
        optimizer = AdaptiveMomentum([param], lr, rule=rule, eps=1e-30, path="loop")
        drive(optimizer, [param], [[factor * grad] for grad in grads])
        ends.append(param.detach())
    assert torch.equal(*ends)
