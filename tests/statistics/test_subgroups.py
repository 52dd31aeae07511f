from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics.analysis import analyse, interval
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.panel import align
from equipoise.statistics.subgroups import NOT_STATED, Attribute, subgroups, thirds

Maker = Callable[..., Predictions]


def by_patient(table: Predictions, groups: int, generator: int = 0) -> dict[str, str]:
    """Every patient's cases in one random group."""
    names = np.unique(table.patient)
    site = dict(zip(names, np.random.default_rng(generator).integers(0, groups, len(names)), strict=True))
    return {str(c): f"site {site[p]}" for c, p in zip(table.case, table.patient, strict=True)}


def looked(table: Predictions, values: dict[str, str], **settings: object) -> Attribute:
    return subgroups(table, {"site": values}, endpoint="auc", positive=1, pairs=[("a", "b")], **settings)[0]


def test_a_groups_interval_is_that_of_its_cases_alone(binary: Maker) -> None:
    table = binary(200)
    sites = by_patient(table, 3)
    found = looked(table, sites)
    assert [g.value for g in found.groups] == ["site 0", "site 1", "site 2"]
    assert sum(g.n_patients for g in found.groups) == 200
    for group in found.groups:
        alone = table.where(np.array([sites[c] == group.value for c in table.case]))
        expected = interval(analyse(align(alone), endpoint_named("auc", (), table.classes), 1), "a")
        mine = group.intervals["a"]
        assert (mine.estimate, mine.low, mine.high) == pytest.approx((expected.estimate, expected.low, expected.high))
        assert mine.n_patients == expected.n_patients


@pytest.mark.long
def test_equal_groups_are_told_apart_as_rarely_as_stated(binary: Maker) -> None:
    hits = []
    for generator in range(120):
        table = binary(150, (0.85, 0.8), 3, 0.01, generator)
        tests = looked(table, by_patient(table, 3, generator + 1_000)).tests
        hits.append([test.p < 0.05 for test in tests])
    assert np.all(np.mean(hits, axis=0) <= 0.12)


def test_an_arm_that_fails_at_one_site_is_found(binary: Maker) -> None:
    table = binary(400, (0.9, 0.9))
    sites = by_patient(table, 2)
    lost = (table.arm == "b") & np.array([sites[c] == "site 1" for c in table.case])
    positive = np.where(lost, np.random.default_rng(0).random(len(table)), table.scores[:, 1])
    found = looked(replace(table, scores=np.stack([1 - positive, positive], axis=1)), sites)
    arm_a, arm_b, difference = found.tests
    assert arm_a.p_adjusted > 0.05
    assert arm_b.p_adjusted < 0.001
    assert difference.p_adjusted < 0.001
    assert sentence(difference.reason).startswith(
        "The difference in AUC of a and b by site: varies more than chance explains"
    )
    assert "adjusted for 3 tests" in sentence(difference.reason)


def test_of_two_disjoint_groups_the_test_is_welchs(segmentation: Maker) -> None:
    """One run and one case a patient: the Wald test of two means, F with one degree of freedom is t squared."""
    generator = np.random.default_rng(1)
    values = np.clip(generator.normal(0.7, 0.1, (1, 1, 80)), 0, 1)
    table = segmentation(values)
    site = {f"case-{k:05d}": "x" if k < 30 else "y" for k in range(80)}
    found = subgroups(table, {"site": site}, endpoint="dice")[0].tests[0]
    x, y = values[0, 0, :30], values[0, 0, 30:]
    expected = stats.ttest_ind(x, y, equal_var=False).statistic
    assert found.p == pytest.approx(2 * stats.t.sf(abs(expected), 78), rel=1e-9)


@pytest.mark.long
def test_every_test_looked_at_counts(binary: Maker) -> None:
    table = binary(200)
    attributes = {f"attribute {k}": by_patient(table, 2, k) for k in range(4)}
    found = subgroups(table, attributes, endpoint="auc", positive=1, pairs=[("a", "b")])
    tests = [test for attribute in found for test in attribute.tests]
    assert len(tests) == 12
    expected = multipletests([t.p for t in tests], method="holm")[1]
    assert [t.p_adjusted for t in tests] == pytest.approx(expected)


def test_small_groups_are_too_few_to_say(binary: Maker) -> None:
    table = binary(120)
    sites = {c: "rare" if c < "case-00012" else "common" for c in np.unique(table.case).tolist()}
    found = looked(table, sites)
    rare = next(g for g in found.groups if g.value == "rare")
    assert sentence(rare.reason).startswith("Too few patients for an estimate: ")
    assert np.isnan(rare.intervals["a"].estimate)
    assert all(np.isnan(t.p) and "Too few groups of site" in sentence(t.reason) for t in found.tests)


def test_cases_without_a_value_stand_apart(binary: Maker) -> None:
    table = binary(200)
    sites = by_patient(table, 2)
    partial = {case: value if value == "site 0" else "" for case, value in sites.items()}
    assert [g.value for g in looked(table, partial).groups] == ["site 0", NOT_STATED]
    assert [g.value for g in looked(table, {}).groups] == [NOT_STATED]


def test_an_arm_with_unusable_scores_is_left_out_of_its_tests(binary: Maker) -> None:
    table = binary(200)
    scores = table.scores.copy()
    scores[table.arm == "b"] = np.nan
    found = looked(replace(table, scores=scores), by_patient(table, 2))
    assert np.isfinite(found.tests[0].p)
    assert np.isnan(found.tests[1].p)
    assert np.isnan(found.tests[2].p)


def test_cross_validation_folds_are_averaged_within_groups(binary: Maker) -> None:
    table = binary(300, folds=3)
    found = looked(table, by_patient(table, 2))
    assert all(g.reason is None for g in found.groups)
    assert all(np.isfinite(t.p) for t in found.tests)


def test_thirds_are_of_equal_size_and_leave_out_what_is_no_number() -> None:
    values = {f"c{k}": float(k) for k in range(30)} | {"c30": float("nan")}
    found = thirds(values)
    assert "c30" not in found
    assert sorted(np.unique(list(found.values()), return_counts=True)[1].tolist()) == [10, 10, 10]
    assert thirds({"a": float("nan")}) == {}
