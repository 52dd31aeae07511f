"""The figures of learning rates, betas and gradient norms."""

import numpy as np
import pytest

from equipoise.report.figures.gradients import gradient_figure
from equipoise.report.figures.rates import LEVELS, rate_figures
from equipoise.runfolder.read import JobRecord


def job(arm: str, seed: int = 0, lr: float = 0.1, spread: float = 0.5) -> JobRecord:
    epochs = np.arange(1, 9) / 4
    shares = np.linspace(-1, 1, len(LEVELS))
    rates = {"epoch": epochs, "lr": np.full(8, lr)}
    for level, share in zip(LEVELS, shares, strict=True):
        rates[f"rate_{level}"] = lr * 10 ** (share * spread * epochs)
        rates[f"beta_{level}"] = -share * spread * epochs * np.log(10) / 0.1
    history = {"epoch": np.array([1.0, 2.0]), "gradient_norm": np.array([1.0, 10.0 * (seed + 1)])}
    return JobRecord(arm, 0, seed, "finished", history=history, rates=rates)


def plain(arm: str) -> JobRecord:
    return JobRecord(arm, 0, 0, "finished", history={"epoch": np.array([1.0, 2.0])})


def test_an_arm_without_rates_has_no_panel() -> None:
    eta, beta = rate_figures([plain("adam"), job("paper"), job("paper", 1)], ["adam", "paper"])
    assert [panel.title for panel in eta.panels] == ["Learning rates over training of paper"]
    assert len(eta.rows) == len(beta.rows) == 8, "the first run alone"
    assert rate_figures([plain("adam")], ["adam"]) == []


def test_rates_are_told_as_powers_of_ten_from_the_scheduled_rate() -> None:
    eta, beta = rate_figures([job("paper", spread=0.5)], ["paper"])
    assert "all -1 to 1" in eta.panels[0].description
    assert "middle half -0.333 to 0.333" in eta.panels[0].description
    assert "middle half -7.68 to 7.68, all -23 to 23" in beta.panels[0].description, "from the lower to the higher"
    row = dict(zip(eta.columns, eta.rows[-1], strict=True))
    assert (row["rate_0"], row["rate_1"]) == pytest.approx((0.01, 1.0))
    last = dict(zip(beta.columns, beta.rows[-1], strict=True))
    assert last["beta_0"] == pytest.approx(-last["beta_1"])


def test_a_schedule_at_zero_and_a_rate_beyond_floats_are_left_out_of_the_drawing() -> None:
    one = job("paper")
    one.rates["lr"][-1] = 0.0
    one.rates["rate_1"][-2] = np.inf
    eta, _ = rate_figures([one], ["paper"])
    assert "nan" in eta.panels[0].description
    assert all("nan" not in part for part in eta.panels[0].parts)


def test_gradient_norms_of_every_run_are_drawn_on_common_axes() -> None:
    figure = gradient_figure([job("a"), job("a", 1), job("b"), plain("c")], ["a", "b", "c"])
    assert figure is not None
    assert [panel.description for panel in figure.panels] == [
        "in the last epoch: 10, 20",
        "in the last epoch: 10",
        "in the last epoch: no run",
    ]
    assert len(figure.rows) == 6
    assert gradient_figure([plain("a")], ["a"]) is None
