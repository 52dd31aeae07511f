import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.statistics.endpoints import Endpoint, Kind, described, endpoint_named, of_case

CLASSES = ("benign", "malignant")


@pytest.mark.parametrize(
    ("name", "better", "low", "high"),
    [
        ("auc", True, 0.0, 1.0),
        ("average_precision", True, 0.0, 1.0),
        ("sensitivity@0.90", True, 0.0, 1.0),
        ("brier", False, 0.0, 1.0),
        ("nll", False, 0.0, np.inf),
    ],
)
def test_direction_and_range_of_classification(name: str, better: bool, low: float, high: float) -> None:
    found = endpoint_named(name, (), CLASSES)
    assert (found.higher_is_better, found.low, found.high, found.sign) == (better, low, high, 1 if better else -1)


def test_brier_of_several_classes_reaches_two() -> None:
    assert endpoint_named("brier", (), ("a", "b", "c")).high == 2.0


@pytest.mark.parametrize(
    ("name", "better", "kind"),
    [
        ("dice", True, Kind.MEAN),
        ("dice_core", True, Kind.MEAN),
        ("surface_dice", True, Kind.MEAN),
        ("hd95_core", False, Kind.MEAN),
        ("failure", False, Kind.RATE),
        ("lesions_found", True, Kind.MEAN),
    ],
)
def test_per_case_columns_are_recognised(name: str, better: bool, kind: Kind) -> None:
    found = endpoint_named(name, (name,))
    assert (found.name, found.higher_is_better, found.kind) == (name, better, kind)


def test_failure_rate_is_read_from_the_dice() -> None:
    assert of_case("failure_rate").column(["dice"]) == "dice"
    assert of_case("failure_rate_core").column(["dice"]) is None
    assert endpoint_named("failure_rate", ("dice",)).kind is Kind.RATE


def test_a_users_endpoint_comes_first() -> None:
    mine = Endpoint("auc", Kind.POOLED, compute=lambda truth, scores: 0.5)
    assert endpoint_named("auc", (), CLASSES, {"auc": mine}) is mine


def test_unknown_endpoints_are_refused_with_what_there_is() -> None:
    with pytest.raises(PredictionError, match="no endpoint 'acu'.*accuracy, auc"):
        endpoint_named("acu", (), CLASSES)
    with pytest.raises(PredictionError, match="they offer dice"):
        endpoint_named("auc", ("dice",))


@pytest.mark.parametrize("name", ["sensitivity@1.0", "sensitivity@", "sensitivity@90", "auc"])
def test_only_a_specificity_below_one_is_one(name: str) -> None:
    assert "%" not in described(name).heading


def test_predictions_that_offer_nothing_say_why() -> None:
    with pytest.raises(PredictionError, match="they offer none, as where every mask is empty"):
        endpoint_named("dice", ())
