"""Whole-number counts and the table of rates they stand for."""

import math

import pytest
import torch

from equipoise.optimizers.adaptive_momentum.sign_counts import (
    clamp_limit,
    count_dtype,
    look_up,
    rate_table,
    reachable_limit,
)


@pytest.mark.parametrize(("lr", "alpha", "gamma", "beta0"), [(0.1, 0.01, 0.1, 0.0), (2.0, -0.3, 0.2, 1.5)])
def test_the_table_is_equation_2_rounded_once(lr: float, alpha: float, gamma: float, beta0: float) -> None:
    table = rate_table(lr, alpha, gamma, beta0, 200)
    for n in (-200, -7, 0, 1, 200):
        exact = lr * math.exp(-gamma * (beta0 + alpha * n))
        assert table[n + 200].item() == torch.tensor(exact, dtype=torch.float32).item()


def test_look_up_reads_the_rate_of_each_count_in_its_shape() -> None:
    count = torch.tensor([[-3, 0], [1, 3]], dtype=torch.int8)
    rates = look_up(rate_table(1.0, 1.0, 1.0, 0.0, 3, torch.float64), count)
    torch.testing.assert_close(rates, torch.exp(-count.double()), rtol=1e-15, atol=0)


@pytest.mark.parametrize("kappa", [0.1, 0.05, 1e-2])
def test_rates_overflow_and_vanish_in_float32_where_the_exponent_says(kappa: float) -> None:
    # the largest float32 is exp(88.72); half the smallest positive one, 2^-150, rounds to zero
    up = math.ceil((88.7228 - math.log(0.1)) / kappa)
    down = math.ceil((150 * math.log(2) + math.log(0.1)) / kappa)
    table = rate_table(0.1, 1.0, kappa, 0.0, up + down)
    middle = up + down
    assert table[middle - up].isinf()
    assert table[middle - up + 1].isfinite()
    assert table[middle + down] == 0
    assert table[middle + down - 1] > 0


def test_clamp_limit_is_the_last_count_within_the_ratio() -> None:
    assert clamp_limit(0.02, 10.0) == 115  # exp(0.02 * 115) = 9.97, exp(0.02 * 116) = 10.2
    assert clamp_limit(-0.02, 10.0) == 115
    assert clamp_limit(math.log(10) / 5, 10.0) == 5  # the bound itself belongs


def test_reachable_limit_never_falls_short_and_stays_narrow_as_long_as_it_can() -> None:
    limits = [reachable_limit(step) for step in range(1, 200_000, 97)]
    assert all(limit >= step for limit, step in zip(limits, range(1, 200_000, 97), strict=True))
    assert limits == sorted(limits)
    assert count_dtype(reachable_limit(32_766)) == torch.int16
    assert count_dtype(reachable_limit(32_767)) == torch.int32


@pytest.mark.parametrize("limit", [126, 127, 32_766, 32_767])
def test_count_types_have_room_for_one_step_beyond_the_limit(limit: int) -> None:
    assert torch.iinfo(count_dtype(limit)).max > limit
