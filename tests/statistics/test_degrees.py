"""Degrees of freedom of a sum of variances, a few of which rest on few runs."""

import numpy as np
import pytest
from scipy.special import stdtr, stdtrit

from equipoise.statistics.degrees import RAISED, effective_df


def error(runs: tuple[int, int], own: tuple[float, float], rest: float, level: float, raised: bool = True) -> float:
    """Share of 20,000 differences without an effect that a two-sided test rejects, `rest` known."""
    stream, df = np.random.default_rng(0), [count - 1.0 for count in runs]
    parts = [each * stream.chisquare(d, 20_000) / d for each, d in zip(own, df, strict=True)]
    difference = stream.standard_normal(20_000) * np.sqrt(sum(own) + rest)
    total = sum(parts) + rest
    plain = total**2 / sum(part**2 / d for part, d in zip(parts, df, strict=True))
    freedom = np.minimum(effective_df(parts, df, rest) if raised else plain, 199)
    return float((2 * stdtr(freedom, -abs(difference) / np.sqrt(total)) < level).mean())


@pytest.mark.parametrize("rest", [0.0, 0.1, 0.4, 3.0])
@pytest.mark.parametrize("runs", [(3, 3), (3, 10), (3, 30), (5, 10)])
@pytest.mark.parametrize("steadier", [0.03, 0.1, 1.0])
def test_no_pair_of_arms_errs_beyond_six_percent(runs: tuple[int, int], steadier: float, rest: float) -> None:
    """.06 and twice .055 (two one-sided tests), and 2.5 Monte-Carlo standard errors."""
    assert error(runs, (1.0, steadier), rest, 0.05) <= 0.064
    assert error(runs, (1.0, steadier), rest, 0.1) <= 0.116


def test_satterthwaites_own_degrees_err() -> None:
    """What the raised parts correct: three runs rule, ten steady runs or the patients make their spread look known."""
    assert error((3, 10), (1.0, 0.05), 0.05, 0.05, raised=False) > 0.07


def test_few_runs_alone_keep_their_degrees() -> None:
    assert effective_df([1.0, 0.0], [2.0, 9.0], 0.0) == pytest.approx(2.0)
    assert effective_df([1.0, 1.0], [2.0, 2.0], 0.0) == pytest.approx(4.0)
    assert np.isinf(effective_df([0.0, 0.0], [2.0, 2.0], 1.0))


def test_it_is_the_formula_for_arrays() -> None:
    own, rest = [np.array([0.2, 1.0]), np.array([0.1, 0.5])], np.array([0.4, 0.0])
    first, second = own[0] * (1 + RAISED / 2), own[1] * (1 + RAISED / 9)
    expected = (first + second + rest) ** 2 / (first**2 / 2 + second**2 / 9)
    np.testing.assert_allclose(effective_df(own, [2.0, 9.0], rest), expected, rtol=1e-12)


def test_the_quantile_never_shrinks() -> None:
    """Raised parts never give more degrees of freedom than Satterthwaite's where arms have equal numbers of runs."""
    stream = np.random.default_rng(1)
    own = list(stream.exponential(1.0, (2, 200)))
    for rest in (0.0, 0.5, 5.0):
        plain = (sum(own) + rest) ** 2 / sum(part**2 / 2 for part in own)
        assert (effective_df(own, [2.0, 2.0], rest) <= plain * (1 + 1e-12)).all()
    assert stdtrit(2.0, 0.975) > stdtrit(4.0, 0.975)
