"""A whole trial by two processes of torchrun gives the numbers of one process."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.engines import ranks
from equipoise.errors import EquipoiseError
from equipoise.evaluation.predictions import read_parquet

PROTOCOL = """
[cohort]
source = "phantom"
cases = 60
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
seeds = [0]
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
optimizer = {name = "sgd", lr = 0.05}
"""


def launched(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "equipoise",
    ]
    # a cache of its own: the processes know no openings of the test set by other tests
    cache = tempfile.mkdtemp(prefix="equipoise-ranks-")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), EQUIPOISE_CACHE=cache)
    return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=1800)


@pytest.mark.trial
def test_a_trial_under_torchrun(tmp_path: Path, in_this_process: None) -> None:
    file = tmp_path / "protocol.toml"
    file.write_text(PROTOCOL)
    ended = launched("run", str(file), "--out", str(tmp_path / "two"), "--json")
    assert ended.returncode == 0, ended.stderr
    two = json.loads(ended.stdout)  # said once, by the first process
    one = equipoise.run(file, tmp_path / "one")
    assert json.loads((tmp_path / "two/lock.json").read_text())["processes"] == 2
    job = "jobs/densenet/0-0"
    assert json.loads((tmp_path / "two" / job / "done.json").read_text())["processes"] == 2
    tables = [read_parquet(tmp_path / run / job / "predictions.parquet") for run in ("two", "one")]
    np.testing.assert_allclose(tables[0].scores, tables[1].scores, atol=1e-4)
    found = [results["arms"][0]["endpoints"]["auc"]["estimate"] for results in (two, one)]
    assert found[0] == pytest.approx(found[1], abs=0.02)
    assert two["ledger"] == one["ledger"]


def test_one_process_is_connected_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert ranks.count() == 1
    assert ranks.leads()
    with ranks.joined():
        pass


def test_fewer_gpus_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EquipoiseError, match="2 processes were started on 1 GPUs"), ranks.joined():
        pass
