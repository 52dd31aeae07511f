import re
import shlex
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.pair_reasons import unseen_failures
from equipoise.report.text.reasons import sentence
from equipoise.statistics.analysis import Analysis, analyse
from equipoise.statistics.comparison import Contrast
from equipoise.statistics.decisive import Decisive
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.judgement import Unseen
from equipoise.statistics.panel import align
from equipoise.statistics.reasons import Reason
from equipoise.statistics.verdict import (
    Evidence,
    Question,
    decide,
    flags,
    obstacle,
    paired_differences,
    single_run_reason,
    turned,
    verdict_reason,
)
from equipoise.testing.known_trials import Clustered, Design, decided_trial, family_error

Maker = Callable[..., Predictions]
NAN = float("nan")
WHY = Reason("one_seed", arm="b", fewest=3)
QUESTION = Question(0.03, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)


def evidence(difference: float, adjusted: float, equal: float, new_data: float) -> Evidence:
    contrast = Contrast(difference, 0.01, 20, 0.01, 0.0, "Welch")
    return Evidence(contrast, adjusted, equal, new_data, (difference - 0.02, difference + 0.02), (-0.01, 0.02))


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ((0.05, 0.01, 0.9, NAN), "a_better"),
        ((-0.05, 0.01, 0.9, NAN), "b_better"),
        ((0.01, 0.20, 0.01, NAN), "equivalent"),
        ((0.01, 0.01, 0.01, NAN), "equivalent"),
        ((0.02, 0.20, 0.30, NAN), "not_enough_data"),
        ((0.05, 0.01, 0.9, 0.30), "not_enough_data"),
        ((0.05, 0.01, 0.9, 0.02), "a_better"),
        ((0.05, 0.05, 0.9, NAN), "not_enough_data"),
    ],
)
def test_the_word_follows_from_the_numbers(numbers: tuple[float, float, float, float], word: str) -> None:
    assert decide(evidence(*numbers), QUESTION) == word


def test_without_a_margin_nothing_is_equivalent() -> None:
    question = Question(None, 0.05, 0.95, "secondary", frozenset(), patients_known=True, shared_seeds=False)
    assert decide(evidence(0.01, 0.2, NAN, NAN), question) == "not_enough_data"


def test_lower_is_better_turns_only_the_winner() -> None:
    assert [turned(word, -1) for word in ("a_better", "b_better", "equivalent")] == [
        "b_better",
        "a_better",
        "equivalent",
    ]
    assert turned("a_better", 1) == "a_better"


def analysed(table: Predictions, name: str = "auc") -> Analysis:
    endpoint = endpoint_named(name, list(table.metrics), table.classes)
    return analyse(align(table), endpoint, 1 if endpoint.by_class else None)


def test_sentences_name_the_winner_first_with_its_own_numbers(binary: Maker) -> None:
    found = analysed(binary(60, (0.7, 0.9)))
    numbers = Evidence(Contrast(-0.1, 0.02, 20, 0.02, 0.0, "Welch"), 0.0004, 0.9, NAN, (-0.14, -0.06), (-0.13, -0.07))
    means = [f"{found.arms.mean[k]:.3f}" for k in (1, 0)]
    text = sentence(verdict_reason(found, "a", "b", numbers, "b_better", QUESTION, 3))
    assert text.startswith(f"b has a better AUC than a: {means[0]} against {means[1]}, a difference of 0.")
    assert "(95 % interval for all 3 comparisons together 0.060 to 0.140)" in text
    assert "p < 0.001 adjusted for 3 comparisons." in text
    assert text.endswith("The whole interval lies beyond the margin of 0.030, so the difference matters.")
    near = replace(numbers, decisive=Decisive(-0.14, -0.02, 0.95))
    text = sentence(verdict_reason(found, "a", "b", near, "b_better", QUESTION, 3))
    assert text.endswith("It is better, but the difference may be smaller than the margin of 0.030.")


def test_lower_is_better_is_written_as_the_metrics_own_difference(binary: Maker) -> None:
    found = analysed(binary(60, (0.7, 0.95)), "brier")
    numbers = Evidence(Contrast(0.05, 0.01, 20, 0.01, 0.0, "Welch"), 0.01, 0.9, NAN, (0.03, 0.07), (0.035, 0.065))
    text = sentence(verdict_reason(found, "a", "b", numbers, "b_better", QUESTION, 1))
    assert text.startswith("b has a better Brier score than a: ")
    assert "a difference of -0." in text
    assert "(95 % interval -0.070 to -0.030)" in text


def test_other_sentences(binary: Maker) -> None:
    found = analysed(binary(60, (0.8, 0.9)))
    equal = sentence(verdict_reason(found, "a", "b", evidence(-0.01, 0.5, 0.01, NAN), "equivalent", QUESTION, 1))
    inside = "the 90 % interval -0.010 to 0.020 of the difference lies within the margin of 0.030"
    assert equal == f"a and b are equivalent in AUC: {inside}."
    unknown = sentence(verdict_reason(found, "a", "b", evidence(-0.01, 0.5, 0.6, NAN), "not_enough_data", QUESTION, 1))
    assert unknown.startswith("The data do not show whether a or b has the better AUC: ")
    single = sentence(single_run_reason(found, "a", "b", evidence(-0.1, 0.01, NAN, NAN), WHY, QUESTION))
    assert single.startswith("This trained network of b scored better: ")
    assert single.endswith("train each arm with at least 3 seeds.")
    assert sentence(single_run_reason(found, "a", "b", evidence(-0.1, 0.3, NAN, NAN), WHY, QUESTION)).startswith(
        "Neither network scored clearly better"
    )


UNSEEN = Unseen("b", 0.0, 60, 0.0, 0.9, 0.05, 0.05, 0.06, 0.06, reverses=True, assumed=False)


def test_a_verdict_that_failures_could_undo_is_told_before_the_guard(binary: Maker) -> None:
    """The data show a direction, or equivalence: that they do not show it would be wrong."""
    read = analysed(binary(60, (0.7, 0.9)))
    for p, equal, first in (
        (0.01, 0.9, "By the tests alone, b has a better AUC than a; no verdict .* could reverse it: "),
        (
            0.01,
            0.01,
            "By the tests alone, b has a better AUC than a, by less than the margin of 0.030; .* beyond the margin: ",
        ),
        (
            0.40,
            0.01,
            "By the tests alone, a and b are equivalent in AUC within the margin of 0.030; .* beyond the margin: ",
        ),
    ):
        reason = verdict_reason(read, "a", "b", evidence(-0.02, p, equal, NAN), "not_enough_data", QUESTION, 1, UNSEEN)
        text = sentence(reason)
        assert re.match(first, text)
        assert "do not show" not in text
        assert "failed (AUC 0) in" in text
    other = verdict_reason(read, "a", "b", evidence(-0.02, 0.4, 0.4, NAN), "not_enough_data", QUESTION, 1, UNSEEN)
    assert sentence(other).startswith("The data do not show whether a or b has the better AUC: ")
    assert "failed" not in sentence(other)


def test_a_failure_value_is_proposed_as_a_shell_reads_it() -> None:
    facts = {"endpoint": "Liver gap", "unit": "mm", "failed": 374.0, "seen": 0.0, "patients": 60, "excluded": 0.05}
    text = unseen_failures("a", 0.02, assumed="Liver gap", **facts)
    assert shlex.split(re.findall(r"of a case: (--.*)\)", text)[0]) == ["--failure-value", "Liver gap=VALUE"]


def test_obstacles_come_in_order_of_gravity(binary: Maker) -> None:
    assert obstacle(analysed(binary(60)), "a", "b", QUESTION) is None
    few = obstacle(analysed(binary(9, seeds=1)), "a", "b", QUESTION)
    assert few is not None
    assert few[0] == "refused"
    one = obstacle(analysed(binary(60, seeds=1)), "a", "b", QUESTION)
    assert one is not None
    assert one[0] == "single_run"
    rule = Question(0.03, 0.05, 0.95, "primary", frozenset({"b"}), patients_known=True, shared_seeds=False)
    table = binary(60)
    table = table.where((table.arm == "a") | (table.seed == 0))
    assert obstacle(analysed(table), "a", "b", rule) is None
    assert obstacle(analysed(table), "a", "b", QUESTION) is not None


def test_enough_events_need_no_flag(binary: Maker) -> None:
    assert flags(analysed(binary(200))) == ()


def test_medians_are_of_seed_averaged_cases(segmentation: Maker) -> None:
    values = np.random.default_rng(0).random((2, 3, 9))
    found = paired_differences(analysed(segmentation(values), "dice"), "a", "b")
    np.testing.assert_allclose(found, values[0].mean(axis=0) - values[1].mean(axis=0))


def test_a_rate_of_failures_of_0_is_not_called_perfect() -> None:
    text = sentence(Reason("both_perfect", endpoint="failure rate Liver", best=0.0))
    assert text == "Every test case has failure rate Liver 0 in both arms, so there is no difference to test."
    assert "perfect" in sentence(Reason("both_perfect", endpoint="AUC", best=1.0))


@pytest.mark.long
@pytest.mark.parametrize(("specificity", "negatives"), [("0.90", 49), ("0.95", 99), ("0.99", 100)])
def test_a_threshold_that_few_negatives_decide_gives_no_verdict(specificity: str, negatives: int) -> None:
    outcome = Clustered((1,) * (negatives + 30), positives=30)
    patients = negatives + 30
    design = Design("few beyond", (3, 3), (0.0, 0.0), outcome, patients, f"sensitivity@{specificity}", 0.05)
    (reason,) = decided_trial(design, np.random.default_rng(0))
    assert isinstance(reason, Reason)
    assert reason.code == "few_beyond"
    assert reason.facts["negatives"] == negatives
    assert reason.facts["fewest"] == round(5 / (1 - float(specificity)))


@pytest.mark.long
def test_equal_arms_win_as_rarely_as_stated_with_the_fewest_negatives() -> None:
    """Of 400 trials (standard error .011), 50 negatives at a specificity of 90 %; with 15 of them .15."""
    design = Design("fewest beyond", (3, 3), (0.0, 0.0), Clustered((1,) * 90, 40), 90, "sensitivity@0.90", 0.05)
    assert family_error(design, 400) <= 0.08
