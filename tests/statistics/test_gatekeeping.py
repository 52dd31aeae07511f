"""A fixed sequence of secondary endpoints: what counts, what does not, and how often a claim is false."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics import judge
from equipoise.statistics.gatekeeping import claims, gated
from equipoise.statistics.judgement import Comparison
from equipoise.statistics.margins import check_margins, parse_margins
from equipoise.statistics.reasons import Reason

BETTER, BOTH = ("better", "not_inferior"), ("not_inferior",)


def table(differences: dict[str, tuple[float, float]], patients: int = 400, runs: int = 3) -> Predictions:
    """Two arms; metric -> (how far a is ahead, spread over patients of what is not shared)."""
    stream = np.random.default_rng(0)
    columns = [(arm, run) for arm in ("a", "b") for run in range(runs)]
    case = np.array([f"p{k}" for k in range(patients)] * len(columns))
    metrics = {}
    for name, (ahead, spread) in differences.items():
        shared = 0.7 + 0.05 * stream.standard_normal(patients)
        metrics[name] = np.concatenate(
            [shared + (ahead if arm == "a" else 0.0) + spread * stream.standard_normal(patients) for arm, _ in columns]
        )
    rows = len(case)
    return Predictions(
        case, case, np.full(rows, "test"), np.repeat([arm for arm, _ in columns], patients),
        np.zeros(rows, dtype=np.int64), np.repeat([run for _, run in columns], patients),
        np.zeros(rows, dtype=np.int64), np.empty((rows, 0)), (), metrics,
    )  # fmt: skip


def judged(
    differences: dict[str, tuple[float, float]], margins: dict[str, float], margin: float = 0.02
) -> dict[str, Comparison]:
    names = list(differences)
    found = judge(table(differences), primary=names[0], secondary=names[1:], margin=margin, margins=margins)
    return {one.endpoint: one for one in found.comparisons}


def test_claims_are_read_off_one_interval() -> None:
    assert claims((0.01, 0.05), 0.02, 1, 0.03, 0.0, False) == (BETTER, ())
    assert claims((0.01, 0.05), None, -1, 0.03, 0.0, False) == ((), BETTER)
    assert claims((-0.01, 0.015), 0.02, 1, 0.0, 0.0, False) == (BOTH, BOTH)
    assert claims((0.01, 0.05), 0.02, 1, 0.03, 0.06, True) == ((), ())
    assert claims((-0.01, 0.015), None, 1, 0.0, 0.0, False) == ((), ())


@pytest.mark.long
def test_a_better_arm_is_also_not_inferior_in_the_next() -> None:
    pairs = judged(
        {"dice": (0.05, 0.01), "iou": (0.0, 0.01), "precision": (0.05, 0.01)}, {"iou": 0.02, "precision": 0.02}
    )
    assert pairs["iou"].confirmed == ("not_inferior:a",)
    assert pairs["precision"].confirmed == ("not_inferior:a",)  # "better" was lost in iou
    text = sentence(pairs["iou"].reason)
    assert "confirmed in fixed sequence: a is non-inferior to b (margin 0.02" in text
    assert "exploratory" not in text


@pytest.mark.long
def test_nothing_counts_behind_an_undecided_primary_endpoint() -> None:
    pairs = judged({"dice": (0.0, 0.06), "iou": (0.05, 0.01)}, {"iou": 0.02}, margin=0.001)
    assert pairs["dice"].verdict == "not_enough_data"
    assert (pairs["iou"].verdict, pairs["iou"].confirmed) == ("a_better", ())
    assert "nothing is confirmed, because the same claim was not shown for dice" in sentence(pairs["iou"].reason)


@pytest.mark.long
def test_without_margins_nothing_is_told_of_a_sequence() -> None:
    pairs = judged({"dice": (0.05, 0.01), "iou": (0.0, 0.01)}, {})
    assert (pairs["iou"].confirmed, pairs["iou"].margin, pairs["dice"].claims) == (None, None, ((), ()))


@pytest.mark.long
def test_equivalence_needs_both_directions_in_both_endpoints() -> None:
    pairs = judged({"dice": (0.0, 0.01), "iou": (0.0, 0.01)}, {"iou": 0.02})
    assert pairs["iou"].confirmed == ("equivalent",)
    refused = replace(pairs["iou"], verdict="refused", claims=((), ()), confirmed=None)
    assert gated([pairs["dice"], refused], ["iou"])[1].confirmed == ()


def test_margins_are_read_and_refused() -> None:
    assert list(parse_margins("b=1,a=0.5")) == ["b", "a"]
    for wrong in ("dice", "dice=x", "dice=1,dice=2", "=1"):
        with pytest.raises(PredictionError, match="margins"):
            parse_margins(wrong)
    for margins, words in (({"dice": 0.1}, "primary"), ({"x": 0.1}, "no secondary"), ({"iou": -1.0}, "positive")):
        with pytest.raises(PredictionError, match=words):
            check_margins(margins, "dice", ["iou"])


@pytest.mark.long
@pytest.mark.parametrize(
    "true", [(0.0, -2.0, 0.0), (-2.0, -2.0, -2.0), (9.0, 0.0, -2.0), (-1.0, 0.0, -2.0), (-1.9, -2, -2)]
)
@pytest.mark.parametrize("count", [1, 3])
def test_false_claims_of_each_kind_stay_below_the_level(true: tuple[float, ...], count: int) -> None:
    """1,000 trials of three correlated endpoints, margin 2, in units that make the standard error 0.5; equal pairs.

    A claim of a primary endpoint counts too; .05 and 2.5 Monte-Carlo standard errors.
    """
    stream, half = np.random.default_rng(0), 0.5 * ndtri(1 - 0.025 / count)
    false = np.zeros(2)
    for _ in range(1_000):
        own, shared = stream.standard_normal((count, 3)), stream.standard_normal((count, 1))
        estimates = np.array(true) + 0.5 * (0.6 * own + 0.8 * shared)
        pairs = [_pair(f"a{k}", n, float(x), half) for k, row in enumerate(estimates) for n, x in enumerate(row)]
        shown = [
            (true[int(one.endpoint)], claim)
            for one in gated(pairs, ["1", "2"])
            for claim in (one.claims[0] if one.confirmed is None else one.confirmed)
        ]
        false[0] += any("better" in claim and not claim.endswith(":b") and value <= 0 for value, claim in shown)
        false[1] += any(not claim.endswith(":b") and value <= -2 for value, claim in shown)
    assert (false / 1_000 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 1_000)).all(), false / 1_000


def _pair(arm: str, endpoint: int, estimate: float, half: float) -> Comparison:
    bounds = (estimate - half, estimate + half)
    return Comparison(
        arm, "b", str(endpoint), estimate, *bounds, 1.0, 1.0, 2.0, "not_enough_data", Reason("no_predictions", arm=arm),
        None, role="primary" if endpoint == 0 else "secondary", claims=claims(bounds, 2.0, 1, estimate, 0.0, False),
    )  # fmt: skip
