"""The distribution of learning rates, against rates computed element by element."""

import math

import numpy as np
import pytest
import torch

from equipoise.optimizers import AdaptiveMomentum
from equipoise.optimizers.adaptive_momentum.rates import LEVELS


def all_rates(optimizer: AdaptiveMomentum, param: torch.Tensor) -> np.ndarray:
    group, count = optimizer.param_groups[0], optimizer.state[param]["count"].double().numpy()
    return group["lr"] * np.exp(-group["alpha"] * group["gamma"] * count) * np.ones(tuple(param.shape))


@pytest.mark.parametrize(
    "settings", [{"rule": "paper"}, {"rule": "bounded", "leak": True}, {"rule": "agreement"}, {"rule": "adam"}]
)
def test_quantiles_equal_numpys_over_every_element(stream, drive, settings) -> None:
    params = [torch.nn.Parameter(torch.ones(shape)) for shape in ((30, 7), (11,))]
    optimizer = AdaptiveMomentum(params, 0.05, alpha=0.4, **settings)
    drive(optimizer, params, list(zip(stream((30, 7), 20), stream((11,), 20), strict=True)))
    each = [all_rates(optimizer, param).ravel() for param in params]
    told = [*optimizer.rates(), *optimizer.rates(pooled=True)]
    for quantiles, rates in zip(told, [*each, np.concatenate(each)], strict=True):
        assert quantiles.elements == rates.size
        assert quantiles.lr == 0.05
        expected = np.quantile(rates, LEVELS, method="inverted_cdf")
        np.testing.assert_allclose(quantiles.rates, expected, rtol=1e-6)
        betas = -np.log(np.array(quantiles.rates) / 0.05) / optimizer.param_groups[0]["gamma"]
        np.testing.assert_allclose(quantiles.betas, betas, atol=1e-9)


def test_before_the_first_step_every_rate_is_the_initial_one() -> None:
    optimizer = AdaptiveMomentum([torch.nn.Parameter(torch.ones(5))], 0.2, beta0=3.0, gamma=0.5)
    (quantiles,) = optimizer.rates()
    assert quantiles.elements == 5
    assert quantiles.rates == pytest.approx([0.2 * math.exp(-1.5)] * len(LEVELS))
    assert not optimizer.state, "asking must not create state"


def test_nothing_to_tell_of_an_empty_tensor() -> None:
    (quantiles,) = AdaptiveMomentum([torch.nn.Parameter(torch.ones(0))]).rates()
    assert quantiles.elements == 0
    assert all(math.isnan(rate) for rate in quantiles.rates)
