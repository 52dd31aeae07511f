import numpy as np
import pytest
from scipy import stats

from equipoise.errors import PredictionError
from equipoise.statistics.looks import boundaries, nominal_alpha, spent

PUBLISHED = {
    (3, 5): (2.528, 1.996),
    (3, 4, 5): (2.528, 2.249, 2.062),
    (5, 10): (2.770, 1.977),
}


@pytest.mark.long
@pytest.mark.parametrize("looks", PUBLISHED)
def test_boundaries_are_the_simulated_ones(looks: tuple[int, ...]) -> None:
    """The first is known exactly, z(.975) / sqrt(t); the others were found by simulation."""
    assert boundaries(looks)[0] == pytest.approx(1.959963984540054 / np.sqrt(looks[0] / looks[-1]), abs=1e-8)
    assert boundaries(looks) == pytest.approx(PUBLISHED[looks], abs=3e-3)


def test_boundaries_keep_the_error_in_random_walks() -> None:
    generator = np.random.default_rng(0)
    steps = generator.standard_normal((200_000, 5))
    z = np.abs(steps.cumsum(axis=1) / np.sqrt(np.arange(1, 6)))
    crossed = (z[:, 2] > boundaries((3, 5))[0]) | (z[:, 4] > boundaries((3, 5))[1])
    assert crossed.mean() == pytest.approx(0.05, abs=0.002)


def test_all_error_is_spent_at_the_end() -> None:
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert nominal_alpha((5,), 5) == pytest.approx(0.05)
    assert nominal_alpha((3, 5), 3) == pytest.approx(2 * stats.norm.sf(2.528), abs=1e-4)


@pytest.mark.parametrize("looks", [(), (2, 5), (5, 3), (3, 3)])
def test_unsound_looks_are_refused(looks: tuple[int, ...]) -> None:
    with pytest.raises(PredictionError, match="must rise and start at 3"):
        boundaries(looks)


def test_a_look_between_looks_is_refused() -> None:
    with pytest.raises(PredictionError, match="4 seeds are no planned look"):
        nominal_alpha((3, 5), 4)
