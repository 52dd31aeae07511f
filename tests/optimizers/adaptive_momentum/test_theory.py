"""What the mathematics of the rules predicts, measured. Tolerances cover the noise of these seeds."""

import math

import numpy as np
import pytest
import torch

from equipoise.optimizers import AdaptiveMomentum


def noise_only(rule: str, kappa: float, steps: int, elements: int = 4000) -> np.ndarray:
    """log(eta / lr) of every element after steps of pure symmetric noise."""
    generator = torch.Generator().manual_seed(0)
    param = torch.nn.Parameter(torch.zeros(elements))
    settings = {"alpha": kappa / 0.1, "gamma": 0.1, "per": "element"}
    optimizer = AdaptiveMomentum([param], rule=rule, **settings, **({"ratio": 1e9} if rule == "paper" else {}))
    for _ in range(steps):
        param.grad = torch.randn(elements, generator=generator)
        optimizer.step()
    return -kappa * optimizer.state[param]["count"].double().numpy()


@pytest.mark.long
def test_literal_rates_walk_at_random_in_pure_noise() -> None:
    logs = noise_only("paper", 0.01, 900)
    assert logs.std() == pytest.approx(0.01 * math.sqrt(900), rel=0.05)
    assert abs(logs.mean()) < 4 * 0.3 / math.sqrt(logs.size)


@pytest.mark.long
def test_agreement_spreads_evenly_between_its_bounds_in_pure_noise() -> None:
    logs = noise_only("agreement", 0.3, 600)  # steps enough to cross the room of 2 ln(10) / 0.3 = 15 counts
    bound = 0.3 * math.floor(math.log(10) / 0.3)
    assert np.abs(logs).max() == pytest.approx(bound)
    # uniform over 15 counts: (2 N + 1)^2 - 1 over 12
    assert logs.std() == pytest.approx(0.3 * math.sqrt((15**2 - 1) / 12), rel=0.05)


def noisy_bowl(optimizer: AdaptiveMomentum, param: torch.Tensor, steps: int, seed: int = 0) -> None:
    """A quadratic of curvature 1 whose gradient carries unit noise."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        param.grad = param.detach() + torch.randn(param.shape, generator=generator)
        optimizer.step()


def median_log_rate(optimizer: AdaptiveMomentum, param: torch.Tensor) -> float:
    group = optimizer.param_groups[0]
    return -group["alpha"] * group["gamma"] * float(optimizer.state[param]["count"].double().median())


@pytest.mark.long
@pytest.mark.parametrize("kappa", [0.05, 0.1])
def test_literal_rates_grow_on_a_noisy_quadratic(kappa: float) -> None:
    """d(log eta) / dt = kappa^2 / pi: the rule anneals the wrong way."""
    param = torch.nn.Parameter(torch.zeros(4000))
    optimizer = AdaptiveMomentum.paper([param], 0.05, alpha=kappa, gamma=1.0, ratio=1e30)
    steps = round(1.5 * math.pi / kappa**2)  # long enough for a growth of exp(1.5), too short for 2 / h
    noisy_bowl(optimizer, param, 150)  # until theta is stationary
    before = median_log_rate(optimizer, param)
    noisy_bowl(optimizer, param, steps, seed=1)
    slope = (median_log_rate(optimizer, param) - before) / steps
    assert slope == pytest.approx(kappa**2 / math.pi, rel=0.25)


@pytest.mark.long
def test_agreement_anneals_as_one_over_time_on_a_noisy_quadratic() -> None:
    """With lag-1 agreement (momentum 0), 1 / eta_t = 1 / eta_0 + kappa h t / pi: Robbins and Monro, unscheduled."""
    kappa, param = 0.02, torch.nn.Parameter(torch.zeros(2000))
    settings = {"rule": "agreement", "per": "element", "alpha": kappa, "gamma": 1.0, "ratio": 1e6}
    optimizer = AdaptiveMomentum([param], 0.5, momentum=0.0, **settings)
    for t, steps in ((1000, 1000), (4000, 3000)):
        noisy_bowl(optimizer, param, steps, seed=t)
        eta = 0.5 * math.exp(median_log_rate(optimizer, param))
        assert eta == pytest.approx(1 / (2 + kappa * t / math.pi), rel=0.15)


@pytest.mark.long
def test_without_a_floor_literal_descent_from_above_stops_short() -> None:
    """On h theta^2 / 2 from above the residual stays at exp(-eta h / kappa); from below it vanishes."""
    ends = {}
    for start in (1.0, -1.0):
        param = torch.nn.Parameter(torch.full((1,), start))
        optimizer = AdaptiveMomentum.paper([param], 0.05, alpha=1.0, gamma=0.05, ratio=1e60)
        for _ in range(1500):
            param.grad = param.detach().clone()
            optimizer.step()
        ends[start] = float(param.detach())
    assert ends[1.0] == pytest.approx(math.exp(-0.05 / 0.05), rel=0.05)
    assert abs(ends[-1.0]) < 1e-6


@pytest.mark.long
def test_literal_descent_is_one_sided_exponentiated_gradient() -> None:
    """With |g| = 1: theta_t - theta_1 = (eta / kappa)(exp(-kappa n_t) - 1) - (kappa / 2) sum eta_i + O(kappa^2)."""
    kappa, eta0, steps = 0.01, 0.1, 400
    signs = torch.sign(torch.randn((steps, 50), generator=torch.Generator().manual_seed(3)) + 0.2)
    param = torch.nn.Parameter(torch.zeros(50, dtype=torch.float64))
    optimizer = AdaptiveMomentum.paper([param], eta0, alpha=kappa, gamma=1.0, ratio=1e9)
    total = torch.zeros(50, dtype=torch.float64)
    for grad in signs.double():
        before = param.detach().clone()
        param.grad = grad
        optimizer.step()
        total += (param.detach() - before).abs()  # |g| = 1, so these are the rates
    n = signs.double().sum(0)
    predicted = eta0 / kappa * (torch.exp(-kappa * n) - 1) - kappa / 2 * total
    torch.testing.assert_close(param.detach(), predicted, rtol=0, atol=steps * eta0 * kappa**2)
    wall = -eta0 / (1 - math.exp(-kappa))
    assert param.min() > wall
