"""The second readings of a judged comparison: from the numbers of the verdict, and only where they mean something."""

import numpy as np
import pytest
from scipy.stats import norm

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics import judge


def table(metric, values):
    """Build test rows from {arm: (seeds, cases)}."""
    arms = [(arm, seed, row) for arm, rows in values.items() for seed, row in enumerate(rows)]
    n = arms[0][2].shape[0]
    case = np.tile(np.array([f"c{k:03d}" for k in range(n)]), len(arms))
    size = len(case)
    names = np.repeat([arm for arm, _, _ in arms], n)
    seeds = np.repeat([seed for _, seed, _ in arms], n)
    numbers = np.zeros(size, dtype=np.int64)
    metrics = {metric: np.concatenate([row for _, _, row in arms])}
    part = np.full(size, "test")
    return Predictions(case, case, part, names, numbers, seeds, numbers, np.empty((size, 0)), (), metrics)


def drawn(n, failing, gain=0.0, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.beta(20, 5, n)
    values = {}
    for arm, shift, rate in (("a", gain, failing[0]), ("b", 0.0, failing[1])):
        rows = common + shift + 0.01 * generator.normal(size=(3, 1)) + 0.03 * generator.normal(size=(3, n))
        rows = np.clip(rows, 0.2, 1)
        rows[:, generator.random(n) < rate] = 0.0
        values[arm] = rows
    return values


def judged(values, margin=0.02, metric="dice"):
    (pair,) = [
        p for p in judge(table(metric, values), primary=metric, margin=margin).comparisons if p.role == "primary"
    ]
    return pair


def test_probabilities_agree_with_a_clear_interval():
    pair = judged(drawn(200, (0.0, 0.0), gain=0.05))
    found = pair.posterior
    assert found.margin == 0.02
    assert found.above > 0.9
    assert found.below + found.within + found.above == pytest.approx(1.0)
    # with this much data the prior hardly counts: the credible interval lies about the estimate, near the confident one
    assert found.low == pytest.approx(pair.low, abs=0.012)
    assert found.high == pytest.approx(pair.high, abs=0.012)
    width = (found.high - found.low) / (2 * norm.ppf(0.975))
    assert width >= 0.8 * pair.se_patients


def test_without_a_margin_there_is_no_posterior():
    assert judged(drawn(200, (0.1, 0.1)), margin=None).posterior is None


def test_a_rule_without_training_has_no_posterior():
    """Its prior is of methods some margins apart: for AUCs of .97 against .5 it made -.017 to .468."""
    values = drawn(200, (0.0, 0.0), gain=0.02)
    values["rule"] = np.full((1, 200), 0.3)
    judgement = judge(table("dice", values), primary="dice", margin=0.02, deterministic=("rule",))
    has = {(pair.a, pair.b): pair.posterior is not None for pair in judgement.comparisons if pair.role == "primary"}
    assert has == {("a", "b"): True, ("a", "rule"): False, ("b", "rule"): False}


def test_wins_count_failures_first():
    values = drawn(200, (0.1, 0.2), seed=1)
    pair = judged(values)
    failed = [(rows < 0.1)[0] for rows in values.values()]
    assert pair.wins.by_failure == pytest.approx(
        (float((~failed[0] & failed[1]).mean()), float((failed[0] & ~failed[1]).mean()))
    )
    assert pair.wins.tie == 0.02
    assert pair.wins.wins + pair.wins.losses + pair.wins.ties == pytest.approx(1.0)


def test_classifiers_have_no_wins_and_secondary_endpoints_no_readings():
    generator = np.random.default_rng(5)
    truth = (np.arange(120) < 50).astype(np.int64)
    rows = [np.clip(0.5 + 0.3 * (truth - 0.5) + 0.2 * generator.normal(size=120), 0.01, 0.99) for _ in range(6)]
    base = table("x", {"a": np.array(rows[:3]), "b": np.array(rows[3:])})
    scores = np.stack([1 - np.concatenate(rows), np.concatenate(rows)], axis=1)
    fixed = (base.case, base.patient, base.split, base.arm, base.fold, base.seed)
    predictions = Predictions(*fixed, np.tile(truth, 6), scores, ("no", "yes"), {})
    pairs = judge(predictions, primary="auc", secondary=("accuracy",), margin=0.05).comparisons
    assert [pair.wins for pair in pairs] == [None, None]
    assert pairs[0].posterior is not None
    assert pairs[1].posterior is None
