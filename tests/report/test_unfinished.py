"""A report and an advice on a trial that is under way: how far it is, and no verdict."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import cli
from equipoise.report import read_folder, write_report
from equipoise.report.results.unfinished import unfinished
from equipoise.report.text.unfinished import so_far
from equipoise.runfolder.ledger import LOCKED, Ledger

PROGRESS = {"jobs": 6, "ended": 1, "epochs": 1300, "validation": {"unet": 0.8765, "net": None}}
PLAN = {"cohort": {"classes": {"x": 1, "y": 2}}, "endpoints": {"primary": "auc"}, "unfinished": PROGRESS}


def test_the_sentences():
    first, second = so_far(PLAN)
    assert first.startswith("Unfinished: 1 of 6 training runs has ended (1,300 epochs so far). The test set has not")
    assert second.startswith("Validation AUC so far, mean over the latest epoch of each run: unet 0.876")
    assert "net " not in second.partition("unet 0.876")[2].partition(".")[0]
    nothing = {**PLAN, "unfinished": {**PROGRESS, "validation": {"unet": None}}}
    assert so_far(nothing)[1] == "No epoch has ended yet."


@pytest.fixture
def under_way(make_folder):
    """A run folder before its test set was opened."""
    folder = make_folder()
    for name in ("baselines",):
        for file in (folder / name).rglob("*.parquet"):
            file.unlink()
    for file in (folder / "jobs").rglob("predictions.parquet"):
        file.unlink()
    (folder / "ledger.jsonl").unlink()
    Ledger(folder).append(LOCKED)
    next((folder / "jobs").rglob("done.json")).unlink()
    return folder


@pytest.mark.long
def test_report_and_advice_say_that_it_is_unfinished(under_way, capsys):
    results = write_report(under_way)
    assert results["unfinished"]["ended"] == results["unfinished"]["jobs"] - 1
    assert all(pair["verdict"] in ("refused", "single_run") for pair in results["comparisons"])
    page = (under_way / "report.html").read_text()
    assert "How far has this trial progressed?" in page
    assert 'id="figure-learning"' in page
    assert page.count('id="figure-learning"') == 1
    assert 'id="endpoints"' not in page
    assert cli.main(["advise", str(under_way), "--json"]) == 0
    advice = json.loads(capsys.readouterr().out)
    assert advice["arm"] is None
    assert advice["next"] is None
    assert "has not been opened" in advice["reason"]
    assert not Ledger(under_way).count("test opened")


@pytest.mark.long
def test_an_ended_trial_is_not_unfinished(make_folder):
    assert unfinished(read_folder(make_folder())) is None


def test_progress_is_read_from_the_jobs():
    jobs = [
        SimpleNamespace(
            arm="a", done={"status": "finished"}, history={"epoch": np.arange(2), "validation_auc": [0.5, 0.7]}
        ),
        SimpleNamespace(arm="a", done={}, history={"epoch": np.arange(1), "validation_auc": np.array([0.9])}),
        SimpleNamespace(arm="b", done={}, history={}),
    ]
    ledger = SimpleNamespace(test_openings=0, events=2)
    run = SimpleNamespace(
        sources=(), ledger=ledger, jobs=jobs, lock={"endpoints": {"primary": "auc"}}, arms=lambda: ["a", "b"]
    )
    progress = {"jobs": 3, "ended": 1, "epochs": 3, "validation": {"a": pytest.approx(0.8), "b": None}}
    assert unfinished(run) == progress
    ledger.test_openings = 1
    assert unfinished(run) is None
