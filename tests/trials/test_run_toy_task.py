"""A fourth task from one new file beside the protocol: trained, validated, judged and reported without another edit."""

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise import lookup
from equipoise.errors import EquipoiseError, LedgerError, PredictionError, ProtocolError
from equipoise.evaluation.predictions import read_parquet
from equipoise.protocol import Protocol
from equipoise.report import summarise
from equipoise.trials.check import check
from equipoise.trials.plan import read

pytestmark = [pytest.mark.usefixtures("in_this_process"), pytest.mark.trial]

TASK = Path(__file__).with_name("toy_regression.py")
TRIAL = """
[cohort]
source = "toy_regression:discs"
task = "toy_regression:REGRESSION"
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 3
batch_size = 8
select = "primary"
seeds = [0, 1, 2]
[endpoints]
margin = 0.05
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
optimizer = {name = "adam", lr = 1e-2}
[[arms]]
name = "slow"
model = {name = "densenet", preset = "tiny"}
optimizer = {name = "sgd", lr = 1e-6}
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """The protocol with the task's file beside it, its run folder, and its results; nothing else was added."""
    folder = tmp_path_factory.mktemp("regression")
    shutil.copy(TASK, folder)
    (folder / "protocol.toml").write_text(TRIAL)
    results = equipoise.run(folder / "protocol.toml", folder / "run")
    yield folder, folder / "run", results
    sys.modules.pop("toy_regression")
    sys.path.remove(str(folder))


def test_every_job_and_the_trivial_rule_are_judged_by_the_error(trial):
    _, _, results = trial
    assert results["failures"] == []
    assert results["endpoints"]["primary"] == "mean_absolute_error"
    assert results["endpoints"]["higher_is_better"] is False
    fast, slow = (arm["endpoints"]["mean_absolute_error"] for arm in results["arms"])
    assert fast["low"] <= fast["estimate"] <= fast["high"]
    rule = results["baselines"][0]["endpoints"]["mean_absolute_error"]["estimate"]
    assert 0.15 < rule < 0.35  # the mean of a uniform number between 0.4 and 1.4 is wrong by a quarter on average
    assert fast["estimate"] < rule < slow["estimate"]
    (pair,) = results["comparisons"]
    assert (pair["a"], pair["b"], pair["verdict"]) == ("densenet", "slow", "a_better")
    assert pair["difference"] == pytest.approx(fast["estimate"] - slow["estimate"])


def test_the_numbers_are_those_of_the_predictions(trial):
    _, run, results = trial
    for arm in results["arms"]:
        tables = [read_parquet(run / "jobs" / arm["name"] / f"0-{seed}" / "predictions.parquet") for seed in range(3)]
        values = [table.metrics["mean_absolute_error"][table.split == "test"].mean() for table in tables]
        assert arm["endpoints"]["mean_absolute_error"]["estimate"] == pytest.approx(np.mean(values))
    history = (run / "jobs" / "densenet" / "0-0" / "history.csv").read_text().splitlines()
    assert "validation_mean_absolute_error" in history[0]
    assert len(history) == 4


def test_the_page_states_the_error_with_its_interval_and_a_verdict(trial):
    _, run, results = trial
    page = (run / "report.html").read_text()
    estimate = results["arms"][0]["endpoints"]["mean_absolute_error"]
    assert "mean absolute error" in page
    assert f"{estimate['estimate']:.3f}" in page
    assert f"{estimate['low']:.3f} to {estimate['high']:.3f}" in page
    assert "is better" in page
    assert "outline" not in re.sub(r"(?s)<(style|script)\b.*?</\1>", "", page)
    assert page.count("data:image/png") >= 6, "example cases, the worst first"


def test_small_and_large_numbers_are_in_every_part(trial):
    _, run, _ = trial
    lock = json.loads((run / "lock.json").read_text())
    assert lock["cohort"]["classes"] == {}
    head, *lines = (run / "cases.csv").read_text().splitlines()
    assert head == "case,patient,label,part_0", "a truth that is a number is shown where the protocol names it"
    rows, discs = [line.split(",") for line in lines], read(run.parent / "protocol.toml")[1].cases
    for part in ("train", "validation", "test"):
        values = [case.attributes["diameter_cm"] for row, case in zip(rows, discs, strict=True) if row[3] == part]
        assert min(values) < 0.65
        assert max(values) > 1.15


def test_the_source_of_the_task_is_part_of_the_record(trial, tmp_path, monkeypatch):
    folder, run, results = trial
    lock = json.loads((run / "lock.json").read_text())
    assert lock["code"]["toy_regression:REGRESSION"] == hashlib.sha256(TASK.read_bytes()).hexdigest()
    assert summarise(run)["comparisons"] == results["comparisons"]
    file = folder / "toy_regression.py"
    try:
        file.write_text(TASK.read_text() + "\n# another number\n")
        with pytest.raises(EquipoiseError, match=r"was changed after this process had loaded it"):
            equipoise.run(folder / "protocol.toml", run)
        for loaded in (sys.modules, lookup._IMPORTED):  # as in a new process
            monkeypatch.delitem(loaded, "toy_regression")
        with pytest.raises(LedgerError, match=r"toy_regression\.py .*has changed since .* was locked"):
            equipoise.run(folder / "protocol.toml", run)
        with pytest.raises(PredictionError, match="is not the one that was locked"):
            summarise(run)
    finally:
        shutil.copy(TASK, folder)


def test_the_check_says_that_nothing_can_be_planned(trial):
    folder, _, _ = trial
    checked = check(folder / "protocol.toml")
    assert checked.may_run
    assert "not known before one has been trained" in checked.unplanned
    assert checked.page()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('"toy_regression:REGRESSION"', '"toy_regression:REGRESION"'), "has no 'REGRESION'; did you mean"),
        (('"toy_regression:REGRESSION"', '"toy_regression:MAE"'), "is a Endpoint; it must be an equipoise.tasks.Task"),
        (
            ('"toy_regression:REGRESSION"', '"elsewhere_regression:TASK"'),
            "elsewhere_regression is missing; put it beside the protocol",
        ),
        (("epochs = 3", 'loss = "dice"'), "'dice' is not for regression; choose \"toy_regression:absolute_error\""),
        (("epochs = 3", "mixup = 0.2"), "regression has none; remove it"),
        (("epochs = 3", 'sampling = "balanced"'), "regression has none; remove it"),
        (("epochs = 3", 'class_weights = "balanced"'), "weighs classes, and regression has none"),
        (("epochs = 3", "patch = 8"), "need masks; remove them in regression"),
    ],
)
def test_what_does_not_fit_the_task_is_told_in_one_sentence(trial, change, sentence):
    folder, _, _ = trial
    text = TRIAL.replace(*change)
    assert text != TRIAL
    with pytest.raises(ProtocolError) as caught:
        Protocol.parse(text, "p.toml", folder)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endpoint_of_another_task_is_unknown(trial, tmp_path):
    folder, _, _ = trial
    protocol = Protocol.parse(TRIAL.replace("margin = 0.05", 'primary = "auc"'), "p.toml", folder)
    with pytest.raises(ProtocolError, match="'auc' is unknown in regression; allowed: mean_absolute_error"):
        equipoise.run(protocol, tmp_path)
