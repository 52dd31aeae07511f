"""A run folder at any moment of a trial, written by hand: what a reader of a running trial meets."""

import json
from pathlib import Path

import pytest

from equipoise.runfolder.ledger import FINISHED, LOCKED, PREDICTED, STARTED, TEST_OPENED, Ledger
from equipoise.runfolder.write import write_rows

PATIENT = "PATIENT-0042"


class Running:
    """Two arms, two seeds, four epochs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        (path / "protocol.toml").write_text("[training]\nepochs = 4\n")
        jobs = [{"arm": arm, "fold": 0, "seed": seed} for seed in (0, 1) for arm in ("unet", "net.2")]
        lock = {
            "schema": 3, "name": "trial", "question": "Which?", "protocol_sha256": "0" * 64, "seeds": [0, 1],
            "cohort": {"name": "c", "task": "classification", "classes": {"x": 1, "y": 1}, "channels": ["grey"]},
            "split": {"scheme": "holdout", "folds": [{"train": [PATIENT], "validation": [], "test": []}]},
            "endpoints": {"primary": "auc", "secondary": [], "looks": [], "margin": 0.03},
            "arms": [{"name": "unet", "model": {"name": "unet", "preset": "tiny"}, "optimizer": {"name": "adam"}},
                     {"name": "net.2", "model": {"name": "unet"}, "optimizer": {"name": "sgd"}}],
            "jobs": jobs,
        }  # fmt: skip
        (path / "lock.json").write_text(json.dumps(lock))
        self.ledger = Ledger(path)
        self.ledger.append(LOCKED)
        self.ledger.append(STARTED, jobs=[])

    def folder(self, arm="unet", seed=0):
        folder = self.path / "jobs" / arm / f"0-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def epochs(self, number, arm="unet", seed=0, each=2.0, writes=True):
        rows = [
            {
                "epoch": n + 1, "train_loss": 1 / (n + 1), "validation_loss": 2 / (n + 1),
                "validation_auc": 0.5 + 0.1 * n, "seconds": each * (n + 1),
            }
            for n in range(number)
        ]  # fmt: skip
        folder = self.folder(arm, seed)
        write_rows(folder / "history.csv", rows)
        if writes:
            (folder / ".writer.json").write_text(json.dumps({"token": "t", "host": "h", "pid": 1}))

    def end(self, arm="unet", seed=0, status="finished"):
        folder = self.folder(arm, seed)
        (folder / ".writer.json").unlink(missing_ok=True)
        reason = f"diverged on case {PATIENT}" if status == "failed" else None
        done = {"status": status, "arm": arm, "fold": 0, "seed": seed, "chosen_epoch": 2, "reason": reason}
        (folder / "done.json").write_text(json.dumps(done))
        self.ledger.append(FINISHED, job=f"{arm}/0-{seed}")

    def judged(self):
        self.ledger.append(TEST_OPENED, jobs=[])
        self.ledger.append(PREDICTED)
        (self.path / "results.json").write_text("{}")


@pytest.fixture
def running(tmp_path):
    return Running(tmp_path / "run")


@pytest.fixture
def held(monkeypatch):
    """Whether a process holds the folder, as the test says."""
    answer = {"held": True}
    monkeypatch.setattr("equipoise.live.state.is_held", lambda _folder: answer["held"])
    return answer
