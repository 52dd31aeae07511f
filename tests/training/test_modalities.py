import math

import pytest
import torch
from torch import Tensor, nn

from equipoise.errors import EquipoiseError
from equipoise.models import DenseNet, LateFusion
from equipoise.training.modalities import ALL, cost_of_missing, hidden, modality_channels


def _images(n: int = 64, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Two modalities: the first tells the classes apart, the second is noise."""
    truth = torch.arange(n) % 2
    images = torch.randn(n, 2, 16, 16, generator=torch.Generator().manual_seed(seed))
    images[truth == 1, 0] += 1.5
    return images, truth


def _trained(**settings: object) -> LateFusion:
    images, truth = _images()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LateFusion(2, 2, 2, preset="tiny", normalization="group", **settings)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), truth).backward()
            optimizer.step()
    return model.eval()


@pytest.mark.parametrize("fusion", ["mean", "attention"])
def test_the_modality_that_tells_the_classes_apart_is_the_one_that_costs(fusion: str) -> None:
    model, (images, truth) = (
        _trained(fusion=fusion, modality_dropout=0.3),
        _images(seed=2),
    )  # others than it learnt by heart

    def accuracy(some: Tensor, cases: Tensor) -> float:
        with torch.inference_mode():
            return float((model(some).argmax(1) == truth[cases]).float().mean())

    cost = cost_of_missing(accuracy, images, modality_channels(model), ["telling", "noise"])
    assert list(cost) == [ALL, "telling", "noise"]
    assert cost[ALL] > 0.9
    assert cost["noise"] > 0.9
    assert cost["telling"] < 0.8


def test_modalities_are_the_channels_of_each_encoder() -> None:
    assert modality_channels(LateFusion(4, 2, 2, preset="tiny", modalities=[1, 2, 1])) == [(0,), (1, 2), (3,)]
    assert modality_channels(DenseNet(4, 2, 2, preset="tiny")) is None


def test_hiding_leaves_the_images_alone() -> None:
    images, _ = _images(2)
    without = hidden(images, [1])
    assert without[:, 1].isnan().all()
    assert torch.equal(without[:, 0], images[:, 0])
    assert images.isfinite().all()


def test_cases_with_nothing_left_do_not_enter() -> None:
    images, _ = _images(4)
    images[1, 1] = math.nan
    seen: list[list[int]] = []
    cost = cost_of_missing(lambda some, cases: seen.append(cases.tolist()) or len(some), images, [(0,), (1,)], "ab")
    assert seen == [[0, 1, 2, 3], [0, 2, 3], [0, 1, 2, 3]]
    assert (cost["a"], cost["b"]) == (3, 4)
    images[:, 1] = math.nan
    assert math.isnan(cost_of_missing(lambda some, cases: len(some), images, [(0,), (1,)], "ab")["a"])


def test_names_and_modalities_must_be_as_many() -> None:
    with pytest.raises(EquipoiseError, match="2 modalities have 1 names"):
        cost_of_missing(lambda some, cases: 0.0, _images(2)[0], [(0,), (1,)], ["a"])
