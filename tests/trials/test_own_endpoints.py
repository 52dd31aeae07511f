"""Endpoints of one's own, from the protocol to the report: pooled ones of classifiers, per-case ones of segmenters."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise import lookup
from equipoise.errors import LedgerError, PredictionError, ProtocolError
from equipoise.evaluation.predictions import read_parquet
from equipoise.report import summarise

pytestmark = pytest.mark.usefixtures("in_this_process")

METRICS = """
import numpy as np

def worst_recall(truth, scores):
    called = scores.argmax(axis=1)
    return min((called[truth == label] == label).mean() for label in range(scores.shape[1]))

def confusions(truth, scores):
    return 1 - (scores.argmax(axis=1) == truth).mean()

confusions.higher_is_better = False

def missed(truth, prediction, spacing_mm):
    assert truth.dtype == bool and len(spacing_mm) == truth.ndim
    return float((truth & ~prediction).sum() / max(1, truth.sum()))

missed.higher_is_better = False
missed.low, missed.high = 0.0, 1.0
"""

CLASSES = """
[cohort]
source = "phantom"
cases = 120
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
select = "primary"
seeds = [0, 1, 2]
[endpoints]
primary = "MODULE:confusions"
secondary = ["auc", "MODULE:worst_recall"]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
"""

MASKS = """
[cohort]
source = "MODULE:cohort"
task = "segmentation"
[split]
fractions = [0.6, 0.15, 0.25]
[training]
epochs = 1
batch_size = 4
select = "primary"
seeds = [0, 1, 2]
[endpoints]
primary = "MODULE:missed_core"
secondary = ["dice", "MODULE:missed"]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
"""

COHORT = """
from equipoise.cohorts import Case, Cohort, Image

def cohort(path=None, task="segmentation"):
    def read(index):
        mask = np.zeros((16, 16), np.uint8)
        mask[3:11, 2 : 10 + index % 3] = 1
        mask[5:8, 4:8] = 2
        image = np.random.default_rng(index).normal(0, 0.2, (1, 16, 16)) + mask
        return Image(image.astype(np.float32), (1.0, 1.0), mask)

    cases = tuple(Case(f"c{i:02d}", f"p{i:02d}", read=lambda i=i: read(i), sha256={"made": str(i)}) for i in range(40))
    regions = {"whole": (1, 2), "core": (2,)}
    return Cohort("squares", "segmentation", cases, ("background", "edge", "middle"), ("c",), 2, regions=regions)
"""


def make(folder: Path, module: str, protocol: str, source: str = METRICS) -> Path:
    (folder / f"{module}.py").write_text(source)
    file = folder / "protocol.toml"
    file.write_text(protocol.replace("MODULE", module))
    return file


@pytest.fixture(scope="module")
def classified(tmp_path_factory, in_this_process):
    folder = tmp_path_factory.mktemp("own")
    results = equipoise.run(make(folder, "own_of_scores", CLASSES), folder / "run")
    return folder, results


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, in_this_process):
    folder = tmp_path_factory.mktemp("own")
    results = equipoise.run(make(folder, "own_of_masks", MASKS, METRICS + COHORT), folder / "run")
    return folder, results


def test_rows(folder: Path) -> list:
    tables = [read_parquet(file) for file in sorted(folder.glob("*/predictions.parquet"))]
    return [table.where(table.split == "test") for table in tables]


test_rows.__test__ = False


@pytest.mark.trial
def test_a_pooled_endpoint_is_computed_of_all_test_cases(classified):
    folder, results = classified
    for arm in results["arms"]:
        tables = test_rows(folder / "run" / "jobs" / arm["name"])
        wanted = [(table.scores.argmax(1) != table.truth).mean() for table in tables]
        found = arm["endpoints"]["own_of_scores:confusions"]
        assert found["estimate"] == pytest.approx(np.mean(wanted))
        assert found["low"] <= found["estimate"] <= found["high"]
        assert "own_of_scores:worst_recall" in arm["endpoints"]
    assert results["endpoints"]["higher_is_better"] is False
    (pair,) = results["comparisons"]
    assert pair["endpoint"] == "own_of_scores:confusions"
    majority = next(rule for rule in results["baselines"] if rule["name"] == "majority-class")
    assert majority["endpoints"]["own_of_scores:confusions"]["estimate"] > 0.3


@pytest.mark.trial
def test_the_epoch_is_chosen_by_it(classified):
    folder, _ = classified
    history = (folder / "run" / "jobs" / "unet" / "0-0" / "history.csv").read_text().splitlines()
    assert "validation_own_of_scores:confusions" in history[0].split(",")


@pytest.mark.trial
def test_the_record_keeps_the_source_and_the_report_is_made_again_from_predictions(classified):
    folder, results = classified
    lock = json.loads((folder / "run" / "lock.json").read_text())
    wanted = hashlib.sha256((folder / "own_of_scores.py").read_bytes()).hexdigest()
    said = lock["own"]["own_of_scores:confusions"]
    assert said == {
        "higher_is_better": False, "low": None, "high": None, "unit": "", "pooled": True, "sha256": wanted,
    }  # fmt: skip
    assert lock["code_folder"] == ".."
    assert summarise(folder / "run")["arms"] == results["arms"]
    page = (folder / "run" / "report.html").read_text()
    assert "confusions" in page


@pytest.mark.trial
def test_another_source_is_refused(classified, monkeypatch):
    folder, _ = classified
    source = folder / "own_of_scores.py"
    source.write_text(METRICS + "\n# changed\n")
    for loaded in (sys.modules, lookup._IMPORTED):  # as in a new process
        monkeypatch.delitem(loaded, "own_of_scores", raising=False)
    try:
        with pytest.raises(PredictionError, match="its source has changed"):
            summarise(folder / "run")
        with pytest.raises(LedgerError, match=r"own_of_scores\.py .*has changed since"):
            equipoise.run(folder / "protocol.toml", folder / "run")
    finally:
        source.write_text(METRICS)


@pytest.mark.trial
def test_every_case_has_its_own_value(segmented):
    folder, results = segmented
    name = "own_of_masks:missed"
    for table in test_rows(folder / "run" / "jobs" / "unet"):
        values = table.metrics
        assert {name, f"{name}_whole", f"{name}_core"} <= set(values)
        np.testing.assert_allclose(values[name], (values[f"{name}_whole"] + values[f"{name}_core"]) / 2)
        wanted = 1 - values["shared_voxels_core"] / values["truth_voxels_core"]
        np.testing.assert_allclose(values[f"{name}_core"], wanted)
    assert results["endpoints"]["higher_is_better"] is False
    endpoints = results["arms"][0]["endpoints"]
    tables = test_rows(folder / "run" / "jobs" / "unet")
    assert endpoints[f"{name}_core"]["estimate"] == pytest.approx(
        np.mean([table.metrics[f"{name}_core"].mean() for table in tables])
    )
    empty = next(rule for rule in results["baselines"] if rule["name"] == "empty-mask")
    assert empty["endpoints"][name]["estimate"] == 1.0


@pytest.mark.trial
def test_smaller_is_better_in_every_region(segmented):
    folder, results = segmented
    lock = json.loads((folder / "run" / "lock.json").read_text())
    assert list(lock["own"]) == ["own_of_masks:missed"]
    against = next(p for p in results["baseline_comparisons"] if p["b"] == "empty-mask")
    assert against["endpoint"] == "own_of_masks:missed_core"
    assert against["verdict"] != "b_better"


BAD = """
import numpy as np

def fails(truth, scores):
    raise KeyError("no column")

def undecided(truth, scores):
    return float("nan")

def forgets_empties(truth, prediction, spacing_mm):
    return (truth & prediction).sum() / truth.sum() if truth.any() else float("nan")
"""


@pytest.mark.parametrize(
    ("protocol", "name", "sentence"),
    [
        (CLASSES, "fails", r"the endpoint 'bad_endpoints:fails' failed \(KeyError: 'no column'\); correct it"),
        (CLASSES, "undecided", "gave nan, which is no finite number"),
        (CLASSES, "missing", "bad_endpoints has no 'missing'"),
        (MASKS, "forgets_empties", "gave nan, which is no finite number for an empty truth"),
    ],
)
def test_what_cannot_be_used_is_told_before_training(tmp_path, protocol, name, sentence):
    text = protocol.replace('"MODULE:confusions"', f'"MODULE:{name}"').replace(
        '"MODULE:missed_core"', f'"MODULE:{name}"'
    )
    text = text.replace(', "MODULE:worst_recall"', "").replace(', "MODULE:missed"', "")
    file = make(tmp_path, "bad_endpoints", text, BAD + COHORT)
    with pytest.raises(ProtocolError, match=sentence) as caught:
        equipoise.run(file, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
