"""Predictions of the test cases: what an interrupted opening left is made again."""

from types import SimpleNamespace

from equipoise.runfolder.ledger import PREDICTED
from equipoise.trials.prediction import _remove_unrecorded


def test_predictions_that_no_event_records_are_removed(tmp_path):
    jobs = [SimpleNamespace(name=f"net/0-{seed}", predictions_file=tmp_path / str(seed)) for seed in range(3)]
    for job in jobs[:2]:
        job.predictions_file.write_text("predictions")
    ledger = SimpleNamespace(events=[SimpleNamespace(kind=PREDICTED, data={"sha256": {"net/0-0": "0" * 64}})])
    _remove_unrecorded(jobs, ledger)
    assert [job.predictions_file.exists() for job in jobs] == [True, False, False]
