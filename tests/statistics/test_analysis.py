from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics.analysis import analyse, interval
from equipoise.statistics.binormal import Cohort
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.panel import align
from equipoise.statistics.resampling import bca_of_mean

Maker = Callable[..., Predictions]
ALL = ("auc", "average_precision", "accuracy", "balanced_accuracy", "sensitivity", "sensitivity@0.9", "brier", "nll")


def analysed(table: Predictions, name: str = "auc", deterministic: tuple[str, ...] = ()) -> object:
    endpoint = endpoint_named(name, list(table.metrics), table.classes)
    return analyse(align(table), endpoint, 1 if table.classes and endpoint.by_class else None, deterministic)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("auc", [0.55, 0.85, 0.995])
def test_intervals_contain_the_estimate_and_stay_in_range(binary: Maker, name: str, seeds: int, auc: float) -> None:
    for generator in range(4):
        table = binary(40, (auc,), seeds, generator=generator)
        found = interval(analysed(table, name), "a")
        endpoint = endpoint_named(name, (), table.classes)
        assert endpoint.low <= found.low <= found.estimate <= found.high <= endpoint.high
        assert found.low < found.high
        assert np.isnan(found.seed_sd) == (seeds == 1)
        assert len(found.by_seed) == seeds
        assert found.estimate == pytest.approx(np.mean([value for _, value in found.by_seed]))


def test_counts_are_of_patients_cases_and_events(binary: Maker) -> None:
    table = binary(80)
    one = table.where((table.arm == "a") & (table.seed == 0))
    found = interval(analysed(table), "a")
    with_event = len(set(one.patient[one.truth == 1]))
    without = len(set(one.patient[one.truth == 0]))
    assert (found.n_patients, found.n_cases, found.n_events) == (80, len(one), min(with_event, without))


def test_method_and_companion_follow_the_number_of_seeds(binary: Maker) -> None:
    one, several = (interval(analysed(binary(100, seeds=s)), "a") for s in (1, 3))
    assert (one.method, one.beside_method) == ("Newcombe 5 with design effect", "logit")
    assert (several.method, several.beside_method) == ("logit", "Newcombe 5 with design effect")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_refuses_its_arm_only(binary: Maker, bad: float) -> None:
    table = binary(40)
    scores = table.scores.copy()
    row = int(np.flatnonzero((table.arm == "b") & (table.seed == 1))[7])
    scores[row] = bad
    found = analysed(replace(table, scores=scores))
    assert list(found.refused) == ["b"]
    assert sentence(found.refused["b"]).startswith(
        f"b, seed 1: a score of case {str(table.case[row])!r} is missing or no number; "
    )
    assert found.arms.names == ("a",)
    refused = interval(found, "b")
    assert np.isnan(refused.estimate)
    assert refused.reason == found.refused["b"]


def test_scores_outside_zero_to_one_refuse_what_needs_probabilities(binary: Maker) -> None:
    table = binary(40)
    table = replace(table, scores=8 * table.scores - 4)
    assert "lies outside 0 to 1, so it is not a probability" in sentence(analysed(table, "brier").refused["a"])
    assert analysed(table, "auc").refused == {}


def test_one_class_only_refuses_all_arms(binary: Maker) -> None:
    table = binary(40)
    table = table.where(table.truth == 0)
    found = analysed(table)
    assert set(found.refused) == {"a", "b"}
    assert "a ranking metric needs both classes" in sentence(found.refused["a"])
    with pytest.raises(PredictionError, match="no arm has usable predictions of auc"):
        _ = found.arms


def test_constant_scores_have_an_area_of_one_half_and_a_warning(binary: Maker) -> None:
    table = binary(60)
    scores = table.scores.copy()
    scores[table.arm == "b"] = 0.5
    found = analysed(replace(table, scores=scores))
    result = interval(found, "b")
    assert result.estimate == 0.5
    assert result.low < 0.5 < result.high
    words = [sentence(one) for one in found.warnings]
    assert words == ["b gives every test case the same score; it has learned nothing or collapsed."]


def test_perfect_separation_has_an_interval(binary: Maker) -> None:
    table = binary(60)
    positive = np.where(table.truth == 1, 0.9, 0.1)
    result = interval(analysed(replace(table, scores=np.stack([1 - positive, positive], axis=1))), "a")
    assert (result.estimate, result.high) == (1.0, 1.0)
    assert 0.8 < result.low < 1.0


def test_few_events_bring_newcombe_and_a_caution(binary: Maker) -> None:
    table = binary(60, cohort=Cohort(prevalence=0.1, most_lesions=1))
    result = interval(analysed(table), "a")
    assert result.n_events is not None
    assert result.n_events < 10
    assert result.method.startswith("Newcombe")
    assert f"Only {result.n_events} patients of the rarer class" in sentence(result.reason)


def test_thin_folds_are_named(binary: Maker) -> None:
    table = binary(60, cohort=Cohort(prevalence=0.25, most_lesions=1), folds=5)
    found = analysed(table)
    assert len(found.warnings) == 1
    assert "of the rarer class; AUC in such a small fold is mostly chance" in sentence(found.warnings[0])
    assert analysed(binary(300, folds=5)).warnings == ()


def test_missing_metric_values_are_named(segmentation: Maker) -> None:
    values = np.random.default_rng(0).random((2, 3, 40))
    values[1, 2, 5] = np.nan
    found = analysed(segmentation(values), "dice")
    assert sentence(found.refused["b"]).startswith("b, seed 2: dice of case 'case-00005' is missing or no number")


def test_failure_rate_counts_dice_below_a_tenth(segmentation: Maker) -> None:
    values = np.full((1, 3, 40), 0.8)
    values[0, :, :6] = 0.05
    result = interval(analysed(segmentation(values), "failure_rate"), "a")
    assert result.estimate == pytest.approx(6 / 40)
    assert result.method.startswith("Wilson")


def test_a_skewed_mean_has_a_bootstrap_beside_its_t_interval(segmentation: Maker) -> None:
    values = 1 - np.minimum(np.random.default_rng(3).lognormal(-2.5, 0.8, (1, 3, 60)), 1)
    panel = align(segmentation(values))
    found = interval(analyse(panel, endpoint_named("dice", ["dice"]), None), "a")
    assert found.beside is not None
    assert found.beside_method == "BCa bootstrap over patients, runs fixed"
    assert found.beside == pytest.approx(bca_of_mean(values[0].mean(axis=0), np.arange(60)))
    assert found.estimate - found.beside[0] > found.beside[1] - found.estimate  # low outliers: a longer lower arm


def test_many_patients_need_no_bootstrap(segmentation: Maker) -> None:
    panel = align(segmentation(np.random.default_rng(4).random((1, 3, 1_001))))
    assert interval(analyse(panel, endpoint_named("dice", ["dice"]), None), "a").beside is None


def _distances(segmentation: Maker) -> Predictions:
    """Distances of two arms with a few runs that differ much, and of a rule that finds nothing in images of 70 mm."""
    table = segmentation(np.random.default_rng(5).random((3, 2, 40)))
    hd95 = np.where(table.arm == "c", 70.0, np.where(table.seed == table.seed.min(), 5.0, 60.0))
    return replace(table, metrics={**table.metrics, "hd95": hd95})


def test_no_interval_of_a_distance_reaches_beyond_the_images(segmentation: Maker) -> None:
    table = _distances(segmentation)
    free, known = analysed(table, "hd95"), analysed(table, "hd95", ("c",))
    assert interval(free, "a").high > 70.0
    assert interval(known, "a").high == 70.0
    assert interval(known, "a").low == interval(free, "a").low
    assert known.endpoint.width == 70.0
    assert analysed(table, "dice", ("c",)).endpoint.width == 1.0
