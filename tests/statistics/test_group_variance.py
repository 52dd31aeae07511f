"""Small groups near the end of the range are tested with the spread of all patients."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.group_variance import pooled_covariance
from equipoise.statistics.influence import mean_influence, placements, rank_influence
from equipoise.statistics.subgroups import subgroups

Maker = Callable[..., Predictions]


def scores(stream: np.random.Generator, positives: int, negatives: int, auc: float) -> tuple[np.ndarray, np.ndarray]:
    shift = np.sqrt(2) * stats.norm.ppf(auc)
    truth = np.arange(positives + negatives) < positives
    return stream.standard_normal(len(truth)) + shift * truth, truth


def delong(placement: np.ndarray, truth: np.ndarray) -> float:
    """The variance of one AUC."""
    return float(sum(np.var(placement[side], ddof=1) / side.sum() for side in (truth, ~truth)))


def test_the_variance_is_delongs_with_the_components_of_all_groups() -> None:
    stream, sizes = np.random.default_rng(0), [(12, 20), (40, 70)]
    parts, counts, ten, one, start = [], [], [], [], 0
    for positives, negatives in sizes:
        score, truth = scores(stream, positives, negatives, 0.85)
        patient = np.arange(start, start + len(truth))
        start += len(truth)
        found = rank_influence(score[None], truth, patient, sum(map(sum, sizes)))
        parts.append([part[0] for part in found.parts])
        counts.append(found.counts)
        place = placements(score, truth).value
        ten.append(place[truth] - place[truth].mean())
        one.append(place[~truth] - place[~truth].mean())
    pooled = [(np.concatenate(each) ** 2).sum() / (sum(map(len, each)) - 2) for each in (ten, one)]
    expected = [pooled[0] / positives + pooled[1] / negatives for positives, negatives in sizes]
    assert pooled_covariance(parts, counts) == pytest.approx(np.diag(expected))


def test_a_mean_of_one_class_has_the_pooled_variance_of_an_analysis_of_variance() -> None:
    values = [np.random.default_rng(k).normal(k, 1.0, n) for k, n in enumerate((5, 9, 30))]
    parts, counts, start = [], [], 0
    for own in values:
        patient = np.arange(start, start + len(own))
        start += len(own)
        found = mean_influence(own[None], (np.ones(len(own), dtype=bool),), patient, 44)
        parts.append([found.parts[0][0]])
        counts.append(found.counts)
    within = sum(((own - own.mean()) ** 2).sum() for own in values) / (44 - 3)
    assert pooled_covariance(parts, counts) == pytest.approx(np.diag([within / len(own) for own in values]))


def test_patients_in_both_groups_keep_their_covariance() -> None:
    part = np.array([0.1, -0.2, 0.1])
    found = pooled_covariance([[part], [part]], [(3,), (3,)])
    assert found[0, 1] == pytest.approx(found[0, 0]) == pytest.approx(found[1, 1])


@pytest.mark.long
@pytest.mark.parametrize("sizes", [[(12, 12), (60, 60)], [(10, 40), (40, 160)], [(10, 15), (20, 30), (60, 90)]])
def test_equal_groups_near_the_end_of_the_range_vary_as_rarely_as_stated(sizes: list[tuple[int, int]]) -> None:
    stream, refused, walds = np.random.default_rng(1), [], []
    for _ in range(150):
        made = [scores(stream, *size, 0.95) for size in sizes]
        score, truth = (np.concatenate(each) for each in zip(*made, strict=True))
        n = len(score)
        probability = 1 / (1 + np.exp(-score))
        table = Predictions(
            case=np.arange(n).astype(str),
            patient=np.arange(n).astype(str),
            split=np.full(n, "test"),
            arm=np.full(n, "a"),
            fold=np.zeros(n, dtype=np.int64),
            seed=np.zeros(n, dtype=np.int64),
            truth=truth.astype(np.int64),
            scores=np.stack([1 - probability, probability], axis=1),
            classes=("no", "yes"),
        )
        group = np.repeat([f"site {k}" for k in range(len(sizes))], [sum(size) for size in sizes])
        site = dict(zip(table.case.tolist(), group.tolist(), strict=True))
        found = subgroups(table, {"site": site}, endpoint="auc", positive=1)[0]
        refused.append(found.tests[0].p < 0.05)
        # The negative control: each group's own variance, as DeLong gives it.
        areas = [placements(*one) for one in made]
        spread = [delong(place.value, truth) for place, (_, truth) in zip(areas, made, strict=True)]
        weight, area = 1 / np.maximum(spread, 1e-9), np.array([place.auc for place in areas])
        distance = (weight * (area - np.average(area, weights=weight)) ** 2).sum()
        walds.append(stats.chi2.sf(distance, len(sizes) - 1) < 0.05)
    assert np.mean(refused) <= 0.09
    assert np.mean(walds) > 0.05
