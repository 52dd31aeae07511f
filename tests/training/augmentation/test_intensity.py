import pytest
import torch

from equipoise.training.augmentation.intensity import apply_gamma, shift_and_stretch


def images(shape=(3, 2, 6, 7)):
    return 40 * torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 10


def test_contrast_multiplies_the_spread_and_keeps_the_mean():
    x, factors = images(), torch.tensor([0.5, 1.0, 2.0])
    found = shift_and_stretch(x, factors, None)
    torch.testing.assert_close(found.mean((2, 3)), x.mean((2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std((2, 3)), x.std((2, 3)) * factors[:, None])
    assert torch.equal(found[1], x[1])


def test_brightness_adds_standard_deviations_of_the_channel():
    x, offsets = images(), torch.tensor([0.5, 0.0, -1.0])
    found = shift_and_stretch(x, None, offsets)
    step = x.std((2, 3), correction=0, keepdim=True) * offsets.view(3, 1, 1, 1)
    torch.testing.assert_close(found, x + step, atol=1e-4, rtol=0)
    assert torch.equal(found[1], x[1])


def test_gamma_bends_between_the_channels_own_ends():
    x, exponents = images(), torch.tensor([0.5, 1.0, 2.0])
    found = apply_gamma(x, exponents)
    for n in range(3):
        for c in range(2):
            low, high = x[n, c].min(), x[n, c].max()
            oracle = low + (high - low) * ((x[n, c] - low) / (high - low)) ** exponents[n]
            torch.testing.assert_close(found[n, c], oracle, atol=1e-4, rtol=0)
    assert torch.equal(found[1], x[1])


def test_a_constant_channel_stays_and_no_step_leaves_the_very_tensor():
    flat = torch.full((1, 1, 4, 4, 4), 3.0)
    assert torch.equal(apply_gamma(flat, torch.tensor([0.4])), flat)
    assert apply_gamma(flat, None) is flat
    assert shift_and_stretch(flat, None, None) is flat


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_scaling_of_the_image_does_not_matter(scale):
    x = images()
    for effect in (
        lambda v: shift_and_stretch(v, torch.tensor([0.7] * 3), torch.tensor([0.3] * 3)),
        lambda v: apply_gamma(v, torch.tensor([0.7] * 3)),
    ):
        torch.testing.assert_close(effect(x * scale + 7), effect(x) * scale + 7, rtol=1e-4, atol=1e-3 * scale)
