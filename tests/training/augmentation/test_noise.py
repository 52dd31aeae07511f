import pytest
import torch

from equipoise.training.augmentation.noise import add_noise


def test_noise_has_the_drawn_level_in_units_of_the_channel():
    x = torch.rand(3, 2, 64, 64, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 50.0]).view(2, 1, 1)
    levels = torch.tensor([0.1, 0.0, 0.5])
    noise = add_noise(x, levels, seed=1) - x
    found = noise.std((2, 3)) / x.std((2, 3))
    torch.testing.assert_close(found, levels[:, None].expand(3, 2), rtol=0.05, atol=0)
    assert float(noise.mean()) == pytest.approx(0, abs=0.2)
    assert torch.equal(add_noise(x, levels, seed=1)[1], x[1])


def test_the_seed_decides_and_torchs_own_stream_does_not_matter():
    x, levels = torch.rand(2, 1, 8, 8), torch.tensor([0.1, 0.2])
    torch.manual_seed(0)
    first = add_noise(x, levels, seed=5)
    torch.manual_seed(1)
    assert torch.equal(add_noise(x, levels, seed=5), first)
    assert not torch.equal(add_noise(x, levels, seed=6), first)
    assert add_noise(x, None, 5) is x
