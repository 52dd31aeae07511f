import pytest
import torch
from torch.nn import functional

from equipoise.training.losses import balanced_weights, build, dice, focal

NAMES = ["cross-entropy", "dice", "dice-cross-entropy", "focal"]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 5, 6, generator=generator), torch.randint(0, 3, (4, 5, 6), generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_soft_targets_that_are_hard_give_the_same_loss(name, batch):
    logits, target = batch
    soft = functional.one_hot(target, 3).movedim(-1, 1).float()
    torch.testing.assert_close(build(name)(logits, soft), build(name)(logits, target))


@pytest.mark.parametrize("name", NAMES)
def test_better_logits_lose_less(name, batch):
    logits, target = batch
    good = 8 * functional.one_hot(target, 3).movedim(-1, 1).float()
    assert build(name)(good, target) < build(name)(0 * logits, target) < build(name)(-good, target)


def test_dice_by_hand():
    logits = torch.tensor([[20.0, -20.0], [20.0, -20.0], [-20.0, 20.0], [-20.0, 20.0]])
    target = torch.tensor([0, 1, 1, 1])
    # class 0: 1 right of 2 and 1; class 1: 2 right of 2 and 3
    wanted = 1 - ((2 * 1 + 1) / (2 + 1 + 1) + (2 * 2 + 1) / (2 + 3 + 1)) / 2
    assert float(dice()(logits, target)) == pytest.approx(wanted, abs=1e-6)


def test_focal_by_hand():
    logits = torch.log(torch.tensor([[0.8, 0.2], [0.3, 0.7]]))
    wanted = -(0.2**2 * torch.log(torch.tensor(0.8)) + 0.7**2 * torch.log(torch.tensor(0.3))) / 2
    torch.testing.assert_close(focal()(logits, torch.tensor([0, 0])), wanted)


def test_balanced_weights_give_every_class_the_same_say():
    weights = balanced_weights(torch.tensor([0, 0, 0, 1]), 3)
    torch.testing.assert_close(weights, torch.tensor([4 / 9, 4 / 3, 0.0]))
