import numpy as np
import pytest
import torch
from torch import nn

from equipoise.training.learner.weight_average import EpochAverage, WeightAverage


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def walk(model, average, steps, seed=0):
    """Move the weights at random and return the average by its formula, in float64."""
    generator = np.random.default_rng(seed)
    wanted = {name: value.detach().double().numpy().copy() for name, value in average.weights.items()}
    for step in range(1, steps + 1):
        decay = min(average.decay, (1 + step) / (10 + step))
        for name, value in model.named_parameters():
            with torch.no_grad():
                value.add_(torch.from_numpy(generator.normal(0, 0.1, value.shape)).float())
            wanted[name] = decay * wanted[name] + (1 - decay) * value.detach().double().numpy()
        average.update(model)
    return wanted


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_follows_its_formula(model, decay):
    average = WeightAverage(model, decay)
    wanted = walk(model, average, 30)
    for name, value in average.weights.items():
        np.testing.assert_allclose(value.numpy(), wanted[name], atol=1e-6)


def test_the_weights_of_training_and_their_statistics_come_back(model):
    average = WeightAverage(model, 0.9)
    walk(model, average, 5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with average.in_place(model):
        assert all(torch.equal(dict(model.named_parameters())[n], v) for n, v in average.weights.items())
        model.train()
        model(torch.randn(6, 3))  # statistics move inside the block
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_restored_average_goes_on_as_before(model):
    average = WeightAverage(model, 0.9)
    walk(model, average, 4)
    other = WeightAverage(model, 0.9)
    other.load_state_dict(average.state_dict())
    other.update(model)
    average.update(model)
    assert all(torch.equal(value, average.weights[name]) for name, value in other.weights.items())


def test_frozen_weights_are_left_out(model):
    model[0].weight.requires_grad_(False)
    assert "0.weight" not in WeightAverage(model, 0.9).weights


def test_the_last_epochs_are_averaged_with_equal_weights(model):
    average, ends = EpochAverage(model, 2), []
    for epoch in range(5):
        with torch.no_grad():
            for value in model.parameters():
                value.add_(torch.randn_like(value))
        average.update(model)
        assert average.ready == (epoch > 2)
        average.end_epoch(model, epoch)
        ends.append({name: value.detach().clone() for name, value in model.named_parameters()})
    for name, value in average.weights.items():
        torch.testing.assert_close(value, torch.stack([end[name] for end in ends[2:]]).mean(0))


def test_a_restored_average_of_epochs_goes_on_as_before(model):
    average, other = EpochAverage(model, 0), EpochAverage(model, 0)
    average.end_epoch(model, 0)
    other.load_state_dict(average.state_dict())
    with torch.no_grad():
        model[0].weight.add_(1)
    for each in (average, other):
        each.end_epoch(model, 1)
    assert all(torch.equal(value, average.weights[name]) for name, value in other.weights.items())
