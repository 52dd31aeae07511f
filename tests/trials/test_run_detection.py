"""A trial of detectors from files to the report, in 2D and 3D."""

from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.evaluation.detection import average_precision, cpm
from equipoise.evaluation.finding_masks import findings_in
from equipoise.evaluation.predictions import read_parquet
from equipoise.protocol import Protocol
from equipoise.report import write_report
from equipoise.testing.phantoms.lidc import write_lidc
from equipoise.training.preparation.staging import stage
from equipoise.trials.check import check
from equipoise.trials.plan import plan, read

pytestmark = pytest.mark.usefixtures("in_this_process")

SHARED = Path(__file__).resolve().parents[1] / "shared_trials"
DISCS = (SHARED / "detection.toml").read_text(encoding="utf-8")
EXAMPLE = Path(__file__).parents[2] / "examples" / "lidc-detection.toml"


@pytest.fixture
def discs(detection_trial):
    """The protocol of a finished trial, its run folder and its results; only to look at."""
    return detection_trial.protocol, detection_trial.run, detection_trial.results


@pytest.mark.long
def test_a_detector_learns_and_its_numbers_are_those_of_its_candidates(discs):
    _, out, results = discs
    assert results["endpoints"]["primary"] == "cpm"
    assert results["failures"] == []
    assert [rule["name"] for rule in results["baselines"]] == ["no-candidates", "spot-rule"]
    assert results["baselines"][0]["endpoints"]["cpm"]["estimate"] == 0
    values = {"cpm": [], "average_precision": []}
    for seed in range(3):
        table = read_parquet(out / "jobs" / "unet" / f"0-{seed}" / "predictions.parquet")
        assert set(table.metrics) == {"findings", "found", "candidates", "false_positives"}
        test = table.where(table.split == "test")
        order = np.argsort(test.case)
        marks = test.candidates.marks(test.case[order], test.metrics["findings"][order].astype(int))
        values["cpm"].append(cpm(marks))
        values["average_precision"].append(average_precision(marks))
    for name, found in values.items():
        assert results["arms"][0]["endpoints"][name]["estimate"] == pytest.approx(np.mean(found))
    assert np.mean(values["cpm"]) > 0.7


def test_findings_are_those_of_the_masks(discs):
    protocol, out, _ = discs
    cohort = read(protocol)[1]
    table = read_parquet(out / "jobs" / "unet" / "0-0" / "predictions.parquet")
    masks = {case.id: case.read() for case in cohort.cases}
    for name, n in zip(table.case, table.metrics["findings"], strict=True):
        assert n == findings_in(masks[name].mask, masks[name].spacing_mm).relevant.sum()


@pytest.mark.long
def test_the_report_is_complete(discs, detection_trial, tmp_path):
    _, out, results = discs
    page = (out / "report.html").read_text()
    for words in (
        'id="froc"',
        'id="examples"',
        "rule of LUNA16",
        "Missed, or detected with the lowest score",
        "jackknife over patients",
    ):
        assert words in page
    assert "CPM" in (out / "figures" / "froc.svg").read_text()
    assert (out / "figures" / "froc.csv").read_text().count("\nunet,") == 49
    assert results["ledger"] == {"test_openings": 1, "unplanned_openings": 0, "verified": True}
    assert write_report(detection_trial.copy(tmp_path / "copy").run) == results


@pytest.mark.long
def test_candidates_that_were_changed_are_noticed(discs, tmp_path):
    import shutil

    _, out, _ = discs
    shutil.copytree(out, tmp_path / "run")
    changed = tmp_path / "run" / "jobs" / "unet" / "0-1" / "candidates.parquet"
    shutil.copy(tmp_path / "run" / "jobs" / "unet" / "0-0" / "candidates.parquet", changed)
    results = write_report(tmp_path / "run")
    assert not results["ledger"]["verified"]
    assert any("candidates.parquet is not the file" in warning for warning in results["warnings"])


@pytest.mark.long
def test_check_says_what_cannot_be_planned_and_what_it_costs():
    found = check(Protocol.parse(DISCS))
    assert found.may_run
    assert found.detectable is None
    assert found.unplanned.startswith("the CPM of 12 test patients cannot be planned")
    assert found.predicted()["seconds"] > 0
    assert found.as_json()["cases"][0]["label_voxels"]["0"] > 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('targets = "centres"', 'targets = "regions"'), 'targets = "regions" is not for detection'),
        (('task = "detection"', 'task = "segmentation"'), 'targets = "centres" is not for segmentation'),
        (("[inference]", "[preprocessing]\nsmooth_labels = 1.0\n[inference]"), "smooth_labels smooths masks"),
        (("[[arms]]", '[endpoints]\nprimary = "dice"\n[[arms]]'), "'dice' is unknown in detection"),
        (("[[arms]]", '[endpoints]\nsecondary = ["findings"]\n[[arms]]'), "'findings' is unknown in detection"),
        (("apart_mm = 3.0", "candidate_threshold = 1.5"), "candidate_threshold = 1.5 is not allowed"),
    ],
)
def test_what_does_not_fit_is_told_before_training(change, reason, tmp_path):
    with pytest.raises(ProtocolError, match=reason):
        equipoise.run(Protocol.parse(DISCS.replace(*change)), tmp_path / "run")


@pytest.mark.long
def test_a_part_without_a_finding_is_told_before_training(tmp_path):
    few = DISCS.replace("cases = 40", "cases = 8").replace("patients = 40", "patients = 8\nseed = 5")
    few = few.replace("[0.5, 0.2, 0.3]", "[0.6, 0.1, 0.3]")
    with pytest.raises(EquipoiseError, match=r"no validation case of .* has a finding to learn or choose by"):
        equipoise.run(Protocol.parse(few), tmp_path / "run")


@pytest.fixture(scope="module")
def scans(tmp_path_factory, in_this_process):
    """The example protocol as it stands, on LIDC-like series: fewer voxels, epochs and seeds."""
    folder = tmp_path_factory.mktemp("scans")
    write_lidc(folder / "LIDC-IDRI", patients=8, nodules=2, pixel_mm=2.0, slice_mm=2.5)
    text = EXAMPLE.read_text()
    for old, new in (
        ("/path/to/LIDC-IDRI", "LIDC-IDRI"),
        ("resample = 1.0", "resample = 2.5"),
        ("patch = 96", "patch = 16"),
        ("patches_per_case = 8", "patches_per_case = 1"),
        ("epochs = 60", "epochs = 2"),
        ('preset = "small"', 'preset = "tiny"'),
        ("fractions = [0.7, 0.1, 0.2]", "fractions = [0.5, 0.25, 0.25]"),
        ("seeds = [0, 1, 2]", "seeds = [0]"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "protocol.toml").write_text(text)
    return folder


@pytest.mark.trial
def test_whole_scans_run_as_the_example_says(scans):
    results = equipoise.run(scans / "protocol.toml", scans / "run")
    assert results["failures"] == []
    assert results["cohort"]["notes"][0].endswith("are irrelevant: neither found nor false.")
    for arm in results["arms"]:
        table = read_parquet(scans / "run" / "jobs" / arm["name"] / "0-0" / "predictions.parquet")
        assert table.candidates.place_mm.shape[1] == 3
        assert 0 <= arm["endpoints"]["cpm"]["estimate"] <= 1
    cohort = read(scans / "protocol.toml")[1]
    nodules = {case.id: case.attributes["nodules"] for case in cohort.cases}
    assert [nodules[name] for name in table.case] == table.metrics["findings"].tolist()
    page = (scans / "run" / "report.html").read_text()
    assert "false positives per scan" in page


@pytest.mark.trial
def test_killed_and_resumed_detectors_end_in_the_same_bits(scans, tmp_path, killed_and_resumed_ends_in_the_same_bits):
    trial = plan(*read(scans / "protocol.toml"), tmp_path)
    targets = trial.protocol.training.targets
    for part in ("train", "validation"):
        place = tmp_path / "samples" / "0" / part
        stage(trial.cohort, getattr(trial.folds[0], part), trial.pipeline, place, targets)
    killed_and_resumed_ends_in_the_same_bits(trial.jobs[0], tmp_path / "other")
