"""A margin that no difference can exceed makes every pair of arms equivalent, and is refused."""

from collections.abc import Callable

import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.reasons import sentence
from equipoise.statistics import judge
from equipoise.statistics.endpoints import endpoint_named
from equipoise.statistics.margins import refuse_margin_of_range, refuse_wide_margin, wide_margin


@pytest.mark.parametrize(("name", "classes", "widest"), [("auc", "ab", 1), ("brier", "ab", 1), ("brier", "abc", 2)])
def test_a_margin_as_wide_as_the_range_is_refused(name: str, classes: str, widest: float) -> None:
    endpoint = endpoint_named(name, classes=tuple(classes))
    refuse_margin_of_range(endpoint, 0.99 * widest)
    refuse_wide_margin(endpoint, None)
    for margin in (widest, 3.0):
        with pytest.raises(PredictionError, match=f"the margin {margin:g} of {name} is as wide as its range, 0 to"):
            refuse_wide_margin(endpoint, margin)


@pytest.mark.parametrize(
    ("name", "half"),
    [("auc", 0.25), ("balanced_accuracy", 0.25), ("accuracy", 0.5), ("sensitivity@0.9", 0.45), ("brier", 0.5)],
)
def test_a_margin_of_half_the_way_from_guessing_is_refused(name: str, half: float) -> None:
    endpoint = endpoint_named(name, classes=("a", "b"))
    refuse_wide_margin(endpoint, half - 0.01)
    for margin in (half, 0.99):
        with pytest.raises(PredictionError, match=f"the margin {margin:g} of {name} is half the way from guessing"):
            refuse_wide_margin(endpoint, margin)


def test_a_margin_of_half_of_an_overlap_is_refused() -> None:
    refuse_wide_margin(endpoint_named("dice", ("dice",)), 0.49)
    with pytest.raises(PredictionError, match=r"guessing \(0\) to perfect \(1\) or more"):
        refuse_wide_margin(endpoint_named("dice", ("dice",)), 0.5)


@pytest.mark.parametrize(
    ("name", "columns", "margin", "way"),
    [
        ("auc", (), 0.24, "48 % of the way from guessing (0.5) to perfect (1)"),
        ("auc", (), 0.1, "20 % of the way from guessing (0.5) to perfect (1)"),
        ("dice", ("dice",), 0.3, "30 % of the way from guessing (0) to perfect (1)"),
        ("brier", (), 0.2, "20 % of the way from guessing (1) to perfect (0)"),
        ("auc", (), 0.09, ""),
        ("hd95", ("hd95",), 300.0, ""),
        ("auc", (), None, ""),
    ],
)
def test_a_wide_margin_has_a_caution(name: str, columns: tuple[str, ...], margin: float | None, way: str) -> None:
    endpoint = endpoint_named(name, columns, () if columns else ("a", "b"))
    reason = wide_margin(endpoint, margin)
    assert (reason is None) is (way == "")
    if reason is not None:
        assert sentence(reason).startswith(
            f"The margin {margin:g} of {endpoint.label} is {way}: arms that are called equivalent"
        )


def test_the_caution_of_a_margin_stands_beside_the_verdict(binary: Callable[..., Predictions]) -> None:
    table = binary(60, (0.95, 0.6))
    for margin, cautions in ((0.05, 0), (0.24, 1)):
        codes = [one.code for one in judge(table, primary="auc", margin=margin).warnings]
        assert codes.count("wide_margin") == cautions


def test_a_range_without_an_end_takes_any_margin() -> None:
    refuse_wide_margin(endpoint_named("hd95", ("hd95",)), 300.0)
    refuse_wide_margin(endpoint_named("volume_error_ml", ("volume_error_ml",)), 300.0)


def test_points_in_place_of_a_share_call_no_arms_equivalent(binary: Callable[..., Predictions]) -> None:
    """Five points written as 5: the arms differ by far more than .05."""
    table = binary(60, (0.95, 0.6))
    assert judge(table, primary="auc", margin=0.05).comparisons[0].verdict == "a_better"
    with pytest.raises(PredictionError, match="a hundredth of the range is 0.01"):
        judge(table, primary="auc", margin=5.0)
