"""Every output is written once with stand-ins before anything is locked: what fails only at the end is told at once."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from equipoise.engines.local import DIED, KILLED, Failure
from equipoise.errors import Interrupted, ProtocolError
from equipoise.report import write_report
from equipoise.trials import rehearsal
from equipoise.trials.plan import plan, read
from equipoise.trials.rehearsal import rehearse
from equipoise.trials.run import run

NETS = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        layers = nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, out_channels)
        super().__init__(*layers)

class Mute(Net):
    def forward(self, images):
        if not self.training:
            raise RuntimeError("no answer in evaluation")
        return super().forward(images)

class Narrow(Net):
    def forward(self, images):
        answer = super().forward(images)
        return answer if self.training else answer[:, :1]
"""
SOURCE = """
import numpy as np
from equipoise.cohorts import Case, Cohort, Image

def discs(path=None, *, task="classification"):
    rng = np.random.default_rng(0)
    images = [Image(rng.normal(k % 2, 1, (1, 12, 12)).astype(np.float32), (1.0, 1.0)) for k in range(60)]
    made = tuple(
        Case(f"c{k:02d}", f"p{k // 2:02d}", (lambda k=k: images[k]), k // 2 % 2,
             attributes={"M/F": "fm"[k // 2 % 3 % 2], "../site": ["", "<b>", "=1+1", "a" * 300][k // 2 % 4]})
        for k in range(60)
    )
    return Cohort("discs", task, made, ("small", "large"), ("grey",), 2)
"""
PROTOCOL = """
[cohort]
source = "source_for_rehearsal:discs"
[split]
fractions = [0.5, 0.2, 0.3]
[endpoints]
subgroups = ["M/F", "../site"]
[training]
epochs = 1
batch_size = 8
seeds = [0, 1, 2]
[[arms]]
name = "net"
model = "nets_for_rehearsal:Net"
[[arms]]
name = "other"
model = "nets_for_rehearsal:{other}"
"""


@pytest.fixture
def protocol(tmp_path):
    (tmp_path / "nets_for_rehearsal.py").write_text(NETS)
    (tmp_path / "source_for_rehearsal.py").write_text(SOURCE)

    def written(other: str = "Net") -> Path:
        """The protocol, whose second arm is this network."""
        (tmp_path / "protocol.toml").write_text(PROTOCOL.format(other=other))
        return tmp_path / "protocol.toml"

    return written


@pytest.mark.long
@pytest.mark.parametrize("other", ["Mute", "Narrow"])
def test_an_arm_that_trains_and_cannot_answer_is_told_before_the_lock(protocol, other, tmp_path, jobs_here):
    with pytest.raises(ProtocolError, match="arm 'other'"):
        run(protocol(other), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_an_output_that_cannot_be_written_is_told_before_the_lock(protocol, tmp_path, jobs_here, monkeypatch):
    def fails(folder, **_):
        raise KeyError("M/F")

    monkeypatch.setattr(rehearsal, "write_report", fails)
    with pytest.raises(ProtocolError, match=r"outputs of this trial cannot be written \(KeyError: 'M/F'\).*subgroups"):
        run(protocol(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Answering:
    """In place of workers: every call ends so."""

    def __init__(self, outcome):
        self.outcome = outcome

    def run(self, _function, requests, _tick):
        return [(number, self.outcome) for number, _ in enumerate(requests)]


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        (
            Failure(KILLED, "the worker was killed"),
            Interrupted,
            "arm 'net': the worker was killed in its first answers",
        ),
        (Failure("MemoryError", "out of memory"), Interrupted, "run the same command again"),
        (Failure(DIED, "the worker crashed"), ProtocolError, "the worker crashed"),
    ],
)
def test_what_the_machine_lacks_is_no_error_of_the_arm(protocol, tmp_path, failure, error, words):
    trial = plan(*read(protocol()), tmp_path / "run")
    with pytest.raises(error, match=words):
        rehearse(trial, Answering(failure), {})


def outputs(folder: Path) -> set[str]:
    """Figures, pages and tables, by their paths."""
    names = {"figures", "tables", "model-cards"}
    files = {str(file.relative_to(folder)) for name in names for file in (folder / name).rglob("*") if file.is_file()}
    return files | {file.name for file in folder.iterdir() if file.is_file()}


LATER = {"attributions.json", "attributions.npz", ".claim", ".equipoise"}
"""Files that need no stand-ins: maps are made after the report, a folder is marked and claimed before."""


def rehearsed(trial, tmp_path, monkeypatch, record) -> Path:
    """The folder of a rehearsal, kept."""
    kept = tmp_path / "rehearsed"

    def keeping(folder, **settings):
        results = write_report(folder, **settings)
        shutil.copytree(folder, kept)
        return results

    from equipoise.engines import local

    monkeypatch.setattr(rehearsal, "write_report", keeping)
    rehearse(replace(trial, out=tmp_path / "new"), local.Workers(1), record)
    return kept


@pytest.mark.trial
@pytest.mark.parametrize("kind", ["classification", "segmentation", "detection"])
def test_all_outputs_of_a_finished_trial_were_rehearsed(kind, request, tmp_path, monkeypatch, jobs_here):
    finished = request.getfixturevalue(f"{kind}_trial")
    lock = json.loads((finished.run / "lock.json").read_text())
    record = {key: lock[key] for key in ("leaks", "unsound_layers", "device", "code") if key in lock}
    kept = rehearsed(plan(*read(finished.protocol), tmp_path), tmp_path, monkeypatch, record)
    rates = {f"figures/{name}" for name in ("gradients.svg", "gradients.csv")}
    missing = outputs(finished.run) - outputs(kept) - LATER - rates
    assert not missing
