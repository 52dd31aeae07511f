import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.elastic import INTERVALS, POINTS, displacement, draw_controls, spline
from equipoise.training.augmentation.settings import LARGEST_ELASTIC, Augmentation

CPU = torch.device("cpu")


def test_the_spline_is_scipys():
    knots = np.arange(-3, INTERVALS + 4)
    place = (np.arange(37) + 0.5) / 37 * INTERVALS
    oracle = BSpline.design_matrix(place, knots, 3).toarray()
    np.testing.assert_allclose(spline(37).numpy(), oracle, atol=1e-6)


def test_equal_controls_shift_every_voxel_alike():
    controls = torch.full((1, 2, POINTS, POINTS), 0.05)
    found = displacement(controls, torch.eye(2, dtype=torch.float64)[None], (10, 20), CPU)
    torch.testing.assert_close(found[0, 0], torch.full((10, 20), 0.5))
    torch.testing.assert_close(found[0, 1], torch.full((10, 20), 1.0))


def test_the_displacement_is_mapped_with_the_image():
    generator = torch.Generator().manual_seed(0)
    controls = 0.1 * torch.rand(1, 2, POINTS, POINTS, generator=generator)
    linear = torch.rand(1, 2, 2, generator=generator, dtype=torch.float64)
    plain = displacement(controls, torch.eye(2, dtype=torch.float64)[None], (8, 9), CPU)
    mapped = displacement(controls, linear, (8, 9), CPU)
    torch.testing.assert_close(mapped, torch.einsum("nij,njyx->niyx", linear.float(), plain), atol=1e-5, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize("d", [2, 3])
def test_nothing_folds_at_the_largest_allowed_movement(d):
    signs = torch.rand((20, d, *[POINTS] * d), generator=torch.Generator().manual_seed(1)) < 0.5
    controls = LARGEST_ELASTIC * (1 - 2.0 * signs)
    size = (40,) * d
    moved = displacement(controls, torch.eye(d, dtype=torch.float64).repeat(20, 1, 1), size, CPU)
    gradients = torch.stack(torch.gradient(moved, dim=list(range(2, 2 + d))), 2)  # n, component, axis, *size
    jacobian = gradients.flatten(3).permute(0, 3, 1, 2) + torch.eye(d)
    assert float(jacobian.det().min()) > 0


def test_controls_are_drawn_only_where_the_plan_has_the_step():
    chance = Chance(3, torch.Generator().manual_seed(0), {})
    assert draw_controls(Augmentation(), 3, chance) is None
    controls = draw_controls(Augmentation(elastic=0.05), 3, chance)
    assert controls.shape == (3, 3, POINTS, POINTS, POINTS)
    assert 0.04 < float(controls.abs().max()) <= 0.05
