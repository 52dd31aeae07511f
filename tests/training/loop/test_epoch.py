from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.optimizers import SAM, schedule
from equipoise.training.augmentation import Augmentation
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.losses import balanced_weights, build
from equipoise.training.learner.weight_average import WeightAverage
from equipoise.training.loop import epoch as loop
from equipoise.training.loop.epoch import NotFiniteError, evaluation_weights, recalibrate, train_epoch


def samples(n=48, size=6):
    generator = np.random.default_rng(0)
    names = tuple(f"case{i}" for i in range(n))
    images = generator.normal(size=(n, 1, size, size)).astype(np.float32)
    return Samples(images, np.arange(n) % 2, names, names)


def learner(rule=torch.optim.SGD, loss="cross-entropy", norm=False, clip=None, weight=None):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), *([nn.BatchNorm2d(4)] if norm else []), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)]
    model = nn.Sequential(*layers)
    optimizer = rule(model.parameters(), lr=0.1)
    device = torch.device("cpu")
    return Learner(
        model,
        optimizer,
        build(loss, weight),
        build(loss),
        schedule("constant", optimizer, 9),
        device,
        torch.float32,
        clip,
    )


def trained(feed, **settings):
    made = learner(**settings)
    loss = train_epoch(made, samples(), feed, Augmentation(), ("a",))
    return loss, made


@pytest.mark.parametrize("settings", [{}, {"rule": SAM}, {"loss": "focal"}, {"clip": 0.01}], ids=str)
def test_accumulated_batches_train_as_the_large_batch_does(settings):
    loss, large = trained(Feed(16), **settings)
    other, small = trained(Feed(4, accumulate=4), **settings)
    assert loss == pytest.approx(other, rel=1e-5)
    for a, b in zip(large.model.parameters(), small.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_accumulation_steps_the_schedule_once_an_update():
    _, made = trained(Feed(8, accumulate=3))
    assert made.schedule.last_epoch == 2


@pytest.mark.parametrize("rule", [torch.optim.SGD, SAM])
def test_a_loss_that_is_not_finite_names_the_cases_of_its_own_batch(rule):
    data = samples()
    data.images[11] = np.nan
    made = learner(rule)
    before = [value.clone() for value in made.model.parameters()]
    with pytest.raises(NotFiniteError) as caught:
        train_epoch(made, data, Feed(4, accumulate=12), Augmentation(), ("a",))
    assert "case11" in caught.value.cases
    assert len(caught.value.cases) == 4
    assert all(torch.equal(a, b) for a, b in zip(before, made.model.parameters(), strict=True))


def test_of_patches_too_the_cases_are_named():
    data = samples(n=12, size=8)
    masks = np.zeros((12, 8, 8), np.uint8)
    masks[:, 2:5, 2:5] = 1
    data.images[7, :, 3, 3] = np.nan
    made = learner()
    made.model = nn.Conv2d(1, 2, 1)
    with pytest.raises(NotFiniteError) as caught:
        train_epoch(made, replace(data, targets=masks), Feed(6, (4, 4), 3, 1.0), Augmentation(), ("a",))
    assert "case7" in caught.value.cases
    assert len(set(caught.value.cases)) == len(caught.value.cases) <= 6


def statistics(model):
    return [value for name, value in model.state_dict().items() if "running" in name]


def test_judged_weights_are_the_average_with_statistics_of_their_own():
    made = learner(norm=True)
    made.average = WeightAverage(made.model, 0.9)
    data, feed = samples(), Feed(16)
    train_epoch(made, data, feed, Augmentation(), ("a",))
    trained_on = {name: value.clone() for name, value in made.model.state_dict().items()}
    with evaluation_weights(made, data, feed):
        inside = {name: value.clone() for name, value in made.model.state_dict().items()}
    assert all(torch.equal(inside[name], value) for name, value in made.average.weights.items())
    assert all(torch.equal(value, trained_on[name]) for name, value in made.model.state_dict().items())
    first = torch.from_numpy(data.images)
    maps = nn.functional.conv2d(first, inside["0.weight"], inside["0.bias"])
    torch.testing.assert_close(inside["1.running_mean"], maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_frozen_statistics_stay_as_they_are():
    made = learner(norm=True)
    made.frozen_norm_layers = (made.model[1],)
    before = [value.clone() for value in statistics(made.model)]
    train_epoch(made, samples(), Feed(16), Augmentation(), ("a",))
    recalibrate(made, samples(), Feed(16))
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(made.model), strict=True))


def test_statistics_are_taken_from_enough_cases_and_no_more(monkeypatch):
    made, passed = learner(norm=True), []
    monkeypatch.setattr(loop, "ENOUGH", 20)
    monkeypatch.setattr(Learner, "logits", lambda self, images: passed.append(len(images)))
    recalibrate(made, samples(), Feed(16))
    assert passed == [16, 16]


def test_balanced_weights_and_accumulation_agree_where_the_shares_are_equal():
    weight = balanced_weights(torch.tensor([24, 24]))
    assert trained(Feed(16), weight=weight)[0] == pytest.approx(trained(Feed(16))[0], rel=1e-6)
