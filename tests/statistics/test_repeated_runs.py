"""Copies of one training run are one run, whatever was done to hide it; runs of their own are not taken for copies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import spearmanr

from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.report.text.reasons import sentence
from equipoise.statistics import judge
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.panel import align
from equipoise.statistics.repeated_runs import NEARLY_ELSEWHERE, nearness, without_repeats
from equipoise.statistics.subgroups import subgroups

Maker = Callable[..., Predictions]


def dice(seeds: int = 3, cases: int = 60, generator: int = 0) -> np.ndarray:
    """Dice (2 arms, seeds, cases) of runs trained apart, the first arm better."""
    stream = np.random.default_rng(generator)
    easy = np.clip(stream.normal(0.85, 0.05, cases), 0, 0.95)
    own = stream.normal(0, 0.01, (2, seeds, cases))
    return easy + own - np.array([0.0, 0.05])[:, None, None]


COPIES = {
    "equal": lambda one, stream: one,
    "rounded to two digits": lambda one, stream: np.round(one, 2),
    "rounded to three digits": lambda one, stream: np.round(one, 3),
    "single precision": lambda one, stream: one.astype(np.float32).astype(float),
    "noise of a ten-thousandth": lambda one, stream: one + stream.normal(0, 1e-4, one.shape),
    "noise of a thirtieth of the spread": lambda one, stream: one + stream.normal(0, 0.033 * one.std(), one.shape),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_of_a_run_allow_no_verdict_on_methods(segmentation: Maker, how: str) -> None:
    values, stream = dice(), np.random.default_rng(1)
    assert judge(segmentation(values), primary="dice", margin=0.02).comparisons[0].verdict == "a_better"
    for arm in (0, 1):
        values[arm, 1] = COPIES[how](values[arm, 0], stream)
        values[arm, 2] = COPIES[how](values[arm, 0], stream)
    elsewhere = how == "noise of a thirtieth of the spread"
    found = judge(segmentation(values), primary="dice", margin=0.02, planned_seeds=3, elsewhere=elsewhere)
    assert found.comparisons[0].verdict == "refused"
    assert found.ranking == ()
    text = sentence(found.comparisons[0].reason)
    assert "3 runs of a were given, but they are only 1 training run:" in text
    warnings = [sentence(one) for one in found.warnings]
    assert any(one.startswith("The runs 0, 1, 2 of b have equal or nearly equal predictions") for one in warnings)
    assert not any("failed" in one for one in warnings)


@pytest.mark.parametrize("scale", [lambda p: p, lambda p: np.round(p, 2), lambda p: expit(2 * logit(p))])
def test_scores_that_were_rounded_or_rescaled_are_copies(
    binary: Maker, scale: Callable[[np.ndarray], np.ndarray]
) -> None:
    one = binary(60, (0.85, 0.7), 1)
    other = replace(one, seed=one.seed + 1, scores=scale(one.scores))
    shuffled = other.where(np.random.default_rng(0).permutation(len(other)))
    panel = without_repeats(align(concatenate([one, shuffled])), endpoint_named("auc", (), one.classes))
    assert panel.repeated == {"a": ((0, 1),), "b": ((0, 1),)}
    assert panel.seed == (0, 0)


def test_two_copies_among_five_runs_leave_four(segmentation: Maker) -> None:
    values = dice(5)
    values[0, 3] = values[0, 1]
    found = judge(segmentation(values), primary="dice", margin=0.02, planned_seeds=5)
    assert found.comparisons[0].verdict == "a_better"
    assert [seed for seed, _ in found.endpoints["a"]["dice"].by_seed] == [0, 1, 2, 4]
    expected = values[0, [0, 1, 2, 4]].mean()
    assert found.endpoints["a"]["dice"].estimate == pytest.approx(expected)


def test_one_copied_fold_makes_two_runs_one(binary: Maker) -> None:
    table = binary(150, (0.85, 0.8), 3, folds=5)
    first = table.where((table.arm == "a") & (table.seed == 0) & (table.fold == 2))
    rest = table.where(~((table.arm == "a") & (table.seed == 1) & (table.fold == 2)))
    copied = concatenate([rest, replace(first, seed=np.ones(len(first), dtype=np.int64))])
    panel = without_repeats(align(copied), endpoint_named("auc", (), table.classes))
    assert panel.repeated == {"a": ((0, 1), (2,))}


@pytest.mark.parametrize("apart", [0.1, 0.137])
def test_the_nearest_runs_that_trials_gave_are_runs_of_their_own(segmentation: Maker, apart: float) -> None:
    """docs/experiments.md: the nearest two runs were 0.137 standard deviations over cases apart."""
    stream = np.random.default_rng(4)
    easy = stream.normal(0.8, 0.05, 60)
    values = easy + stream.normal(0, apart * easy.std() / np.sqrt(2), (2, 3, 60))
    panel = align(segmentation(values))
    assert without_repeats(panel, endpoint_named("dice", ["dice"]), nearly=NEARLY_ELSEWHERE) is panel


def test_runs_that_a_ledger_records_may_come_nearer(segmentation: Maker) -> None:
    """As those of a linear network, which all end at the same weights."""
    stream = np.random.default_rng(4)
    easy = stream.normal(0.8, 0.05, 60)
    panel = align(segmentation(easy + stream.normal(0, 0.035 * easy.std() / np.sqrt(2), (2, 3, 60))))
    endpoint = endpoint_named("dice", ["dice"])
    assert without_repeats(panel, endpoint) is panel
    assert without_repeats(panel, endpoint, nearly=NEARLY_ELSEWHERE).repeated == {"a": ((0, 1, 2),), "b": ((0, 1, 2),)}


@pytest.mark.long
def test_runs_of_their_own_are_not_copies(binary: Maker, segmentation: Maker) -> None:
    scores = align(binary(150, (0.9, 0.95), 5))
    assert without_repeats(scores, endpoint_named("auc", (), scores.classes)) is scores
    # The same cases fail in every run, and easy ones are perfect in every run.
    values = np.clip(dice(5), 0.0, 1.0)
    values[:, :, :30], values[:, :, 30:36] = 1.0, 0.0
    masks = align(segmentation(values))
    assert without_repeats(masks, endpoint_named("dice", ["dice"])) is masks
    saturated = binary(60, (0.99,), 3)
    saturated = replace(saturated, scores=expit(8 * logit(saturated.scores)))
    sure = align(saturated)
    assert without_repeats(sure, endpoint_named("auc", (), sure.classes)) is sure


def test_runs_that_collapsed_alike_and_rules_are_no_copies(segmentation: Maker) -> None:
    values = dice()
    values[1] = 0.0
    panel = align(segmentation(values))
    assert without_repeats(panel, endpoint_named("dice", ["dice"])) is panel
    values[1] = values[0, 0]
    rule = without_repeats(align(segmentation(values)), endpoint_named("dice", ["dice"]), ["b"])
    assert rule.repeated == {}


def test_subgroups_count_a_copied_run_once(segmentation: Maker) -> None:
    values = dice()
    values[:, 2] = values[:, 1]
    table = segmentation(values)
    site = {case: "ab"[k % 2] for k, case in enumerate(sorted(set(table.case.tolist())))}
    once = table.where(table.seed < 2)
    found, expected = (subgroups(one, {"site": site}, endpoint="dice")[0].tests[0].p for one in (table, once))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("noise", "doubted"), [(0.1, True), (1.0, False)])
def test_how_near_runs_come_is_told_of_an_audit(segmentation: Maker, noise: float, doubted: bool) -> None:
    """The distance follows from Spearman's correlation r: the mean square of differences of ranks is 2 (1 - r)."""
    values, stream = dice(), np.random.default_rng(1)
    for run in (1, 2):
        values[0, run] = values[0, 0] + noise * values[0, 0].std() * stream.normal(size=60)
    panel = align(segmentation(values), arms=("a", "b"))
    (reason,) = nearness(panel, endpoint_named("dice", ["dice"]), ("a", "b"))
    for (_, apart), runs in zip(reason.facts["arms"], values, strict=True):
        correlation = max(spearmanr(runs[i], runs[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2)))
        assert apart == pytest.approx(np.sqrt(2 * (1 - correlation)), rel=1e-6)
    warnings = [
        sentence(one) for one in judge(segmentation(values), primary="dice", margin=0.02, elsewhere=True).warnings
    ]
    (text,) = [one for one in warnings if one.startswith("The nearest two runs are")]
    assert ("those of a are nearer than any of them" in text) is doubted
    trial = judge(segmentation(values), primary="dice", margin=0.02).warnings
    assert "run_nearness" not in [one.code for one in trial], "a ledger records the trainings of a trial"
    assert nearness(align(segmentation(values[:, :1])), endpoint_named("dice", ["dice"]), ("a", "b")) == []
