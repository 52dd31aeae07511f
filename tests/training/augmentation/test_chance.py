import torch

from equipoise.training.augmentation.chance import Chance


def chance(n=2000, seed=0, **probability):
    return Chance(n, torch.Generator().manual_seed(seed), probability)


def test_numbers_fill_their_range():
    found = chance().uniform("blur", 2.0, 3.0, 4)
    assert found.shape == (2000, 4)
    assert 2 <= float(found.min()) < 2.01
    assert 2.99 < float(found.max()) <= 3


def test_a_step_passes_over_its_share_of_the_images():
    found = chance(noise=0.2).uniform("noise", 0.5, 1.0, 3, neutral=-1.0)
    passed = (found == -1).all(1)
    assert torch.equal(passed, (found == -1).any(1)), "an image is passed over as a whole"
    assert 0.77 < float(passed.float().mean()) < 0.83


def test_a_step_that_always_happens_costs_no_coin():
    certain, unnamed = chance(blur=1.0), chance()
    assert torch.equal(certain.uniform("blur", 0, 1), unnamed.uniform("blur", 0, 1))
    assert certain.seed() == unnamed.seed()


def test_seeds_and_coins_come_from_the_generator():
    assert chance(seed=1).seed() == chance(seed=1).seed() != chance(seed=2).seed()
    assert 0.45 < float(chance().coins().float().mean()) < 0.55
