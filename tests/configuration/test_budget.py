"""Designs and epochs that fit into minutes."""

from dataclasses import replace

import pytest

from equipoise.configuration.budget import (
    ENOUGH_UPDATES,
    MOST_UPDATES,
    Offer,
    Rates,
    best,
    elapsed,
    epoch_seconds,
    fitted,
    of_folds,
    trial_seconds,
)
from equipoise.configuration.design import SHARES, Chance, Design, designs
from equipoise.report.text.configuration import Bought, folds_sentence, more_time, time_sentence

RATES = [Rates("unet", 0.1, 0.0, 0.05), Rates("deeplab", 0.05, 0.01, 0.05), Rates("densenet", 0.2, 0.0, 0.05)]


def offered(design: Design, power: float, refusal: str = "", train: int = 160) -> Offer:
    return Offer(design, train, 20, 20, 20, Chance(power, power, refusal))


HOLDOUT = offered(Design("holdout", SHARES[0], 1, 3, 2), 0.3)
FOLDS = offered(Design("kfold", SHARES[0], 5, 3, 2), 0.6)


def fit(offer: Offer, minutes: float) -> object:
    return fitted(offer, RATES, minutes, batch=2, per_case=1, side_by_side=2, fewest=ENOUGH_UPDATES[True])


def test_costs_add_up() -> None:
    assert epoch_seconds(RATES[1], 100, 10, 2) == pytest.approx(0.05 * 200 + 0.01 * 200 + 0.5)
    assert elapsed([5, 1, 1, 1], 2) == 5
    once, twice = (trial_seconds(HOLDOUT, RATES, epochs, 1, 1) for epochs in (1, 2))
    assert (twice - once) * 0.9 == pytest.approx(3 * (160 * 0.16 + 20 * 0.1))


@pytest.mark.parametrize("minutes", [5, 30, 300])
def test_a_fit_ends_in_time_and_uses_it(minutes: float) -> None:
    made = fit(HOLDOUT, minutes)
    assert made.minutes <= minutes
    longer = trial_seconds(HOLDOUT, RATES, made.epochs + 1, 1, 2) / 60
    assert longer > minutes or made.updates + 80 > MOST_UPDATES


def test_one_epoch_that_does_not_fit_is_said() -> None:
    made = fit(FOLDS, 1)
    assert made.epochs == 1
    assert "are not enough" in time_sentence(made, 1, 2)
    assert best([made, fit(HOLDOUT, 1)]).offer == HOLDOUT, "the shortest trial"


def test_the_likelier_verdict_is_taken_where_networks_still_learn() -> None:
    assert best([fit(HOLDOUT, 30), fit(FOLDS, 30)]).offer == HOLDOUT, "five folds leave too few updates"
    assert best([fit(HOLDOUT, 300), fit(FOLDS, 300)]).offer == FOLDS
    refused = offered(Design("holdout", SHARES[0], 1, 3, 2), 0.0, "too few patients")
    assert best([fit(refused, 30), fit(FOLDS, 30)]).offer == FOLDS, "a design without a verdict is the last resort"
    assert best([fit(refused, 30)]).offer == refused


def test_equal_chances_prefer_training_cases_then_length_then_arms() -> None:
    two, three = (offered(Design("holdout", SHARES[0], 1, 3, arms), 0.3) for arms in (2, 3))
    fewer = offered(Design("holdout", SHARES[2], 1, 3, 2), 0.32, train=120)
    assert best([fit(fewer, 60), fit(two, 60)]).offer == two
    assert best([fit(two, 25), fit(three, 25)]).offer == two
    assert best([fit(two, 600), fit(three, 600)]).offer == three


def test_designs_of_small_large_and_given_cohorts() -> None:
    assert {design.scheme for design in designs("holdout", 100, 3)} == {"holdout", "kfold"}
    assert {design.scheme for design in designs("holdout", 5000, 3)} == {"holdout"}
    assert {design.scheme for design in designs("given", 100, 3)} == {"given"}
    assert {design.arms for design in designs("given", 100, 3)} == {2, 3}


def test_more_time_is_said_in_epochs_designs_and_chances() -> None:
    now, then = fit(HOLDOUT, 30), fit(FOLDS, 300)
    (line,) = more_time(now, [Bought(30, now), Bought(300, then)])
    assert line.startswith(f"300 minutes: {then.epochs} epochs instead of {now.epochs}")
    assert "2 arms × 3 seeds × 5 folds instead of 2 arms × 3 seeds" in line
    assert "a verdict in 60 % of trials instead of 30 %" in line
    assert now.enough
    assert now.updates >= 1000


def test_the_minutes_of_cross_validation_are_said_where_a_verdict_is_not_likely() -> None:
    """With few patients, longer training of one split cannot give what testing every patient gives."""
    now, known = fit(HOLDOUT, 30), {"batch": 2, "per_case": 1, "side_by_side": 2}
    three = offered(Design("kfold", SHARES[0], 5, 3, 3), 0.9)
    folds = of_folds(now, [HOLDOUT, three, FOLDS], RATES, **known)
    assert folds.offer == FOLDS, "of as many arms and seeds"
    assert folds.epochs == now.epochs
    assert folds.minutes == pytest.approx(trial_seconds(FOLDS, RATES, now.epochs, 1, 2) / 60)
    (line,) = folds_sentence(now, folds, 0.8)
    assert line == (
        f'{folds.minutes:.0f} minutes, scheme = "kfold": 5 folds test 20 patients instead of 20, with {now.epochs} '
        "epochs; a verdict in 60 % of trials."
    )
    short = of_folds(replace(now, epochs=1), [FOLDS], RATES, **known)
    assert short.updates >= short.fewest, "as many epochs as are worth judging"
    assert of_folds(now, [HOLDOUT], RATES, **known) is None
    assert of_folds(fit(FOLDS, 30), [FOLDS], RATES, **known) is None
    assert folds_sentence(now, None, 0.8) == folds_sentence(now, folds, 0.2) == []


def test_a_design_that_differs_in_its_fractions_alone_is_no_gain_in_words() -> None:
    now = fit(HOLDOUT, 30)
    design = replace(HOLDOUT.design, fractions=(0.9, 0.05, 0.05))
    then = fit(replace(HOLDOUT, design=design, test_patients=1), 300)
    (line,) = more_time(now, [Bought(300, then)])
    assert "arms" not in line
    assert f"1 test patient instead of {HOLDOUT.test_patients}" in line
