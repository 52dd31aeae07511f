"""The better direction of a column is read off whole known names alone; everything else is asked in one sentence."""

from typing import Any

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.monai import metric_named
from equipoise.statistics.directions import Directions
from equipoise.statistics.endpoints import endpoint_named, of_case
from equipoise.trials.audit import audit

QUANTITIES = (
    "dice_loss",
    "dice_std",
    "iou_error",
    "lesion_miss_rate",
    "lesions_missed",
    "hd95_rank",
    "absolute_volume",
)


def table(name: str, low: bool = True, **more: str) -> dict[str, Any]:
    """Two arms with three runs each; the values of the first are smaller where `low`."""
    stream = np.random.default_rng(0)
    rows = [(arm, s, f"c{k}", k) for arm in "ab" for s in range(3) for k in range(60)]
    easy = stream.normal(0.3, 0.05, 60)
    shift = {"a": 0.0 if low else 0.2, "b": 0.2 if low else 0.0}
    value = np.array([easy[k] + shift[arm] + stream.normal(0, 0.02) for arm, _, _, k in rows])
    arm, seed, case, _ = zip(*rows, strict=True)
    return {"arm": np.array(arm), "seed": np.array(seed), "case": np.array(case), name: value} | more


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_name_that_begins_like_a_metric_is_asked(name: str) -> None:
    assert not of_case(name).direction_known
    with pytest.raises(PredictionError) as caught:
        audit(table(name), cases_are_patients=True)
    assert f"--higher-is-better {name} or --lower-is-better {name}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dice_loss", "lesion_miss_rate"])
@pytest.mark.parametrize("lower", [True, False])
def test_a_stated_direction_decides(name: str, lower: bool) -> None:
    stated = {"lower_is_better": [name]} if lower else {"higher_is_better": [name]}
    found = audit(table(name), primary=name, cases_are_patients=True, **stated)
    assert found["comparisons"][0]["verdict"] == ("a_better" if lower else "b_better")
    assert found["endpoints"]["higher_is_better"] is not lower


def test_a_structure_is_known_where_it_is_named() -> None:
    columns = table("hd95_core")
    with pytest.raises(PredictionError, match="is a structure, name it .--regions core."):
        audit(columns, primary="hd95_core", cases_are_patients=True)
    found = audit(columns, primary="hd95_core", cases_are_patients=True, regions=["core"])
    assert found["endpoints"]["higher_is_better"] is False
    counted = columns | {"truth_voxels_core": np.tile(np.arange(60.0), 6)}
    assert audit(counted, primary="hd95_core", cases_are_patients=True)["endpoints"]["higher_is_better"] is False


def test_statements_that_contradict_are_refused() -> None:
    with pytest.raises(PredictionError, match="the opposite was stated"):
        audit(table("dice"), cases_are_patients=True, lower_is_better=["dice"])
    with pytest.raises(PredictionError, match="keep one of them"):
        Directions(("loss",), ("loss",)).check([], ["loss"])
    assert Directions(("dice",)).check(["dice"], ["dice"]) is None


def test_spread_beside_a_metric_is_no_secondary_endpoint() -> None:
    columns = table("dice") | {"dice_std": np.random.default_rng(1).random(360)}
    assert list(audit(columns, cases_are_patients=True)["arms"][0]["endpoints"]) == ["dice", "failure_rate"]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("val_mean_dice", "dice"),
        ("hausdorff95", "hd95"),
        ("dice_loss", None),
        ("iou_error", None),
        ("nsd", "surface_dice"),
    ],
)
def test_monais_files_are_named_as_a_whole(name: str, metric: str | None) -> None:
    assert metric_named(name) == metric


def test_volume_errors_count_by_their_size() -> None:
    """One arm errs by 2 ml to either side, the other by 10 ml too little: the mean with its sign says the opposite."""
    stream = np.random.default_rng(0)
    columns = table("volume_error_ml")
    first = columns["arm"] == "a"
    columns["volume_error_ml"] = np.where(first, stream.choice([-2.0, 2.0], 360), -10.0) + stream.normal(0, 0.5, 360)
    found = audit(columns, primary="volume_error_ml", cases_are_patients=True)
    assert found["comparisons"][0]["difference"] < 0
    assert found["comparisons"][0]["verdict"] == "a_better"
    value = found["arms"][0]["endpoints"]["volume_error_ml"]["estimate"]
    assert value == pytest.approx(np.abs(columns["volume_error_ml"][first]).mean())
    record = endpoint_named("volume_error_ml", ["volume_error_ml"])
    assert (record.sign, record.best) == (-1, 0.0)
