"""An untrained network answers a few cases; one that cannot is named, and what the machine lacks is not the arm's."""

import numpy as np
import pytest

from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.inference.stand_ins import ANSWERED, stand_ins

NETS = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__(nn.Flatten(), nn.Linear(64 * in_channels, out_channels))

class Mute(Net):
    def forward(self, images):
        if not self.training:
            raise RuntimeError("no answer in evaluation")
        return super().forward(images)

class Narrow(Net):
    def forward(self, images):
        answer = super().forward(images)
        return answer if self.training else answer[:, :1]

class Large(Net):
    def forward(self, images):
        raise MemoryError("no room")
"""
NAMES = tuple("abcdefghij")


@pytest.fixture
def answer(tmp_path):
    (tmp_path / "nets_for_stand_ins.py").write_text(NETS)
    images = np.random.default_rng(0).random((len(NAMES), 1, 8, 8), dtype=np.float32)
    samples = Samples(images, np.arange(len(NAMES)) % 2, NAMES, NAMES)

    def answered(model):
        arm = Arm.model_validate({"name": "net", "model": f"nets_for_stand_ins:{model}"})
        places = (tmp_path / "jobs", tmp_path, tmp_path)
        job = Job(arm, 0, 0, *places, "classification", ("x", "y"), 1, 2, TrainingSection(), {}, "auc")
        return stand_ins((job, samples))

    return answered


def test_the_first_cases_get_rows_of_the_public_table(answer, tmp_path):
    table, planes = answer("Net")
    assert table.case.tolist() == list(NAMES[: ANSWERED[2]])
    assert set(table.split.tolist()) == {"test"}
    np.testing.assert_allclose(table.scores.sum(axis=1), 1)
    assert planes == {}
    assert not (tmp_path / "jobs").exists(), "nothing is written"


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("Mute", ProtocolError, "arm 'net' cannot answer these images in evaluation.*no answer in evaluation"),
        ("Narrow", ProtocolError, "arm 'net': its model answers with 1 scores in evaluation, 2 in training"),
        ("Large", MemoryError, "no room"),
    ],
)
def test_a_network_that_cannot_answer_is_named(answer, model, error, words):
    with pytest.raises(error, match=words):
        answer(model)
