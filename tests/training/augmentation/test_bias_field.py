import numpy as np
import pytest
import torch
from numpy.polynomial import legendre as oracle

from equipoise.training.augmentation.bias_field import apply_bias_field, draw_coefficients, field
from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.settings import Augmentation


def coefficients(d, n=3):
    return draw_coefficients(Augmentation(bias_field=0.4), d, Chance(n, torch.Generator().manual_seed(2), {}))


def test_the_field_is_numpys_in_2d_and_3d():
    places = [(2 * np.arange(side) + 1) / side - 1 for side in (5, 6, 7)]
    flat, solid = coefficients(2), coefficients(3)
    for n in range(3):
        found = field(flat, (5, 6), torch.device("cpu"))[n, 0]
        np.testing.assert_allclose(found, np.exp(oracle.leggrid2d(*places[:2], flat[n])), rtol=1e-5)
        found = field(solid, (5, 6, 7), torch.device("cpu"))[n, 0]
        np.testing.assert_allclose(found, np.exp(oracle.leggrid3d(*places, solid[n])), rtol=1e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_only_products_of_degree_one_to_three_are_used(d):
    for order in np.ndindex(*[4] * d):
        used = (coefficients(d)[(slice(None), *order)] != 0).all()
        assert bool(used) == (0 < sum(order) <= 3)


def test_the_channels_minimum_stays_and_zero_coefficients_change_nothing():
    x = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)) - 5
    shaded = apply_bias_field(x, coefficients(2) * torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1))
    torch.testing.assert_close(shaded.flatten(2).amin(2), x.flatten(2).amin(2))
    assert torch.equal(shaded[1], x[1])
    assert not torch.equal(shaded[0], x[0])
    assert apply_bias_field(x, None) is x


def test_the_field_is_the_same_for_all_channels():
    x = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    x[0, :, 0, 0] = 0
    factor = (apply_bias_field(x, coefficients(2, 1)) / x)[0]
    torch.testing.assert_close(factor[0, 1:], factor[1, 1:], rtol=1e-4, atol=0)
