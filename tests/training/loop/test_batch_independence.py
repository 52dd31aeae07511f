import pytest
import torch
from torch import nn

from equipoise import models
from equipoise.lookup import resolve
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.losses import build
from equipoise.training.loop.batch_independence import BatchDependenceError, batch_dependence, refuse_dependence

IMAGES = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))


def learner(model, precision=torch.float32):
    return Learner(model, None, build("focal"), build("focal"), None, torch.device("cpu"), precision, None)


class Across(nn.Module):
    """Adds a share of the mean over the batch."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, x):
        z = x.flatten(1)[:, :3]
        return z + self.share * z.mean(0)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_small_share_of_the_other_images_shows(count, precision):
    assert "other images beside it" in batch_dependence(
        learner(Across(1e-3), precision), IMAGES[:count], compiled=False
    )
    assert batch_dependence(learner(Across(0.0), precision), IMAGES[:count], compiled=False) is None


@pytest.mark.parametrize("name", ["unet", "densenet", "deeplab"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_built_in_networks_answer_each_image_alone(name, precision):
    torch.manual_seed(0)
    model = resolve(name, models, "model", None)(2, 3, 2, task="classification", preset="tiny")
    model(IMAGES)  # moves the running statistics
    assert batch_dependence(learner(model, precision), IMAGES, compiled=False) is None


def test_normalisation_by_the_batch_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(512, track_running_stats=False), nn.Linear(512, 2))
    with pytest.raises(BatchDependenceError, match="trained model .*with other images .*its own image alone"):
        refuse_dependence(learner(model), IMAGES, compiled=False)


def test_answers_that_are_not_finite_for_some_images_are_compared_by_the_others():
    class Overflowing(nn.Module):
        def forward(self, x):
            return torch.where(x.flatten(1)[:, :2] > 0, torch.inf, x.flatten(1)[:, :2])

    assert batch_dependence(learner(Overflowing()), IMAGES, compiled=False) is None
