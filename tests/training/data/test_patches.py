import numpy as np
import torch

from equipoise.training.data.patches import PatchSampler
from equipoise.training.data.samples import Samples


def samples(shape=(20, 30, 25), lesion=(slice(15, 18), slice(2, 5), slice(20, 23)), soft=False):
    target = np.zeros(shape, np.uint8)
    target[lesion] = 1
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape) + 1
    if soft:
        target = np.stack([1 - target, target]).astype(np.float32)
    return Samples(image[None], target[None], ("a",), ("p",))


def test_a_patch_is_a_piece_of_the_image_and_the_target_the_same_piece():
    found = samples()
    sampler = PatchSampler((8, 8, 8), 0.5)
    draws = torch.Generator().manual_seed(0)
    for _ in range(50):
        image, target = sampler.cut(found, 0, draws)
        at = np.unravel_index(int(image[0, 0, 0, 0]) - 1, (20, 30, 25))
        inside = tuple(slice(a, a + 8) for a in at)
        assert np.array_equal(image[0], found.images[0, 0][inside])
        assert np.array_equal(target, found.targets[0][inside])


def test_the_asked_share_of_patches_holds_foreground():
    found = samples()
    draws = torch.Generator().manual_seed(1)
    always = PatchSampler((8, 8, 8), 1.0)
    assert all(always.cut(found, 0, draws)[1].any() for _ in range(50))
    never = PatchSampler((8, 8, 8), 0.0)
    assert sum(never.cut(found, 0, draws)[1].any() for _ in range(200)) < 100


def test_a_small_image_lies_in_the_middle_of_its_patch():
    found = samples((6, 30, 25), (slice(2, 4), slice(5, 9), slice(5, 9)))
    image, target = PatchSampler((10, 8, 8), 1.0).cut(found, 0, torch.Generator().manual_seed(0))
    assert image.shape == (1, 10, 8, 8)
    assert (image[0, :2] == 0).all()
    assert (image[0, 8:] == 0).all()
    assert (image[0, 2:8] > 0).all()
    assert target.any()


def test_soft_targets_sum_to_one_beyond_the_image_too():
    found = samples((6, 30, 25), (slice(2, 4), slice(5, 9), slice(5, 9)), soft=True)
    _, target = PatchSampler((10, 8, 8), 1.0).cut(found, 0, torch.Generator().manual_seed(0))
    assert np.allclose(target.sum(axis=0), 1)


def test_an_image_without_foreground_still_gives_patches():
    found = samples(lesion=(slice(0, 0),) * 3)
    _, target = PatchSampler((8, 8, 8), 1.0).cut(found, 0, torch.Generator().manual_seed(0))
    assert not target.any()


def test_the_same_draws_give_the_same_patch():
    found = samples()
    one, two = (PatchSampler((8, 8, 8), 0.5).cut(found, 0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
