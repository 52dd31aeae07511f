from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.report.text.reasons import sentence
from equipoise.statistics import Endpoint, Judgement, Kind, judge

Maker = Callable[..., Predictions]


def verdicts(found: Judgement, endpoint: str = "auc") -> dict[tuple[str, str], str]:
    return {(c.a, c.b): c.verdict for c in found.comparisons if c.endpoint == endpoint}


def test_a_clear_difference_is_found_in_its_direction(binary: Maker) -> None:
    found = judge(binary(300, (0.75, 0.9)), primary="auc", secondary=["brier"], margin=0.03)
    assert verdicts(found) == {("a", "b"): "b_better"}
    assert verdicts(found, "brier") == {("a", "b"): "b_better"}
    primary, secondary = found.comparisons
    assert primary.difference < 0 < secondary.difference
    assert primary.high < 0
    assert (primary.role, secondary.role) == ("primary", "secondary")
    assert (primary.margin, secondary.margin) == (0.03, None)
    assert [r.arm for r in found.ranking] == ["b", "a"]


@pytest.mark.long
def test_the_same_predictions_give_the_same_judgement_in_any_row_order(binary: Maker) -> None:
    table = binary(60, (0.8, 0.82, 0.84), folds=3)
    shuffled = table.where(np.random.default_rng(0).permutation(len(table)))
    one, other = (judge(t, primary="auc", secondary=["accuracy"], margin=0.03) for t in (table, shuffled))
    assert repr(asdict(one)) == repr(asdict(other))


def test_names_turned_round_turn_the_comparison(binary: Maker) -> None:
    table = binary(100, (0.8, 0.85))
    swapped = replace(table, arm=np.where(table.arm == "a", "b", "a"))
    one, other = (judge(t, primary="auc", margin=0.03).comparisons[0] for t in (table, swapped))
    assert other.difference == pytest.approx(-one.difference)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
    assert (other.p, other.se, other.df) == pytest.approx((one.p, one.se, one.df))


def test_identical_arms_are_never_told_apart(binary: Maker) -> None:
    table = binary(300, (0.85,), 5)
    twin = replace(table, arm=np.full(len(table), "twin"))
    found = judge(concatenate([table, twin]), primary="auc", margin=0.03).comparisons[0]
    assert found.difference == 0
    assert found.verdict == "equivalent"


def test_identical_arms_without_spread_between_runs_are_refused(binary: Maker) -> None:
    one = binary(100, (0.85,), 1)
    n = len(one)
    copies = [replace(one, arm=np.full(n, arm), seed=np.full(n, seed)) for arm in "ab" for seed in range(3)]
    table = concatenate(copies)
    found = judge(table, primary="auc", margin=0.03).comparisons[0]
    assert found.verdict == "refused"
    assert "3 runs of a were given, but they are only 1 training run" in sentence(found.reason)
    rules = judge(table, primary="auc", margin=0.03, deterministic=["b"], family="b").comparisons[0]
    assert rules.verdict == "refused"


@pytest.mark.long
def test_twenty_equal_arms_have_no_winner(binary: Maker) -> None:
    names = [f"arm{k:02d}" for k in range(20)]
    found = judge(binary(150, (0.85,) * 20, seed_sd=0.01, names=names, generator=5), primary="auc", margin=0.03)
    assert len(found.comparisons) == 190
    assert not {"a_better", "b_better"} & set(verdicts(found).values())
    assert min(c.p for c in found.comparisons) < 0.05
    assert max(r.probability_best for r in found.ranking) < 0.95


def test_one_seed_never_becomes_a_claim_about_methods(binary: Maker) -> None:
    found = judge(binary(300, (0.7, 0.9), 1), primary="auc", margin=0.03).comparisons[0]
    assert found.verdict == "single_run"
    assert sentence(found.reason).startswith("This trained network of b scored better")
    assert "not the methods" in sentence(found.reason)
    assert found.p < 0.05


def test_two_seeds_are_refused(binary: Maker) -> None:
    found = judge(binary(300, (0.7, 0.9), 2), primary="auc", margin=0.03).comparisons[0]
    assert found.verdict == "refused"
    assert "2 finished training runs" in sentence(found.reason)
    assert np.isnan(found.p)
    assert found.difference < 0


def test_failed_jobs_leave_unequal_seeds(binary: Maker) -> None:
    table = binary(200, (0.75, 0.9), 5)
    found = judge(table.where((table.arm == "a") | (table.seed < 3)), primary="auc", margin=0.03, planned_seeds=5)
    assert verdicts(found) == {("a", "b"): "b_better"}
    words = "b finished 3 of 5 planned training runs; the others failed and are not included in its mean."
    assert words in [sentence(one) for one in found.warnings]
    assert len(found.endpoints["b"]["auc"].by_seed) == 3


def test_a_diverged_arm_is_refused_and_the_others_go_on(binary: Maker) -> None:
    table = binary(200, (0.75, 0.9, 0.8))
    scores = table.scores.copy()
    scores[(table.arm == "c") & (table.seed == 0)] = np.nan
    found = judge(replace(table, scores=scores), primary="auc", margin=0.03)
    assert verdicts(found) == {("a", "b"): "b_better", ("a", "c"): "refused", ("b", "c"): "refused"}
    assert any("c, seed 0: a score of case" in sentence(warning) for warning in found.warnings)
    assert np.isnan(found.endpoints["c"]["auc"].estimate)


def test_a_planned_arm_without_any_prediction_stays_in_the_results(binary: Maker) -> None:
    found = judge(binary(100), primary="auc", margin=0.03, arms=["b", "crashed", "a"])
    assert list(found.endpoints) == ["b", "crashed", "a"]
    assert verdicts(found)["crashed", "a"] == "refused"
    assert sentence(found.endpoints["crashed"]["auc"].reason).startswith(
        "crashed has no finished seed with test predictions"
    )


@pytest.mark.long
def test_a_control_arm_makes_a_smaller_family(binary: Maker) -> None:
    table = binary(150, (0.8, 0.85, 0.9))
    control = judge(table, primary="auc", margin=0.03, family="b")
    everyone = judge(table, primary="auc", margin=0.03)
    assert list(verdicts(control)) == [("a", "b"), ("c", "b")]
    assert control.comparisons[0].p == everyone.comparisons[0].p
    assert control.comparisons[0].p_adjusted <= everyone.comparisons[0].p_adjusted


@pytest.mark.long
def test_a_rule_without_seeds_is_compared_with_every_trained_arm(binary: Maker) -> None:
    """Deep arms no better than the size rule: the rule's single run has no spread between runs."""
    trained = binary(400, (0.85, 0.852), 5, seed_sd=0.002)
    rule = replace(
        trained.where((trained.arm == "a") & (trained.seed == 0)),
        arm=np.full(int(((trained.arm == "a") & (trained.seed == 0)).sum()), "size-rule"),
    )
    found = judge(concatenate([trained, rule]), primary="auc", margin=0.03, deterministic=["size-rule"])
    assert set(verdicts(found)) == {("a", "b"), ("a", "size-rule"), ("b", "size-rule")}
    assert set(verdicts(found).values()) == {"equivalent"}
    assert sorted(r.arm for r in found.ranking) == ["a", "b"]
    assert found.endpoints["size-rule"]["auc"].method.startswith("Newcombe")


def test_a_majority_rule_is_beaten(binary: Maker) -> None:
    trained = binary(150, (0.85,), 3)
    one = trained.where(trained.seed == 0)
    rule = replace(one, arm=np.full(len(one), "majority-class"), scores=np.tile([0.7, 0.3], (len(one), 1)))
    table = concatenate([trained, rule])
    found = judge(table, primary="auc", margin=0.03, deterministic=["majority-class"])
    assert verdicts(found) == {("a", "majority-class"): "a_better"}
    assert not any("same score" in sentence(warning) for warning in found.warnings)


def test_few_events_refuse_and_some_events_flag(binary: Maker) -> None:
    table = binary(200, (0.7, 0.95))
    positives = sorted({str(p) for p in table.patient[table.truth == 1]})
    for kept, verdict in ((9, "refused"), (15, "b_better")):
        drop = np.isin(table.patient, positives[kept:]) & (table.truth == 1)
        found = judge(table.where(~drop), primary="auc", margin=0.03).comparisons[0]
        assert found.verdict == verdict
        assert f"{kept} " in sentence(found.reason if verdict == "refused" else found.flags[0])


def test_unknown_patients_refuse_verdicts(binary: Maker) -> None:
    found = judge(binary(100, (0.7, 0.9)), primary="auc", margin=0.03, patients_known=False)
    assert found.comparisons[0].verdict == "refused"
    assert "add a patient column" in sentence(found.comparisons[0].reason)


def test_perfect_arms_are_refused(binary: Maker) -> None:
    table = binary(100)
    positive = np.where(table.truth == 1, 0.9, 0.1)
    found = judge(replace(table, scores=np.stack([1 - positive, positive], 1)), primary="auc", margin=0.03)
    assert "Both arms are perfect" in sentence(found.comparisons[0].reason)


def test_not_enough_data_says_what_would_be_enough(binary: Maker) -> None:
    found = judge(binary(100, (0.84, 0.85), seed_sd=0.003), primary="auc", margin=0.03).comparisons[0]
    assert found.verdict == "not_enough_data"
    assert found.patients_needed is not None
    assert f"about {found.patients_needed} test patients" in sentence(found.reason)
    assert [n.seeds for n in found.needed] == [3, 5, 10]
    assert found.detectable is not None
    assert found.detectable > 0.03


@pytest.mark.long
def test_equivalence_takes_precedence_over_a_small_difference(binary: Maker) -> None:
    found = judge(binary(3_000, (0.85, 0.87), 5, seed_sd=0.001), primary="auc", margin=0.05).comparisons[0]
    assert found.p_adjusted < 0.05
    assert found.verdict == "equivalent"
    assert sentence(found.reason).endswith("b is better, but by less than the margin.")


@pytest.mark.long
def test_cross_validation_needs_both_analyses(binary: Maker) -> None:
    found = judge(binary(300, (0.78, 0.9), folds=5), primary="auc", margin=0.03).comparisons[0]
    assert found.verdict == "b_better"
    assert found.p_new_data < 0.05
    assert found.new_data[1] < 0
    noisy = judge(binary(300, (0.84, 0.88), folds=5, generator=3), primary="auc", margin=0.03).comparisons[0]
    if noisy.p_adjusted < 0.05 <= noisy.p_new_data:
        assert noisy.verdict == "not_enough_data"
        assert "a method trained on new data may not" in sentence(noisy.reason)


@pytest.mark.long
def test_three_classes_are_averaged_or_one_is_named() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 120)
    logits = generator.standard_normal((6, 120, 3)) + np.eye(3)[truth] * np.repeat([1.0, 2.5], 3)[:, None, None]
    scores = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    table = Predictions(
        case=np.tile([f"c{k:03d}" for k in range(120)], 6),
        patient=np.tile([f"p{k:03d}" for k in range(120)], 6),
        split=np.full(720, "test"),
        arm=np.repeat(["weak", "strong"], 360),
        fold=np.zeros(720, dtype=np.int64),
        seed=np.tile(np.repeat(np.arange(3), 120), 2),
        truth=np.tile(truth, 6),
        scores=scores.reshape(720, 3),
        classes=("x", "y", "z"),
    )
    for positive in (None, "y"):
        found = judge(table, primary="auc", secondary=["balanced_accuracy"], margin=0.03, positive=positive)
        assert verdicts(found) == {("strong", "weak"): "a_better"}
    assert judge(table, primary="sensitivity", margin=0.1).comparisons[0].verdict == "refused"
    with pytest.raises(PredictionError, match="no class 'q'"):
        judge(table, primary="auc", margin=0.03, positive="q")


def test_a_failing_segmenter_with_a_better_median_is_seen(segmentation: Maker) -> None:
    """b is better on the typical case and fails on eight percent: the mean decides, the median stands beside it."""
    generator = np.random.default_rng(0)
    base = 0.8 + 0.05 * generator.standard_normal(200)
    values = base + 0.004 * generator.standard_normal((2, 3, 200))
    values[1] += 0.02
    values[1, :, :16] = 0.0
    found = judge(segmentation(np.clip(values, 0, 1)), primary="dice", margin=0.02)
    dice, failure = found.comparisons
    assert dice.verdict == "a_better"
    assert dice.typical_case is not None
    assert dice.typical_case.median_difference < 0
    assert dice.typical_case.wilcoxon_p < 0.05
    assert (failure.endpoint, failure.verdict) == ("failure_rate", "a_better")
    assert found.endpoints["b"]["failure_rate"].estimate == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("cases", "failures", "words"), [(25, 0, "Only 25 test cases"), (200, 3, "fails (Dice below 0.1) on 3")]
)
def test_segmentation_with_few_cases_or_few_failures_is_descriptive(
    segmentation: Maker, cases: int, failures: int, words: str
) -> None:
    values = np.clip(0.8 + 0.05 * np.random.default_rng(1).standard_normal((2, 3, cases)), 0, 1)
    values[1, :, :failures] = 0.0
    found = judge(segmentation(values), primary="dice", margin=0.02)
    assert found.comparisons[0].verdict == "refused"
    assert words in sentence(found.comparisons[0].reason)
    assert np.isfinite(found.endpoints["b"]["dice"].low)


@pytest.mark.parametrize(("gap", "verdict"), [(0.15, "a_better"), (0.015, "refused")])
def test_few_failures_forbid_no_verdict_that_they_cannot_change(segmentation: Maker, gap: float, verdict: str) -> None:
    """One failure of 100 says a rate of 0 to .047; with up to .03 of the other arm, .8 x (.03 + .01) are uncertain."""
    values = 0.8 + 0.05 * np.random.default_rng(1).standard_normal((2, 3, 100))
    values[1] -= gap
    values[1, :, :1] = 0.0
    judged = judge(segmentation(np.clip(values, 0, 1)), primary="dice", margin=0.02).comparisons[0]
    assert judged.verdict == verdict
    worst = stats.beta.ppf(0.05, 1, 100)
    uncertain = values[0].mean() * (3 / 100 + 1 / 100 - worst)
    assert (judged.verdict == "a_better") == (abs(values[0].mean() - values[1].mean()) > uncertain)


@pytest.mark.long
def test_looks_use_the_level_of_the_look(binary: Maker) -> None:
    table = binary(300, (0.80, 0.88), 3)
    early = judge(table, primary="auc", margin=0.03, looks=(3, 5), planned_seeds=3)
    assert early.alpha == pytest.approx(0.0114, abs=2e-4)
    assert sentence(early.warnings[0]).startswith("This is the planned look at 3 of 5 seeds")
    with pytest.raises(PredictionError, match="no planned look"):
        judge(binary(100, seeds=4), primary="auc", margin=0.03, looks=(3, 5))
    failed = judge(binary(100, seeds=4), primary="auc", margin=0.03, looks=(3, 5), planned_seeds=5)
    assert failed.alpha == pytest.approx(0.0457, abs=2e-4), "a run that failed was planned all the same"


def test_a_users_endpoint_is_judged_like_any_other(binary: Maker) -> None:
    def gap(truth: np.ndarray, scores: np.ndarray) -> float:
        return float(scores[truth == 1, 1].mean() - scores[truth == 0, 1].mean())

    mine = Endpoint("gap", Kind.POOLED, compute=gap)
    found = judge(binary(100, (0.7, 0.95)), primary="gap", margin=0.05, custom={"gap": mine})
    assert verdicts(found, "gap") == {("a", "b"): "b_better"}


@pytest.mark.long
def test_where_the_uncertainty_comes_from(binary: Maker) -> None:
    noisy = judge(binary(1_000, (0.85, 0.85), 5, seed_sd=0.03), primary="auc", margin=0.03).variance
    steady = judge(binary(100, (0.85, 0.85), 5, seed_sd=0.0), primary="auc", margin=0.03).variance
    assert noisy is not None
    assert steady is not None
    assert noisy.seeds_share > 0.5 > steady.seeds_share
    assert noisy.patients_share < 0.5 < steady.patients_share
    assert noisy.seeds_share + noisy.patients_share >= 1, "what comes from both, either can remove"
    assert "more seeds would help more than more patients" in sentence(noisy.advice)
    assert "more patients would help more than more seeds" in sentence(steady.advice)
    assert noisy.seed_sd == pytest.approx(0.03, rel=0.5)
    assert noisy.seed_df == 8


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"margin": 0.0}, "not a positive number"),
        ({"margin": float("nan")}, "not a positive number"),
        ({"alpha": 0.7}, "alpha 0.7"),
        ({"family": "nobody"}, "no arm 'nobody'"),
        ({"deterministic": ["rule"]}, "no arm 'rule'"),
        ({"primary": "acu"}, "no endpoint 'acu'"),
        ({"secondary": ["dice"]}, "no endpoint 'dice'"),
        ({"positive": "cyst"}, "no class 'cyst'"),
    ],
)
def test_questions_that_make_no_sense_are_refused(binary: Maker, settings: dict[str, object], words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        judge(binary(20), **{"primary": "auc", "margin": 0.03, **settings})


def test_a_run_that_stands_under_two_arms_is_named(binary: Maker) -> None:
    table = binary(60, (0.9, 0.7))
    scores = table.scores.copy()
    scores[(table.arm == "b") & (table.seed == 2)] = scores[(table.arm == "a") & (table.seed == 1)]
    told = [sentence(one) for one in judge(replace(table, scores=scores), primary="auc", margin=0.05).warnings]
    assert any("Run 1 of a and run 2 of b have the same predictions, case by case." in one for one in told)
    assert not any("same predictions" in sentence(one) for one in judge(table, primary="auc", margin=0.05).warnings)
