from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from equipoise.evaluation.predictions import Predictions, concatenate
from equipoise.report.text.reasons import sentence
from equipoise.statistics.analysis import analyse
from equipoise.statistics.comparison import compare, equivalence_p, moderated
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.judgement import Comparison
from equipoise.statistics.multiplicity import max_t
from equipoise.statistics.pairs import _advice, compare_family
from equipoise.statistics.panel import align
from equipoise.statistics.power import Needed
from equipoise.statistics.verdict import Question

Maker = Callable[..., Predictions]
QUESTION = Question(0.03, 0.05, 0.95, "primary", frozenset(), patients_known=True, shared_seeds=False)
ALL = [("a", "b"), ("a", "c"), ("b", "c")]


def family(
    table: Predictions, pairs: Sequence[tuple[str, str]] = ALL, question: Question = QUESTION, name: str = "auc"
) -> tuple[Comparison, ...]:
    endpoint = endpoint_named(name, list(table.metrics), table.classes)
    return compare_family(analyse(align(table), endpoint, 1 if endpoint.by_class else None), pairs, question)


@pytest.mark.long
def test_intervals_and_p_agree_with_each_other(binary: Maker) -> None:
    for generator in range(5):
        for c in family(binary(150, (0.8, 0.84, 0.88), generator=generator)):
            assert (c.p < 0.05) == (c.low > 0 or c.high < 0)
            assert c.low < c.equivalence[0] < c.difference < c.equivalence[1] < c.high
            assert c.simultaneous[0] <= c.low
            assert c.high <= c.simultaneous[1]
            assert (c.p_adjusted < 0.05) == (c.simultaneous[0] > 0 or c.simultaneous[1] < 0)
            assert c.p <= c.p_adjusted
            assert c.p >= 2 * stats.t.sf(abs(c.difference) / c.se, c.df) * (1 - 1e-9)
            half = stats.t.ppf(0.975, c.df) * c.se
            assert (c.low, c.high) == pytest.approx((c.difference - half, c.difference + half))


@pytest.mark.long
def test_equivalence_is_adjusted_by_holm(binary: Maker) -> None:
    """The larger TOST p of the two arms alone and of the spreads of all arms, then Holm's adjustment."""
    table = binary(500, (0.85, 0.85, 0.86), 5)
    plain = analyse(align(table), endpoint_named("auc", [], table.classes), 1).arms
    forms = (plain, moderated(plain))
    raw = [max(equivalence_p(compare(form, *pair), 0.03) for form in forms) for pair in ((0, 1), (0, 2), (1, 2))]
    assert [c.p_equivalence for c in family(table)] == pytest.approx(multipletests(raw, method="holm")[1])


def test_a_familys_p_lean_on_all_arms_and_a_pairs_own_do_not(binary: Maker) -> None:
    table = binary(150, (0.8, 0.84, 0.88), seed_sd=0.01)
    plain = analyse(align(table), endpoint_named("auc", [], table.classes), 1).arms
    own = [compare(plain, *pair).p for pair in ((0, 1), (0, 2), (1, 2))]
    joint = max_t(
        [compare(moderated(plain), *pair).p for pair in ((0, 1), (0, 2), (1, 2))],
        [(0, 1), (0, 2), (1, 2)],
        plain.covariance(),
    ).p
    judged = family(table)
    assert [c.p for c in judged] == pytest.approx(own)
    assert [c.p_adjusted for c in judged] == pytest.approx(np.maximum(joint, own))
    assert {c.method.rpartition(", ")[2] for c in judged} == {"moderated over arms in the family"}


@pytest.mark.long
def test_cross_validation_gives_the_wider_interval_and_the_larger_p(binary: Maker) -> None:
    for generator in range(6):
        c = family(binary(200, (0.8, 0.86), folds=5, generator=generator), [("a", "b")])[0]
        assert c.p >= c.p_new_data * (1 - 1e-12)
        assert c.low <= min(c.new_data[0], c.fitted[0]) + 1e-12
        assert c.high >= max(c.new_data[1], c.fitted[1]) - 1e-12
        assert (c.p < 0.05) == (c.low > 0 or c.high < 0)
        assert c.verdict in ("b_better", "not_enough_data")
        assert (c.verdict == "b_better") == (c.p_adjusted < 0.05)
    single = family(binary(200, (0.8, 0.86), seeds=1, folds=5), [("a", "b")])[0]
    assert single.verdict == "single_run"
    assert single.p >= single.p_new_data * (1 - 1e-12)


def test_refused_pairs_leave_the_family(binary: Maker) -> None:
    """A comparison that cannot be made costs the others nothing."""
    table = binary(150, (0.8, 0.84, 0.88))
    scores = table.scores.copy()
    scores[(table.arm == "c") & (table.seed == 2)] = np.nan
    with_c = family(replace(table, scores=scores))
    alone = family(table.where(table.arm != "c"), [("a", "b")])
    assert with_c[0].p_adjusted == alone[0].p_adjusted == alone[0].p
    assert [c.verdict for c in with_c[1:]] == ["refused", "refused"]
    assert sentence(with_c[1].reason).startswith("No verdict on AUC: c, seed 2")


def test_two_arms_are_compared_by_welch(binary: Maker) -> None:
    assert family(binary(100), [("a", "b")])[0].method.startswith("Welch")


@pytest.mark.long
def test_shared_seeds_are_crossed_from_five_on(binary: Maker) -> None:
    shared = replace(QUESTION, shared_seeds=True)
    for seeds, method in ((3, "Welch"), (5, "crossed")):
        assert family(binary(100, seeds=seeds), [("a", "b")], shared)[0].method.startswith(method)


def test_folds_tested_on_the_same_cases_have_no_resampled_test(binary: Maker) -> None:
    table = binary(100)
    found = family(concatenate([table, replace(table, fold=table.fold + 1)]), [("a", "b")])[0]
    assert np.isnan(found.p_new_data)
    alone = family(table, [("a", "b")])[0]
    assert (found.se, found.low, found.p) == pytest.approx((alone.se, alone.low, alone.p))


@pytest.mark.long
def test_cross_validated_p_of_new_data_are_adjusted_by_holm(binary: Maker) -> None:
    table = binary(300, (0.8, 0.84, 0.88), folds=5)
    found = family(table)
    alone = [family(table, [pair])[0].p_new_data for pair in ALL]
    assert [c.p_new_data for c in found] == pytest.approx(multipletests(alone, method="holm")[1])


def test_different_seeds_cannot_be_crossed(binary: Maker) -> None:
    table = binary(100, seeds=6)
    table = table.where(((table.arm == "a") & (table.seed != 5)) | ((table.arm == "b") & (table.seed != 0)))
    found = family(table, [("a", "b")], replace(QUESTION, shared_seeds=True))[0]
    assert found.method.startswith("Welch")


def test_repeats_of_cross_validation_are_one_case_each(segmentation: Maker) -> None:
    values = np.random.default_rng(2).random((2, 3, 40)) * 0.5 + 0.4
    table = segmentation(values)
    once = replace(table, fold=np.arange(len(table)) % 40 % 2)
    again = replace(table, fold=np.arange(len(table)) % 40 % 2 + 2)
    one, twice = (family(t, [("a", "b")], name="dice")[0] for t in (once, concatenate([once, again])))
    assert one.typical_case == twice.typical_case
    assert one.se_patients == pytest.approx(twice.se_patients)


def test_non_inferiority_follows_the_direction(binary: Maker) -> None:
    """b is better in AUC and in Brier score, so a is the one that may be inferior, in both."""
    table = binary(300, (0.75, 0.9))
    for name in ("auc", "brier"):
        there, back = (family(table, [pair], name=name)[0] for pair in (("a", "b"), ("b", "a")))
        assert there.p_non_inferior > 0.5 > back.p_non_inferior


def test_without_a_margin_the_detectable_difference_is_told(binary: Maker) -> None:
    question = replace(QUESTION, margin=None, role="secondary")
    found = family(binary(100, (0.84, 0.85)), [("a", "b")], question)[0]
    assert (found.patients_needed, found.needed, found.role) == (None, (), "secondary")
    assert found.detectable is not None
    assert f"80 % power to detect a difference of {found.detectable:.3f}" in sentence(found.reason)


def test_typical_case_is_only_for_per_case_metrics(binary: Maker, segmentation: Maker) -> None:
    assert family(binary(100), [("a", "b")])[0].typical_case is None
    values = np.random.default_rng(0).random((2, 3, 60)) * 0.5 + 0.4
    typical = family(segmentation(values), [("a", "b")], name="dice")[0].typical_case
    difference = values[0].mean(axis=0) - values[1].mean(axis=0)
    assert typical is not None
    assert typical.median_difference == pytest.approx(np.median(difference))
    assert typical.wilcoxon_p == pytest.approx(stats.wilcoxon(difference).pvalue)


def test_a_design_with_enough_power_is_not_told_that_no_number_of_patients_is_enough() -> None:
    own, more = Needed(3, None, None, None), Needed(5, 130, 100, 200)
    assert _advice((own, more), own, 365, 0.03, (0.89, 0.025, 4)).code == "enough_patients"
    assert _advice((own, more), own, 365, 0.03, (0.79, 0.031, 4)).code == "more_seeds_needed"
    assert _advice((more,), more, 100, 0.03, (0.7, 0.035, None)).code == "more_patients_needed"
