"""The rows of the second readings: the right side is called better, and nothing uncertain is called certain."""

import pytest

from equipoise.report.text.second_readings import readings
from equipoise.statistics.posterior import posterior

FOUND = {"below": 0.0004, "within": 0.2, "above": 0.7996, "positive": 0.9, "low": -0.001, "high": 0.05, "margin": 0.02}
WINS = {
    "wins": 0.5, "losses": 0.3, "ties": 0.2, "net": 0.2, "low": 0.1, "high": 0.3, "p": 0.01, "ratio": None,
    "ratio_low": None, "ratio_high": None, "by_failure": [0.1, 0.02], "tie": 0.0, "patients": 50,
}  # fmt: skip


def results(higher, **pair):
    entry = {"a": "one", "b": "two", "posterior": None, "wins": None, "difference": 0.0312} | pair
    return {"comparisons": [entry], "baseline_comparisons": [], "endpoints": {"higher_is_better": higher}}


@pytest.mark.parametrize(("higher", "first", "last"), [(True, "80.0 %", "< 0.1 %"), (False, "< 0.1 %", "80.0 %")])
def test_the_direction_says_which_side_is_better(higher, first, last):
    found = readings(results(higher, posterior=FOUND), {"one": "One", "two": "Two"})
    ((name, cells),) = found["probabilities"]
    assert name == "One − Two"
    assert (cells[0], cells[1], cells[2]) == (first, "20.0 %", last)
    assert cells[3] == ("90.0 %" if higher else "10.0 %")
    assert cells[4] == "+0.0312"
    assert len(cells) == len(found["probability_heads"])
    assert "shrunk towards 0" in found["probability_heads"][-1]
    assert found["wins"] == []


def test_wins_without_a_ratio():
    found = readings(results(True, wins=WINS), {"one": "One", "two": "Two"})
    ((_, cells),) = found["wins"]
    assert len(cells) == len(found["win_heads"])
    assert cells[-1] == "–"
    assert cells[3] == "10.0 % won, 2.0 % lost"


def test_the_credible_interval_of_a_shrunken_difference_may_exclude_the_observed_one():
    # By hand, without a spread between runs: prior N(0, (4 * 0.03)^2), data N(0.572, 0.05^2).
    found = posterior(0.572, 0.05**2, (), 0.03)
    share = 0.12**2 / (0.12**2 + 0.05**2)
    mean, sd = share * 0.572, 0.05 * share**0.5
    assert (found.low, found.high) == pytest.approx((mean - 1.95996 * sd, mean + 1.95996 * sd), abs=1e-5)
    assert found.high < 0.58
