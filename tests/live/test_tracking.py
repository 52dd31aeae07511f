"""Curves are copied elsewhere: nothing of patients, nothing twice, and no failure reaches the trial."""

import logging
import types
from typing import ClassVar

import pytest

from equipoise.errors import EquipoiseError
from equipoise.live import trackers
from equipoise.live.tracking import KINDS, Tracking

from .conftest import PATIENT


class Recorder:
    def __init__(self):
        self.rows, self.ends, self.closed = [], [], 0

    def epochs(self, job, rows):
        self.rows += [(job.name, epoch, values) for epoch, values in rows]

    def end(self, job):
        self.ends.append((job.name, job.status))

    def close(self):
        self.closed += 1


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setitem(KINDS, "tensorboard", lambda _folder, _place: recorder)
    return recorder


def test_new_epochs_are_copied_once_and_ends_too(running, held, recorder):
    tracking = Tracking(running.path, ["tensorboard"])
    running.epochs(1)
    tracking.look()
    running.epochs(3)
    tracking.look()
    running.end(status="failed")
    tracking.look()
    tracking.close()
    assert [(name, epoch) for name, epoch, _ in recorder.rows] == [("unet/0-0", n) for n in (1, 2, 3)]
    assert recorder.rows[-1][2] == {"train_loss": 1 / 3, "validation_loss": 2 / 3, "validation_auc": 0.7}
    assert recorder.ends == [("unet/0-0", "failed")]
    assert recorder.closed == 1
    assert PATIENT not in str(recorder.rows) + str(recorder.ends)


def test_a_failure_is_told_once_and_the_trial_goes_on(running, held, recorder, caplog):
    recorder.epochs = lambda *_: 1 / 0
    tracking = Tracking(running.path, ["tensorboard"])
    running.epochs(1)
    with caplog.at_level(logging.WARNING, "equipoise"):
        tracking.start()
        tracking.close()
        tracking.look()
    assert [record.message for record in caplog.records] == [
        "tensorboard accepts no more curves (ZeroDivisionError: division by zero); the trial continues without it"
    ]


def test_names_of_trackers_and_missing_packages(running, monkeypatch):
    with pytest.raises(EquipoiseError, match="did you mean 'tensorboard'"):
        Tracking(running.path, ["tensorbord"])

    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(trackers, "import_module", missing)
    for kind in ("tensorboard", "mlflow"):
        with pytest.raises(EquipoiseError, match=r"equipoise\[tracking\]"):
            Tracking(running.path, [kind])


class Writer:
    made: ClassVar[list["Writer"]] = []

    def __init__(self, logdir, purge_step, **_):
        self.logdir, self.purge_step, self.scalars, self.open = logdir, purge_step, [], True
        Writer.made.append(self)

    def add_scalar(self, *row):
        self.scalars.append(row)

    def flush(self):
        pass

    def close(self):
        self.open = False


def test_tensorboard_gets_one_folder_per_job(running, held, monkeypatch, tmp_path):
    Writer.made = []
    monkeypatch.setattr(trackers, "import_module", lambda _name: types.SimpleNamespace(SummaryWriter=Writer))
    tracking = Tracking(running.path, [f"tensorboard={tmp_path / 'tb'}"])
    running.epochs(2)
    running.epochs(1, seed=1)
    tracking.look()
    running.end()
    tracking.close()
    first, second = Writer.made
    assert first.logdir == str(tmp_path / "tb" / "unet" / "0-0")
    assert ("validation_auc", 0.6, 2) in first.scalars
    assert first.purge_step == 1
    assert not first.open
    assert not second.open
    assert trackers.tensorboard_tracker(running.path, None)._place == tmp_path / "run-tensorboard"


def test_real_event_files_of_tensorboard(running, held, tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra [tracking] is not installed")
    tracking = Tracking(running.path, [f"tensorboard={tmp_path / 'tb'}"])
    running.epochs(2)
    tracking.close()
    files = list((tmp_path / "tb" / "unet" / "0-0").glob("events*"))
    assert len(files) == 1
    assert b"validation_auc" in files[0].read_bytes()


@pytest.mark.long
def test_real_runs_of_mlflow_go_on_after_a_resume(running, held, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="the extra [tracking] is not installed")
    uri = (tmp_path / "ml").as_uri()
    running.epochs(2)
    Tracking(running.path, [f"mlflow={uri}"]).close()
    running.epochs(3)
    running.end()
    Tracking(running.path, [f"mlflow={uri}"]).close()
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("trial")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "arm": "unet", "fold": "0", "seed": "0", "model": "unet", "model.preset": "tiny", "optimizer": "adam",
    }  # fmt: skip
    assert [one.step for one in client.get_metric_history(run.info.run_id, "validation_auc")] == [1, 2, 3]
