"""Hierarchical wins: counted by hand, by a loop over all meetings, and their interval by simulation."""

from dataclasses import astuple

import numpy as np
import pytest

from equipoise.statistics.wins import meetings

ONE_EACH = np.arange(5)


def test_counted_by_hand():
    a = np.array([[0.9, 0.0, 0.8, 0.0, 0.50]])
    b = np.array([[0.7, 0.6, 0.0, 0.0, 0.51]])
    found = meetings(a, b, ONE_EACH, failed=0.0, tie=0.05)
    assert (found.wins, found.losses, found.ties) == pytest.approx((2 / 5, 1 / 5, 2 / 5))
    assert found.by_failure == pytest.approx((1 / 5, 1 / 5))
    assert found.net == pytest.approx(1 / 5)
    assert found.ratio == pytest.approx(2.0)


def test_a_failure_loses_however_good_the_others_are():
    a, b = np.array([[250.0, 1.0, 1.0, 1.0, 1.0]]), np.array([[200.0, 9.0, 9.0, 9.0, 9.0]])
    found = meetings(a, b, ONE_EACH, failed=250.0, higher_is_better=False)
    assert (found.wins, found.losses) == pytest.approx((4 / 5, 1 / 5))
    assert found.by_failure == pytest.approx((0.0, 1 / 5))


def test_every_run_meets_every_run_and_each_patient_counts_once():
    generator = np.random.default_rng(0)
    a, b = generator.uniform(size=(3, 40)).round(1), generator.uniform(size=(2, 40)).round(1)
    patient = np.sort(generator.integers(0, 12, 40))
    patient = np.unique(patient, return_inverse=True)[1]
    net = []
    for p in range(patient.max() + 1):
        cases = np.flatnonzero(patient == p)
        total = 0
        for case in cases:
            for x in a[:, case]:
                for y in b[:, case]:
                    if (x <= 0.1) != (y <= 0.1):
                        total += 1 if y <= 0.1 else -1
                    elif x > 0.1 and abs(x - y) > 0.15:
                        total += 1 if x > y else -1
        net.append(total / (6 * len(cases)))
    assert meetings(a, b, patient, 0.1, tie=0.15).net == pytest.approx(np.mean(net))


@pytest.mark.parametrize("numbers", [(0, 2, 7, 8, 30), (30, 8, 0, 7, 2), (-5, 1, 2, 3, 10**12)])
def test_patients_are_counted_and_not_their_numbers(numbers):
    """Gaps appear where cases are left out of a panel whose patients were numbered before."""
    generator = np.random.default_rng(3)
    a, b = generator.normal(0.3, 1, (3, 12)), generator.normal(0, 1, (2, 12))
    patient = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 1, 0, 3])
    consecutive = meetings(a, b, patient, -0.5, tie=0.1)
    gaps = meetings(a, b, np.array(numbers)[patient], -0.5, tie=0.1)
    assert (gaps.patients, gaps.wins, gaps.losses) == (
        5,
        pytest.approx(consecutive.wins),
        pytest.approx(consecutive.losses),
    )
    assert np.isfinite([gaps.net, gaps.low, gaps.high, gaps.p, gaps.ratio, *gaps.by_failure]).all()
    assert astuple(gaps)[:10] == pytest.approx(astuple(consecutive)[:10], rel=1e-12)


def test_turned_arms_turn_the_result():
    generator = np.random.default_rng(2)
    a, b = generator.normal(0.1, 1, (3, 30)), generator.normal(0, 1, (4, 30))
    one, other = meetings(a, b, np.arange(30), -2.0), meetings(b, a, np.arange(30), -2.0)
    assert (one.net, one.low, one.high) == pytest.approx((-other.net, -other.high, -other.low))
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert one.p == pytest.approx(other.p)


def test_an_arm_that_never_wins_has_no_ratio():
    found = meetings(np.ones((3, 20)), np.zeros((3, 20)), np.arange(20), 0.0)
    assert found.net == 1.0
    assert np.isnan([found.ratio, found.p]).all()


@pytest.mark.long
@pytest.mark.parametrize(("n", "seeds", "run_sd"), [(40, 3, 0.0), (40, 3, 0.3), (150, 3, 0.3), (150, 5, 0.1)])
def test_equal_arms_differ_in_five_of_a_hundred_trials(n, seeds, run_sd):
    generator = np.random.default_rng(n + seeds)
    trials, rejected = 600, 0
    for _ in range(trials):
        case = generator.normal(0, 1, n)
        a, b = (case + generator.normal(0, run_sd, (seeds, 1)) + generator.normal(0, 0.7, (seeds, n)) for _ in range(2))
        rejected += meetings(a, b, np.arange(n), failed=-1.8, tie=0.1).p < 0.05
    assert rejected / trials <= 0.06 + 2 * np.sqrt(0.05 * 0.95 / trials)
