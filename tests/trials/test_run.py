import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import equipoise
from equipoise.errors import EquipoiseError, Interrupted, LedgerError, ProtocolError
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.paths import LEDGER
from equipoise.trials import prediction
from equipoise.trials import run as trial_module

SHARED = Path(__file__).resolve().parents[1] / "shared_trials"
PROTOCOL = (SHARED / "classification.toml").read_text(encoding="utf-8")


@pytest.fixture
def protocol(tmp_path):
    shutil.copy(SHARED / "nets_for_trial.py", tmp_path)
    file = tmp_path / "protocol.toml"
    file.write_text(PROTOCOL)
    return file


@pytest.fixture
def finished(classification_trial):
    """The run folder of a finished trial, and its results; only to look at."""
    return classification_trial.run, classification_trial.results


def test_the_run_folder_is_as_promised(finished):
    folder, results = finished
    names = {path.name for path in folder.iterdir()}
    assert {"protocol.toml", "lock.json", "ledger.jsonl", "jobs", "results.json", "report.html", "cases.csv"} <= names
    assert "samples" not in names, "prepared arrays are not kept"
    for arm in ("unet", "own"):
        for seed in range(3):
            job = folder / "jobs" / arm / f"0-{seed}"
            assert {"history.csv", "checkpoint", "predictions.parquet", "done.json"} <= {p.name for p in job.iterdir()}
    assert json.loads((folder / "results.json").read_text()) == results


def test_example_cases_carry_attribution_maps_with_their_check(finished):
    folder, _ = finished
    checks = json.loads((folder / "attributions.json").read_text())
    assert checks["arm"] in ("unet", "own")
    assert checks["gap"] < 0.5
    assert 0 <= checks["likeness"] <= 1
    page = (folder / "report.html").read_text()
    assert "integrated gradients" in page or "No attribution maps are shown" in page


def test_results_have_the_public_fields(finished):
    _, results = finished
    assert results["schema"] == 1
    assert [arm["name"] for arm in results["arms"]] == ["unet", "own"]
    assert all(arm["failed_jobs"] == 0 and arm["seeds"] == [0, 1, 2] for arm in results["arms"])
    auc = results["arms"][0]["endpoints"]["auc"]
    assert {"estimate", "low", "high", "seed_sd", "n_patients", "n_cases"} <= set(auc)
    assert auc["low"] <= auc["estimate"] <= auc["high"]
    assert {"majority-class"} <= {rule["name"] for rule in results["baselines"]}
    (pair,) = results["comparisons"]
    public = {"a", "b", "endpoint", "difference", "low", "high", "p", "p_adjusted", "margin", "verdict", "reason"}
    assert public | {"patients_needed"} <= set(pair)
    assert results["ledger"] == {"test_openings": 1, "unplanned_openings": 0, "verified": True}
    assert set(results["recommendation"]) == {"accuracy", "speed", "balanced"}
    assert {row["arm"] for row in results["ranking"]} == {"unet", "own"}


def test_the_spread_of_seeds_is_remembered_for_later_plans(classification_trial, monkeypatch):
    results = classification_trial.results
    monkeypatch.setenv("EQUIPOISE_CACHE", str(classification_trial.cache))
    kept = json.loads(trial_module.seed_spreads().read_text(encoding="utf-8"))["spreads"]
    (entry,) = (one for one in kept if one["trial"] == results["protocol_sha256"])
    assert entry["df"] == results["variance"]["seed_df"] > 0
    assert (entry["classes"], entry["networks"]) == (list(results["cohort"]["classes"]), ["nets_for_trial:Net", "unet"])


def test_the_test_set_is_opened_once_and_after_every_job(finished):
    kinds = [event.kind for event in Ledger(finished[0]).events]
    assert kinds.count("test opened") == 1
    assert max(i for i, kind in enumerate(kinds) if kind == "finished") < kinds.index("test opened")
    assert kinds[0] == "locked"
    assert kinds[-2:] == ["predicted", "explained"]


@pytest.mark.usefixtures("jobs_here")
def test_running_again_changes_nothing(classification_trial, tmp_path):
    copied = classification_trial.copy(tmp_path / "copy")
    before = (copied.run / LEDGER).read_bytes()
    again = equipoise.run(copied.protocol, copied.run)
    assert again == classification_trial.results
    assert (copied.run / LEDGER).read_bytes() == before


def test_another_folder_gives_identical_numbers(finished, tmp_path, without_times):
    folder, results = finished
    other = equipoise.run(folder.parent / "protocol.toml", tmp_path / "other")
    assert without_times(other) == without_times(results)
    mine = (folder / "jobs" / "unet" / "0-1" / "predictions.parquet").read_bytes()
    assert (tmp_path / "other" / "jobs" / "unet" / "0-1" / "predictions.parquet").read_bytes() == mine


def test_another_protocol_is_refused_and_nothing_overwritten(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.setattr(trial_module, "unsound_layers", None)  # no layer is tried before
    before = (folder / "lock.json").read_bytes()
    changed = equipoise.Protocol.parse(PROTOCOL.replace("epochs = 2", "epochs = 3"), folder=folder.parent)
    with pytest.raises(LedgerError, match="belongs to another protocol"):
        equipoise.run(changed, folder)
    assert (folder / "lock.json").read_bytes() == before


@pytest.mark.usefixtures("jobs_here")
def test_predictions_made_anew_are_a_second_opening(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "jobs" / "own" / "0-0" / "predictions.parquet").unlink()
    results = equipoise.run(finished[0].parent / "protocol.toml", folder)
    assert results["ledger"]["test_openings"] == 2
    assert "exploratory" in (folder / "report.html").read_text().lower()


@pytest.mark.usefixtures("jobs_here")
def test_predictions_that_an_interrupted_opening_left_are_made_again(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    honest = (folder / "jobs" / "own" / "0-0" / "predictions.parquet").read_bytes()
    # Cut behind the opening, as a kill would leave it: the hash of the predictions is gone, and no chain is forged.
    lines = (folder / LEDGER).read_text().splitlines(keepends=True)
    opened = next(number for number, line in enumerate(lines) if '"kind": "test opened"' in line)
    (folder / LEDGER).write_text("".join(lines[: opened + 1]))
    shutil.copy(folder / "jobs" / "unet" / "0-1" / "predictions.parquet", folder / "jobs" / "own" / "0-0")
    results = equipoise.run(finished[0].parent / "protocol.toml", folder)
    assert (folder / "jobs" / "own" / "0-0" / "predictions.parquet").read_bytes() == honest
    assert (results["ledger"]["verified"], results["ledger"]["test_openings"]) == (True, 1)


def test_a_missing_job_is_named_by_the_report(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    shutil.rmtree(folder / "jobs" / "own" / "0-2")
    results = equipoise.report.write_report(folder)
    assert any(row["arm"] == "own" and row["seed"] == 2 for row in results["failures"])
    assert "own" in (folder / "report.html").read_text()


@pytest.mark.trial
@pytest.mark.usefixtures("jobs_here")
def test_a_diverging_arm_is_a_row_not_an_exception(protocol, tmp_path):
    protocol.write_text(PROTOCOL.replace('"nets_for_trial:Net"', '"nets_for_trial:Explodes"'))
    results = equipoise.run(protocol, tmp_path / "run")
    own = results["arms"][1]
    assert own["failed_jobs"] == 3
    assert len(results["failures"]) == 3
    assert all("not finite" in row["reason"] for row in results["failures"])
    assert results["comparisons"][0]["verdict"] == "refused"
    assert results["arms"][0]["endpoints"]["auc"]["estimate"] is not None


@pytest.mark.long
@pytest.mark.usefixtures("jobs_here")
def test_what_cannot_run_is_told_before_anything_is_written(protocol, tmp_path):
    cases = {
        'model = {name = "densnet"}': "did you mean 'densenet'",
        'model = {name = "unet", preset = "tinny"}': "tinny",
        'model = {name = "unet", presett = "tiny"}': "has no setting 'presett'; did you mean 'preset'",
        'model = "nets_for_trial:Missing"': "has no 'Missing'",
    }
    for change, sentence in cases.items():
        protocol.write_text(PROTOCOL.replace('model = {name = "unet", preset = "tiny"}', change))
        with pytest.raises(ProtocolError, match=sentence) as caught:
            equipoise.run(protocol, tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["primary", "secondary"])
@pytest.mark.usefixtures("jobs_here")
def test_an_unknown_endpoint_is_told_before_training(protocol, tmp_path, key):
    value = '"aucc"' if key == "primary" else '["aucc"]'
    protocol.write_text(PROTOCOL + f"[endpoints]\n{key} = {value}\n")
    with pytest.raises(ProtocolError, match="endpoint 'aucc' is unknown.*average_precision"):
        equipoise.run(protocol, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("jobs_here")
def test_a_subgroup_that_no_case_has_is_told_before_training(protocol, tmp_path):
    protocol.write_text(PROTOCOL + '[endpoints]\nsubgroups = ["diameter"]\n')
    with pytest.raises(ProtocolError, match="has the attribute 'diameter'; did you mean 'diameter_mm'"):
        equipoise.run(protocol, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("jobs_here")
def test_a_case_without_its_size_is_told_before_training(protocol, tmp_path):
    (tmp_path / "sizeless_for_trial.py").write_text(
        "import dataclasses\nfrom equipoise.testing.phantoms.cases import phantom\n"
        "def cohort(path=None):\n"
        "    made = phantom(cases=160, size=16)\n"
        "    first = dataclasses.replace(made.cases[0], attributes={})\n"
        "    return dataclasses.replace(made, cases=(first, *made.cases[1:]))\n"
    )
    text = PROTOCOL.replace('source = "phantom"\ncases = 160\nsize = 16', 'source = "sizeless_for_trial:cohort"')
    protocol.write_text(text)
    with pytest.raises(EquipoiseError, match="the size rule needs a number"):
        equipoise.run(protocol, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("jobs_here")
def test_ctrl_c_leaves_a_resumable_run(protocol, finished, tmp_path, monkeypatch, without_times):
    def interrupted(*_):
        raise KeyboardInterrupt

    real = prediction.predict_test
    monkeypatch.setattr(trial_module, "predict_test", interrupted)
    with pytest.raises(Interrupted, match="the same command resumes"):
        equipoise.run(protocol, tmp_path / "run")
    monkeypatch.setattr(trial_module, "predict_test", real)
    assert without_times(equipoise.run(protocol, tmp_path / "run")) == without_times(finished[1])


def test_kill_9_at_random_moments_changes_no_number(protocol, finished, tmp_path, without_times, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))  # the other process knows no openings but its own
    command = [sys.executable, "-m", "equipoise", "run", str(protocol), "--out", str(tmp_path / "run"), "--quiet"]
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0"))
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for(tmp_path / "run" / "lock.json", process)
        time.sleep(chance.uniform(0.0, 4.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert without_times(results) == without_times(finished[1])


def _wait_for(file: Path, process):
    deadline = time.monotonic() + 600
    while not file.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.usefixtures("jobs_here")
def test_a_full_disk_stops_with_a_sentence_and_loses_nothing(protocol, finished, tmp_path, monkeypatch, without_times):
    def full(*_):
        raise OSError(28, "No space left on device")

    real = prediction.open_test
    monkeypatch.setattr(prediction, "open_test", full)
    with pytest.raises(EquipoiseError, match="No space left on device.*free disk space"):
        equipoise.run(protocol, tmp_path / "run")
    monkeypatch.setattr(prediction, "open_test", real)
    results = equipoise.run(protocol, tmp_path / "run")
    assert results["ledger"]["test_openings"] == 1
    assert without_times(results) == without_times(finished[1])


LEAKY = """
import dataclasses
from equipoise.testing.phantoms.cases import phantom

def cohort(path=None):
    made = phantom(cases=160, size=16)
    a, b = made.cases[0], made.cases[80]
    twin = dataclasses.replace(b, read=a.read)
    return dataclasses.replace(made, cases=(*made.cases[:80], twin, *made.cases[81:]))
"""


@pytest.mark.trial
@pytest.mark.usefixtures("jobs_here")
def test_a_leak_is_refused_and_an_allowed_one_is_in_the_report(protocol, tmp_path):
    from equipoise.cohorts.sources import load
    from equipoise.cohorts.splits.split import split
    from equipoise.protocol import Protocol

    (tmp_path / "leaky_for_trial.py").write_text(LEAKY)
    text = PROTOCOL.replace('source = "phantom"\ncases = 160\nsize = 16', 'source = "leaky_for_trial:cohort"')
    for seed in range(50):  # a seed that parts the twins
        parsed = Protocol.parse(text, folder=tmp_path)
        fold = split(load(parsed.cohort, None, tmp_path), fractions=(0.6, 0.15, 0.25), seed=seed)[0]
        if (0 in fold.test) != (80 in fold.test):
            break
    protocol.write_text(text.replace("[split]", f"[split]\nseed = {seed}"))
    with pytest.raises(EquipoiseError, match=r"cases leak across parts, .* \(equal\) of 1 pair;"):
        equipoise.run(protocol, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    protocol.write_text(protocol.read_text().replace("[split]", "[split]\nallow_leaks = true"))
    results = equipoise.run(protocol, tmp_path / "run")
    assert any("leak across the parts of the split (equal)" in warning for warning in results["warnings"])
