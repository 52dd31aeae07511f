"""The opening of the test set and the predictions of a job, on phantoms and a network with drawn weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from equipoise.cohorts.splits.split import split
from equipoise.evaluation.predictions import read_parquet
from equipoise.preprocessing import Pipeline
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import PREDICTIONS, THUMBNAILS, baseline_folder, samples_folder
from equipoise.runfolder.predicted_jobs import digest_of
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.data.samples import Samples
from equipoise.training.inference import inference
from equipoise.training.inference.inference import predict_job
from equipoise.training.inference.test_opening import open_test
from equipoise.training.loop.train import build_learner

ARM = Arm.model_validate({"name": "net", "model": {"name": "unet", "preset": "tiny"}})


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cohort = phantom(cases=40, size=16)
    (fold,) = split(cohort, fractions=(0.5, 0.2, 0.3))
    open_test(cohort, (fold,), Pipeline(), folder)
    return folder, cohort, fold


def test_the_opening_prepares_what_is_held_out_and_writes_the_baselines(opened):
    folder, cohort, fold = opened
    for part in ("validation", "test"):
        prepared = Samples.load(samples_folder(folder, 0) / part)
        assert list(prepared.cases) == [cohort.cases[index].id for index in fold.part(part)]
    for rule in ("majority-class", "size-rule"):
        place = baseline_folder(folder, rule, 0)
        assert json.loads((place / "done.json").read_text())["status"] == "finished"
        assert set(read_parquet(place / PREDICTIONS).case) >= {cohort.cases[index].id for index in fold.test}
    assert len(np.load(folder / THUMBNAILS).files) == len(fold.test)


def test_a_job_predicts_what_its_weights_say_and_only_once(opened, monkeypatch):
    folder, cohort, fold = opened
    places = (folder / "jobs" / "net" / "0-0", samples_folder(folder, 0), folder)
    job = Job(ARM, 0, 0, *places, "classification", cohort.classes, 1, 2, TrainingSection(), {}, "auc")
    torch.manual_seed(3)
    model = build_learner(job, torch.device("cpu"), Samples.load(job.samples / "validation")).model
    job.weights_file.parent.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, job.weights_file)
    kept = []
    monkeypatch.setattr(inference, "remember", lambda of, table: kept.append((table, of.predictions_file.exists())))
    table = read_parquet(predict_job(job))
    ((before, is_written),) = kept
    assert not is_written, "what can be read is remembered before"
    assert digest_of({job.name: before}) == digest_of({job.name: table})
    test = Samples.load(job.samples / "test")
    with torch.no_grad():
        expected = torch.softmax(model.eval()(torch.from_numpy(np.array(test.images))), 1)
    rows = [row for row, part in enumerate(table.split) if part == "test"]
    assert len(rows) == len(fold.test)
    np.testing.assert_allclose(table.scores[rows], expected, atol=1e-5)
    job.weights_file.unlink()
    assert read_parquet(predict_job(replace(job))).case.tolist() == table.case.tolist()
