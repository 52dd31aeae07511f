from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics.panel import align

Maker = Callable[..., Predictions]


def test_columns_are_arms_and_seeds_in_one_order_of_cases(binary: Maker) -> None:
    table = binary(30, seeds=2)
    n = len(table) // 4
    panel = align(table)
    assert panel.arm == ("a", "a", "b", "b")
    assert panel.seed == (0, 1, 0, 1)
    assert (panel.n_patients, panel.n_cases) == (30, n)
    np.testing.assert_array_equal(panel.folds[0].scores, table.scores.reshape(4, n, 2))
    assert panel.columns("b").tolist() == [2, 3]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(binary: Maker, seed: int) -> None:
    table = binary(30, seeds=2, folds=3)
    shuffled = table.where(np.random.default_rng(seed).permutation(len(table)))
    for one, other in zip(align(table).folds, align(shuffled).folds, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.patient, other.patient)
        np.testing.assert_array_equal(one.case, other.case)


def test_arms_come_in_the_order_asked_for(binary: Maker) -> None:
    panel = align(binary(20), arms=["b", "planned", "a"])
    assert list(dict.fromkeys(panel.arm)) == ["b", "a"]
    faults = {arm: sentence(why) for arm, why in panel.faults.items()}
    assert faults == {"planned": "planned has no finished seed with test predictions in every fold."}
    with pytest.raises(PredictionError, match="'b' that is not among a"):
        align(binary(20), arms=["a"])


def test_only_test_rows_count(binary: Maker) -> None:
    table = binary(20)
    split = table.split.copy().astype("<U10")
    split[table.case == "case-00003"] = "validation"
    n = align(table).n_cases
    assert align(replace(table, split=split)).n_cases == n - 1
    with pytest.raises(PredictionError, match="no row of split 'test'"):
        align(replace(table, split=np.full(len(table), "validation")))


def test_missing_cases_are_the_arms_fault_and_named(binary: Maker) -> None:
    table = binary(20)
    gone = (table.arm == "b") & (table.seed == 1) & np.isin(table.case, ["case-00002", "case-00005"])
    panel = align(table.where(~gone))
    assert list(panel.faults) == ["b"]
    assert "b (seed 1) has no prediction for 2 of" in sentence(panel.faults["b"])
    assert "'case-00002'" in sentence(panel.faults["b"])
    assert set(panel.arm) == {"a"}


def test_common_cases_are_kept_on_request_with_a_warning(binary: Maker) -> None:
    table = binary(20)
    gone = (table.arm == "b") & (table.seed == 1) & (table.case == "case-00002")
    panel = align(table.where(~gone), common_cases=True)
    assert set(panel.arm) == {"a", "b"}
    assert "case-00002" not in panel.folds[0].case
    assert panel.folds[0].scores.shape[1] == len(panel.folds[0].case)
    assert sentence(panel.warnings[0]).startswith("1 of ")


def test_duplicate_rows_are_refused(binary: Maker) -> None:
    table = binary(20)
    with pytest.raises(PredictionError, match=r"case 'case-0000.' has more than one test row in arm 'b', seed 2"):
        align(table.where(np.append(np.arange(len(table)), _row(table, "b", 2))))


def _row(table: Predictions, arm: str, seed: int) -> int:
    return int(np.flatnonzero((table.arm == arm) & (table.seed == seed))[4])


@pytest.mark.parametrize("column", ["truth", "patient"])
def test_arms_that_disagree_about_a_case_are_refused(binary: Maker, column: str) -> None:
    table = binary(20)
    values = getattr(table, column).copy()
    row = _row(table, "b", 1)
    values[row] = 1 - values[row] if column == "truth" else values[row][::-1]
    with pytest.raises(PredictionError, match=f"has another {column} in arm 'b', seed 1"):
        align(replace(table, **{column: values}))


def test_a_seed_without_one_fold_is_a_failed_job(binary: Maker) -> None:
    table = binary(30, folds=3)
    panel = align(table.where(~((table.arm == "a") & (table.seed == 2) & (table.fold == 1))))
    assert panel.columns("a").tolist() == [0, 1]
    assert tuple(sentence(one) for one in panel.warnings) == (
        "Seed 2 of a has no test predictions in fold 1; it is not counted.",
    )


def test_metrics_travel_with_their_cases(segmentation: Maker) -> None:
    values = np.random.default_rng(0).random((2, 3, 12))
    table = segmentation(values)
    panel = align(table.where(np.random.default_rng(1).permutation(len(table))))
    np.testing.assert_array_equal(panel.folds[0].metrics["dice"], values.reshape(6, 12))
