"""A trial that looks at its result at three seeds and at five: what it trains, opens, records and reports."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.evaluation.predictions import read_parquet
from equipoise.report import write_report
from equipoise.runfolder import registry_file
from equipoise.runfolder.ledger import Ledger

PROTOCOL = """
[trial]
name = "looks"
[cohort]
source = "phantom"
cases = 160
size = 12
[split]
fractions = [0.5, 0.15, 0.35]
[training]
epochs = 1
seeds = [0, 1, 2, 3, 4]
[[arms]]
name = "one"
model = "nets_for_looks:Net"
optimizer = {name = "sgd", lr = 0.1}
[[arms]]
name = "other"
model = "nets_for_looks:Net"
optimizer = {name = "sgd", lr = 0.05}
[endpoints]
secondary = []
looks = [3, 5]
margin = MARGIN
"""
# It begins as a measure of brightness, which tells the classes, with noise: runs agree, but are not equal.
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, out_channels))
        nn.init.normal_(self[0].weight, 0.1, 0.1)
        for row, mean in zip(self[-1].weight, (-1.0, 1.0), strict=True):
            nn.init.normal_(row, mean, 0.3)
"""

pytestmark = [pytest.mark.usefixtures("in_this_process"), pytest.mark.trial]


@pytest.fixture(scope="module")
def protocols(tmp_path_factory):
    """Protocols by their margin: 0.9 is decided at the first look, 0.0001 never."""
    folder = tmp_path_factory.mktemp("looks")
    (folder / "nets_for_looks.py").write_text(NET)

    def write(margin: str) -> Path:
        file = folder / f"{margin}.toml"
        file.write_text(PROTOCOL.replace("MARGIN", margin))
        return file

    return write


@pytest.fixture(scope="module")
def stopped(protocols, in_this_process, tmp_path_factory):
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        # No plan may have this margin any more; it makes the first look decide, whatever the networks learn.
        patch.setattr("equipoise.trials.plan.refuse_wide_margin", lambda *_: None)
        # Two margins of one question: each trial is the first on a machine of its own.
        patch.setattr(registry_file, "cache_folder", lambda: out.parent / "cache")
        return out, equipoise.run(protocols("0.9"), out)


@pytest.fixture(scope="module")
def beside_the_jobs():
    """The test images that lie in the run folder of `whole`, each time that its jobs begin to train."""
    return []


@pytest.fixture(scope="module")
def whole(protocols, in_this_process, tmp_path_factory, beside_the_jobs):
    from equipoise.trials import run as trial

    def train(part, *rest):
        beside_the_jobs.append(sorted(str(p.relative_to(part.out)) for p in part.out.glob("samples/*/test")))
        return real(part, *rest)

    real = trial._train
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "_train", train)
        patch.setattr(registry_file, "cache_folder", lambda: out.parent / "cache")
        return out, equipoise.run(protocols("0.0001"), out)


def kinds(folder):
    return [(event.kind, event.data.get("look")) for event in Ledger(folder).events if "look" in event.data]


def test_a_trial_decided_at_the_first_look_stops_there(stopped):
    folder, results = stopped
    assert kinds(folder) == [("test opened", 3), ("looked", 3)]
    assert sorted(path.name for path in (folder / "jobs" / "one").iterdir()) == ["0-0", "0-1", "0-2"]
    assert results["arms"][0]["seeds"] == [0, 1, 2]
    assert results["comparisons"][0]["verdict"] == "equivalent"
    assert results["failures"] == [], "seeds that were not asked for are no failures"
    assert not results["exploratory"]
    first, last = results["looks"]
    assert first["level"] == pytest.approx(0.0114, abs=1e-4)
    assert first["comparisons"][0]["verdict"] == "equivalent"
    assert last["comparisons"] is None
    page = (folder / "report.html").read_text()
    assert "Stopped as planned at the look at 3 of 5 training runs" in page
    assert "<strong>Exploratory</strong>" not in page


def test_an_undecided_trial_trains_the_other_seeds_and_looks_again(whole):
    folder, results = whole
    assert kinds(folder) == [("test opened", 3), ("looked", 3), ("test opened", 5)]
    assert results["ledger"] == {"test_openings": 2, "unplanned_openings": 0, "verified": True}
    assert not results["exploratory"], "both openings were planned"
    assert results["arms"][0]["seeds"] == [0, 1, 2, 3, 4]
    first, last = results["looks"]
    assert first["comparisons"][0]["verdict"] == "not_enough_data"
    assert last["level"] == pytest.approx(0.0457, abs=1e-4)
    pair = results["comparisons"][0]
    assert last["comparisons"][0]["difference"] == pair["difference"] != first["comparisons"][0]["difference"]
    page = (folder / "report.html").read_text()
    assert "1 comparison remained undecided at the level 0.0114, so all 5 were trained" in page.replace("\u00a0", " ")
    assert "at the planned looks at 3 and 5 training runs" in page
    assert "at two-sided levels of 0.0114 and 0.0457 (alpha spending" in page


def test_no_test_image_lies_beside_the_jobs_of_the_second_look(whole, beside_the_jobs):
    assert beside_the_jobs == [[], []]


def test_the_first_look_of_a_whole_trial_is_that_of_a_stopped_one(stopped, whole):
    """Another margin moves no prediction: the first three seeds do not know whether more will follow."""
    for seed in range(3):
        tables = [
            read_parquet(run[0] / "jobs" / "one" / f"0-{seed}" / "predictions.parquet") for run in (stopped, whole)
        ]
        np.testing.assert_array_equal(tables[0].scores, tables[1].scores)
    shown = [run[1]["looks"][0]["comparisons"][0]["p"] for run in (stopped, whole)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("run", ["stopped", "whole"])
def test_the_same_command_changes_nothing(request, run, protocols):
    folder, results = request.getfixturevalue(run)
    before = (folder / "ledger.jsonl").read_bytes()
    assert equipoise.run(protocols("0.9" if run == "stopped" else "0.0001"), folder) == results
    assert (folder / "ledger.jsonl").read_bytes() == before


def test_a_look_taken_twice_is_unplanned_and_exploratory(whole, protocols, tmp_path):
    folder = Path(shutil.copytree(whole[0], tmp_path / "run"))
    (folder / "jobs" / "one" / "0-1" / "predictions.parquet").unlink()
    results = equipoise.run(protocols("0.0001"), folder)
    assert results["ledger"] == {"test_openings": 3, "unplanned_openings": 1, "verified": True}
    assert results["exploratory"]
    first_line = (folder / "report.html").read_text().partition("<header>")[2].partition("<h1>")[0]
    assert "opened 3 times, 1 of them unplanned" in first_line


def test_a_stop_between_the_looks_goes_on_there(whole, protocols, tmp_path):
    """As `kill -9` leaves it while the later seeds are trained: their results are not yet a look."""
    folder = Path(shutil.copytree(whole[0], tmp_path / "run"))
    lines = (folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if json.loads(line)["data"].get("look") == 5)
    (folder / "ledger.jsonl").write_text("".join(lines[:end]))
    for arm in ("one", "other"):
        for seed in (3, 4):
            (folder / "jobs" / arm / f"0-{seed}" / "predictions.parquet").unlink()
    halfway = write_report(folder)
    assert halfway["arms"][0]["seeds"] == [0, 1, 2]
    assert halfway["failures"] == []
    again = equipoise.run(protocols("0.0001"), folder)
    assert again["comparisons"] == whole[1]["comparisons"]
    assert again["ledger"] == whole[1]["ledger"]


def test_a_changed_plan_of_looks_is_another_protocol(whole, protocols):
    text = protocols("0.0001").read_text().replace("looks = [3, 5]", "looks = [4, 5]")
    changed = equipoise.Protocol.parse(text, folder=protocols("0.0001").parent)
    with pytest.raises(equipoise.errors.LedgerError, match="belongs to another protocol"):
        equipoise.run(changed, whole[0])


def test_shared_seeds_share_weights_and_order_and_are_crossed(protocols, tmp_path):
    """The same optimizer in both arms: with shared seeds they are one and the same, without they are not."""
    text = protocols("0.01").read_text().replace("looks = [3, 5]", "")
    equal = text.replace("lr = 0.05", "lr = 0.1")
    scores, pairs = {}, {}
    for name, plan in (("apart", equal), ("equal", _shared(equal)), ("shared", _shared(text))):
        protocol = equipoise.Protocol.parse(plan, folder=protocols("0.01").parent)
        (pairs[name],) = equipoise.run(protocol, tmp_path / name)["comparisons"]
        places = [tmp_path / name / "jobs" / arm / "0-4" / "predictions.parquet" for arm in ("one", "other")]
        scores[name] = [read_parquet(place).scores for place in places]
    np.testing.assert_array_equal(*scores["equal"])
    assert not np.array_equal(*scores["apart"])
    assert pairs["equal"]["verdict"] == "refused", "equal arms leave nothing to judge by"
    assert pairs["apart"]["method"].startswith("Welch")
    assert pairs["shared"]["method"].startswith("crossed")
    assert "readers crossed with arms, whose runs shared their seeds" in (tmp_path / "shared/report.html").read_text()


def _shared(text: str) -> str:
    return text.replace("epochs = 1", "epochs = 1\nshared_seeds = true")
