import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import ProtocolError
from equipoise.protocol import InferenceSection, TrainingSection
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.losses import build
from equipoise.training.tasks.classification import classify, classify_one


class Corner(nn.Module):
    """Says the voxel in the first corner, which another voxel takes in each mirrored copy."""

    def forward(self, x):
        return torch.stack([x.flatten(1)[:, 0], torch.zeros(len(x))], 1)


@pytest.fixture
def learner():
    return Learner(Corner(), None, build("focal"), build("focal"), None, torch.device("cpu"), torch.float32, None)


def job(dims, mirror, model="unet"):
    inference = InferenceSection(mirror=mirror)
    arm = SimpleNamespace(model=SimpleNamespace(name=model))
    training = TrainingSection(batch_size=2)
    return SimpleNamespace(inference=inference, spatial_dims=dims, training=training, arm=arm, members=())


def samples(*shape):
    images = np.random.default_rng(0).normal(size=(5, 1, *shape)).astype(np.float32)
    names = tuple("abcde")
    return Samples(images, np.zeros(5, dtype=np.int64), names, names)


CORNERS = {
    (): [(0, 0)],
    ("horizontal",): [(0, 0), (0, -1)],
    ("vertical",): [(0, 0), (-1, 0)],
    True: [(0, 0), (0, -1), (-1, 0), (-1, -1)],
    False: [(0, 0)],
}


@pytest.mark.parametrize("mirror", CORNERS)
def test_the_answer_is_the_mean_over_mirrored_copies(learner, mirror):
    data = samples(4, 6)
    found = classify(learner, data, job(2, mirror))
    wanted = np.mean([data.images[:, 0, y, x] for y, x in CORNERS[mirror]], axis=0)
    assert found.shape == (5, 2)
    np.testing.assert_allclose(found[:, 0], wanted, atol=1e-6)
    np.testing.assert_allclose(classify_one(learner, data, job(2, mirror)), found[:1], atol=1e-6)


def test_volumes_may_be_mirrored_in_depth(learner):
    data = samples(3, 4, 5)
    found = classify(learner, data, job(3, ("depth",)))
    np.testing.assert_allclose(found[:, 0], (data.images[:, 0, 0, 0, 0] + data.images[:, 0, -1, 0, 0]) / 2, atol=1e-6)


def test_images_in_two_dimensions_have_no_depth(learner):
    with pytest.raises(ProtocolError, match='names "depth"'):
        classify(learner, samples(4, 4), job(2, ("depth",)))


class Sum(nn.Module):
    """Says the sum of the batch."""

    def forward(self, x):
        return x.flatten(1)[:, :2] + x.flatten(1)[:, :1].sum(0)


def test_a_network_of_the_users_own_is_asked_in_an_order_that_no_cohort_chose(learner):
    many = Samples(np.arange(1, 9, dtype=np.float32).reshape(8, 1, 1, 1) * np.ones((1, 1, 2, 2), np.float32),
                   np.repeat([0, 1], 4), tuple("abcdefgh"), tuple("abcdefgh"))  # fmt: skip
    names = sorted(many.cases, key=lambda case: hashlib.sha256(case.encode()).digest())
    asked = [many.cases.index(case) for case in names]
    learner.model = Sum()
    own = classify(learner, many, job(2, (), "nets:Sum"))[:, 0]
    pairs = [asked[i : i + 2] for i in range(0, 8, 2)]
    expected = {case: 1 + case + sum(1 + other for other in pair) for pair in pairs for case in pair}
    assert own.tolist() == [expected[case] for case in range(8)]
    # A built-in network keeps its batches, and so its bits.
    assert classify(learner, many, job(2, ()))[:, 0].tolist() == [4, 5, 10, 11, 16, 17, 22, 23]
