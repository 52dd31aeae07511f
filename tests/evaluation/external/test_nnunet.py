"""nnU-Net's summary.json, as its own evaluator wrote it, against its own numbers and against the masks themselves."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from equipoise.errors import EquipoiseError, PredictionError
from equipoise.evaluation.external.nnunet import read_summary


def masks(made: Path, arm: str, case: str) -> tuple[np.ndarray, np.ndarray]:
    found = [np.asarray(nibabel.load(made / "masks" / name / f"{case}.nii.gz").dataobj) for name in ("truth", arm)]
    return found[0], found[1]


@pytest.mark.long
@pytest.mark.parametrize("arm", ["careful", "careless"])
def test_every_number_is_that_of_the_masks(made: Path, arm: str) -> None:
    found = read_summary(made / "nnunet_regions" / arm / "summary.json", {"whole": (1, 2), "core": (2,)}).columns
    assert len(found["case"]) == 32
    for row, case in enumerate(found["case"]):
        truth, said = masks(made, arm, case)
        for name, labels in (("whole", (1, 2)), ("core", (2,))):
            a, b = np.isin(truth, labels), np.isin(said, labels)
            assert found[f"truth_voxels_{name}"][row] == a.sum()
            assert found[f"predicted_voxels_{name}"][row] == b.sum()
            wanted = 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1.0
            assert found[f"dice_{name}"][row] == pytest.approx(wanted, abs=1e-12)


def test_the_mean_differs_from_nnunets_only_by_the_empty_case(made: Path) -> None:
    path = made / "nnunet_labels/careful/summary.json"
    own = json.loads(path.read_text(encoding="utf-8"))["mean"]
    found = read_summary(path, {})
    assert found.columns["dice_label_1"].mean() == pytest.approx(own["1"]["Dice"], abs=1e-12)
    empty = found.columns["case"] == "p06_b"
    assert found.columns["dice_label_2"][empty].tolist() == [1.0]
    assert found.columns["dice_label_2"][~empty].mean() == pytest.approx(own["2"]["Dice"], abs=1e-12)
    assert "neither mask" in found.notes[0]


def test_regions_are_named_in_order_or_by_label(made: Path) -> None:
    path = made / "nnunet_labels/careful/summary.json"
    by_label, in_order = (read_summary(path, names) for names in ({"b": (2,), "a": (1,)}, {"a": (), "b": ()}))
    assert in_order.columns["dice_b"].tolist() == by_label.columns["dice_b"].tolist()
    with pytest.raises(PredictionError, match="name each"):
        read_summary(path, {"a": ()})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found["metric_per_case"][0]["metrics"]["1"].update(Dice=0.99), "not that of its own counts"),
        (lambda found: found["metric_per_case"][0]["metrics"]["1"].pop("TP"), "TP"),
        (lambda found: found["metric_per_case"][0].pop("metrics"), "metrics"),
        (lambda found: found["metric_per_case"][0].pop("prediction_file"), None),
        (lambda found: found.update(metric_per_case=[]), "metric_per_case"),
        (lambda found: found["metric_per_case"][0]["metrics"].update({"edge": {}}), "not a label"),
    ],
)
def test_a_changed_summary_is_refused_in_a_sentence(made: Path, tmp_path: Path, change: Any, said: str | None) -> None:
    found = json.loads((made / "nnunet_labels/careful/summary.json").read_text(encoding="utf-8"))
    change(found)
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    if said is None:  # the name of the reference file serves as well
        assert read_summary(path, {}).columns["case"][0] == "p01_a"
        return
    with pytest.raises(PredictionError, match=said):
        read_summary(path, {})


def test_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(EquipoiseError, match="not valid JSON"):
        read_summary(path, {})
