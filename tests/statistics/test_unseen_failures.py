"""Failures that nobody saw, a few failures, and skewed cases decide no mean."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics.analysis import Analysis, analyse
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.failure_values import parse_failure_values
from equipoise.statistics.judgement import Comparison
from equipoise.statistics.kinds import Endpoint
from equipoise.statistics.pairs import compare_family
from equipoise.statistics.panel import Fold, Panel
from equipoise.statistics.reasons import Reason
from equipoise.statistics.unseen_failures import failed_value, guarded, unseen_failures
from equipoise.statistics.verdict import Question
from equipoise.trials.audit import audit

Maker = Callable[..., Predictions]
Draw = Callable[[np.random.Generator], np.ndarray]
QUESTION = Question(0.02, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)


def analysed(values: np.ndarray, name: str, endpoint: Endpoint | None = None) -> Analysis:
    """Values (arms, seeds, cases) of one metric, one case per patient; arms a, b, …"""
    arms, seeds, n = values.shape
    scores, truth = np.empty((arms * seeds, n, 0)), np.full(n, -1)
    fold = Fold(0, np.arange(n).astype(str), np.arange(n), truth, scores, {name: values.reshape(arms * seeds, n)})
    columns = range(arms * seeds)
    panel = Panel(tuple("abcdef"[k // seeds] for k in columns), tuple(k % seeds for k in columns), (fold,), (), n, n)
    return analyse(panel, endpoint or endpoint_named(name, [name]), None)


def compared(values: np.ndarray, name: str = "dice", question: Question = QUESTION) -> Comparison:
    return compare_family(analysed(values, name), [("a", "b")], question)[0]


def dice(stream: np.random.Generator, n: int, shift: float, failures: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """Dice of two arms with three runs each; the second is better by `shift`, and each fails at its rate."""
    values = stream.normal(0.85, 0.05, n) + stream.normal(0, 0.01, (2, 3, n))
    values[1] += shift
    for own, rate in zip(values, failures, strict=True):
        own[:, stream.random(n) < rate] = 0.0
    return np.clip(values, 0.0, 1.0)


def millimetres(stream: np.random.Generator, n: int, shift: float, failures: Sequence[float]) -> np.ndarray:
    """HD95 of two arms; a failed case has 250 mm."""
    values = 12 + stream.lognormal(1.8, 0.5, n) * np.exp(stream.normal(0, 0.1, (2, 3, n)))
    values[1] -= shift
    for own, rate in zip(values, failures, strict=True):
        own[:, stream.random(n) < rate] = 250.0
    return values


def test_the_numbers_are_those_of_the_rule_of_three() -> None:
    values = dice(np.random.default_rng(0), 150, 0.012)
    found = compared(values, question=replace(QUESTION, margin=0.005))
    means = values.mean(axis=(1, 2))
    unseen = found.unseen_failures
    assert unseen is not None
    assert (unseen.arm, unseen.seen, unseen.patients, unseen.failed) == ("b", 0, 150, 0.0)
    assert unseen.excluded == pytest.approx(3 / 150)
    assert unseen.shift == pytest.approx(3 / 150 * means[1])
    assert unseen.reversing == pytest.approx((means[1] - means[0]) / means[1])
    assert found.p_adjusted < 0.001
    assert (found.verdict, found.withheld) == ("not_enough_data", "b_better")
    text = sentence(found.reason)
    more = f"in {100 * unseen.reversing:.3g} % of patients beyond the failures seen"
    assert f"If b failed (Dice 0) {more}, the result would be reversed" in text
    assert (
        "no patient of 150 in whom b failed where the other arm did not, which does not exclude a rate of up to 2 %"
        in text
    )


def test_a_difference_that_failures_cannot_reverse_stands_and_says_so() -> None:
    found = compared(dice(np.random.default_rng(0), 150, 0.05))
    assert (found.verdict, found.withheld) == ("b_better", None)
    assert (
        "no patient of 150 in whom b failed where the other arm did not, which does not exclude a rate of up to 2 %"
        in sentence(found.reason)
    )


@pytest.mark.parametrize("seen", [1, 4])
def test_few_failures_seen_are_bounded_as_clopper_and_pearson_do(seen: int) -> None:
    values = millimetres(np.random.default_rng(1), 100, 6.0, (0.0, 0.0))
    values[1, :, :seen] = 250.0
    found = unseen_failures(analysed(values, "hd95"), "a", "b", 5.0)
    assert found is not None
    assert (found.arm, found.seen) == ("b", pytest.approx(seen))
    assert found.excluded == pytest.approx(stats.beta.ppf(0.95, seen + 1, 100 - seen))


def test_failures_of_both_arms_in_the_same_cases_say_nothing() -> None:
    values = millimetres(np.random.default_rng(1), 100, 6.0, (0.0, 0.0))
    values[:, :, :3] = 250.0
    found = unseen_failures(analysed(values, "hd95"), "a", "b", 5.0)
    assert found is not None
    assert (found.seen, found.excluded) == (0.0, pytest.approx(0.03))


def test_enough_failures_of_both_arms_are_left_to_the_test() -> None:
    values = millimetres(np.random.default_rng(1), 100, 0.0, (0.0, 0.0))
    values[0, :, :8] = values[1, :, 50:60] = 250.0
    assert unseen_failures(analysed(values, "hd95"), "a", "b", 5.0) is None


def test_the_better_arm_is_guarded_though_the_other_fails_often() -> None:
    values = dice(np.random.default_rng(2), 150, 0.0)
    values[0, :, :12] = 0.0
    found = compared(values)
    assert found.unseen_failures is not None
    assert found.unseen_failures.shift == pytest.approx(3 / 150 * values[1].mean())
    assert found.verdict == "b_better"


@pytest.mark.parametrize(
    ("name", "failed"),
    [("dice", 0.0), ("iou", 0.0), ("lesion_f1", 0.0), ("hd95", 374.0), ("assd", 374.0), ("hausdorff", 374.0)],
)
def test_the_cost_of_a_failure_is_known(name: str, failed: float) -> None:
    found = analysed(np.random.default_rng(0).random((2, 3, 40)), name)
    assert failed_value(found, [found.endpoint.case_values(fold) for fold in found.panel.folds], ()) == failed


def test_the_cost_of_a_failure_in_other_metrics() -> None:
    stream = np.random.default_rng(0)
    loss = Endpoint("dice_loss", endpoint_named("dice", ["dice"]).kind, False, -np.inf, np.inf)
    share = analysed(stream.random((2, 3, 40)), "dice_loss", loss)
    assert failed_value(share, [share.panel.folds[0].metrics["dice_loss"]], ()) == 1.0
    values = stream.normal(3.0, 1.0, (2, 3, 40))
    volume = analysed(values, "volume_error_ml")
    own = np.abs(values.reshape(6, 40))
    far = np.median(own) + 10 * np.abs(own - np.median(own)).max()
    assert failed_value(volume, [own], ()) == pytest.approx(far)
    # A rule of empty masks fails everywhere, so its worst case is what a failure costs.
    assert failed_value(analysed(np.abs(values) + 1, "hd95"), [np.arange(12.0).reshape(6, 2)], ["b"]) == 11.0
    nll = endpoint_named("nll", (), ("x", "y"))
    assert nll.failed == pytest.approx(-np.log(1e-15))


def test_a_failed_grade_is_never_negative_and_is_asked_for_only_where_it_is_not_stated() -> None:
    """Means of two readers' grades: a failure of -9.73 is none of them, and a stated 1 is not asked for."""
    grades = np.random.default_rng(4).integers(5, 11, (2, 3, 40)) / 2
    grade = Endpoint("grade", endpoint_named("dice", ["dice"]).kind, True, -np.inf, np.inf)
    found = analysed(grades, "grade", grade)
    assert failed_value(found, [grades.reshape(6, 40)], ()) == 0.0
    unseen = unseen_failures(found, "a", "b", 0.5)
    assert unseen is not None
    assert unseen.assumed
    known = unseen_failures(analysed(grades, "grade", replace(grade, failed=1.0, failed_known=True)), "a", "b", 0.5)
    assert known is not None
    assert (known.failed, known.assumed) == (1.0, False)
    signed = analysed(grades - 6, "grade", grade)
    assert failed_value(signed, [grades.reshape(6, 40) - 6], ()) < -10


def test_equivalence_needs_that_failures_cannot_leave_the_margin() -> None:
    stream = np.random.default_rng(3)
    few, many = compared(dice(stream, 60, 0.0)), compared(dice(stream, 300, 0.0))
    assert (few.verdict, few.withheld) == ("not_enough_data", "equivalent")
    assert "the difference would exceed the margin; there was no patient of 60 in whom" in sentence(few.reason)
    assert many.verdict == "equivalent"
    assert guarded("equivalent", None, 0.02) == "equivalent"


def test_a_difference_that_may_exceed_the_margin_has_a_winner_all_the_same() -> None:
    found = compared(dice(np.random.default_rng(3), 300, 0.014))
    assert found.p_equivalence < 0.05
    assert found.unseen_failures is not None
    assert found.unseen_failures.shift < found.unseen_failures.difference
    assert (found.verdict, found.withheld) == ("b_better", None)


def test_two_trained_networks_are_guarded_too() -> None:
    found = compared(dice(np.random.default_rng(0), 150, 0.012)[:, :1])
    assert found.verdict == "single_run"
    assert found.p_adjusted < 0.001
    assert sentence(found.reason).startswith("Neither network scored clearly better")


def test_failure_values_are_stated_and_recorded() -> None:
    stream = np.random.default_rng(0)
    values = millimetres(stream, 60, 4.0, (0.0, 0.0))
    columns = {
        "arm": np.repeat(["a", "b"], 180),
        "seed": np.tile(np.repeat(np.arange(3), 60), 2),
        "case": np.tile(np.arange(60).astype(str), 6),
        "hd95": values.ravel(),
    }
    plain = audit(columns, primary="hd95", cases_are_patients=True)
    assert plain["comparisons"][0]["withheld"] == "b_better"
    assert "--failure-value hd95=VALUE" in plain["comparisons"][0]["reason"]
    stated = audit(columns, primary="hd95", cases_are_patients=True, failure_values=["hd95=60"])
    assert stated["comparisons"][0]["verdict"] == "b_better"
    assert "A failed case of hd95 counts as 60, as the caller stated." in stated["warnings"]
    wrongly = {"hd95=20": "which is worse than", "dice=1": "no endpoint 'dice'", "hd95": "METRIC=VALUE"}
    for wrong, words in wrongly.items():
        with pytest.raises(PredictionError, match=words):
            audit(columns, primary="hd95", cases_are_patients=True, failure_values=[wrong])
    assert parse_failure_values({"hd95": 60}) == {"hd95": 60.0}


def winners(draw: Draw, name: str, trials: int, generator: int = 0) -> float:
    """The share of trials with a winner."""
    stream = np.random.default_rng(generator)
    found = [compared(draw(stream), name).verdict for _ in range(trials)]
    return float(np.mean([verdict in ("a_better", "b_better") for verdict in found]))


FAILING: dict[str, tuple[str, Draw]] = {
    "Dice, 1 % of 150": ("dice", lambda stream: dice(stream, 150, 0.0086, (0.0, 0.01))),
    "Dice, 2 % of 60": ("dice", lambda stream: dice(stream, 60, 0.0173, (0.0, 0.02))),
    "HD95, 1 % of 60": ("hd95", lambda stream: millimetres(stream, 60, 2.34, (0.0, 0.01))),
    "HD95, 1 % of 150": ("hd95", lambda stream: millimetres(stream, 150, 2.34, (0.0, 0.01))),
    "HD95, both 2 % of 150": ("hd95", lambda stream: millimetres(stream, 150, 0.0, (0.02, 0.02))),
}


@pytest.mark.long
@pytest.mark.parametrize("design", FAILING)
def test_equal_means_with_rare_failures_have_no_winner(design: str) -> None:
    name, draw = FAILING[design]
    assert winners(draw, name, 150) <= 0.06


@pytest.mark.long
def test_a_clear_difference_is_still_found() -> None:
    assert winners(lambda stream: dice(stream, 150, 0.03), "dice", 60) >= 0.9


def test_where_the_guard_sets_the_detectable_difference_the_reason_says_so_with_that_of_the_tests() -> None:
    stream = np.random.default_rng(5)
    values = stream.normal(0.8, 0.05, 40) + stream.normal(0, 0.001, (2, 3, 40))
    values[1] += stream.normal(0.002, 0.03, 40)  # what all runs of the arm share
    few = compared(values, question=replace(QUESTION, margin=0.002))
    assert few.verdict == "not_enough_data"
    assert few.detectable is not None
    assert few.detectable_by_tests is not None
    # 40 patients without a failure leave 3 / 40 of the loss of one, whatever the tests would detect.
    assert few.unseen_failures is not None
    assert few.detectable > few.unseen_failures.shift > few.detectable_by_tests
    # By a power calculation that knows nothing of the guard: Student's t over patients, runs fixed.
    pilot = (stats.t.ppf(0.975, 39) + stats.t.ppf(0.8, 39)) * few.se
    assert few.detectable_by_tests == pytest.approx(pilot, rel=0.15)
    text = sentence(few.reason)
    assert "guard against unseen failures sets these numbers: 40 patients cannot exclude that" in text
    assert f"the design detects {few.detectable:.3f}, by the tests alone {few.detectable_by_tests:.3f}." in text
    withheld = sentence(compared(values).reason)  # equivalent by the tests: the failures are named already
    assert "patients beyond the failures seen" in withheld
    assert f"guard against unseen failures the design detects a difference of {few.detectable:.3f}" in withheld


def test_where_the_tests_set_it_no_guard_is_named() -> None:
    stream = np.random.default_rng(5)
    values = np.clip(stream.normal(0.5, 0.2, (2, 3, 400)) + stream.normal(0, 0.1, (2, 3, 1)), 0.0, 1.0)
    many = compared(values)
    assert many.detectable == pytest.approx(many.detectable_by_tests)
    assert "guard" not in sentence(many.reason)


@pytest.mark.parametrize(
    ("rate", "seen", "words"),
    [
        (
            0.67,
            2.0,
            "If net failed (Dice 0) in 67 % of patients beyond the failures seen, the result would be reversed",
        ),
        (
            1.0,
            0.0,
            "Only if net failed (Dice 0) in every patient, the result would be reversed; there was no patient of 14",
        ),
        (
            0.2,
            0.36,
            "where the other arm did not in 0.36 patients of 14 on average over the runs, which does not exclude",
        ),
        (0.2, 1.0, "net failed where the other arm did not in 1 of 14 patients, which does not exclude"),
    ],
)
def test_rates_of_failures_are_told_so_that_they_can_be(rate: float, seen: float, words: str) -> None:
    facts = {"arm": "net", "failed": 0.0, "seen": seen, "patients": 14, "excluded": 0.2327, "assumed": ""}
    assert words in sentence(Reason("unseen_failures", rate=rate, endpoint="Dice", unit="", **facts))
