import math

import pytest
import torch

from equipoise.training.augmentation.affine import affine, draw_motions, linear_parts, rotations
from equipoise.training.augmentation.chance import Chance
from equipoise.training.augmentation.settings import Augmentation


def test_motions_keep_to_their_ranges():
    plan = Augmentation(rotate_degrees=15, flip=("vertical",), scale=(0.9, 1.1), shift=0.2)
    found = draw_motions(plan, 2, Chance(500, torch.Generator().manual_seed(3), {}))
    assert float(found["angles"].abs().max()) <= math.radians(15)
    assert float(found["angles"].abs().max()) > math.radians(14)
    assert 0.9 <= float(found["zooms"].min()) < float(found["zooms"].max()) <= 1.1
    assert set(found["mirrors"][:, 1].tolist()) == {1.0}, "only the vertical axis is mirrored"
    assert 0.4 < float((found["mirrors"][:, 0] == -1).float().mean()) < 0.6
    assert float(found["shifts"].abs().max()) <= 0.2


@pytest.mark.parametrize("columns", [1, 3])
def test_rotations_are_rotations(columns):
    angles = torch.rand(20, columns, generator=torch.Generator().manual_seed(0)) * 6 - 3
    found = rotations(angles)
    d = found.shape[1]
    torch.testing.assert_close(found @ found.mT, torch.eye(d, dtype=torch.float64).expand(20, d, d))
    torch.testing.assert_close(found.det(), torch.ones(20, dtype=torch.float64))


def test_an_angle_about_one_axis_leaves_that_axis():
    for axis in range(3):
        angles = torch.zeros(1, 3)
        angles[0, axis] = 0.7
        kept = torch.eye(3, dtype=torch.float64)[axis]
        torch.testing.assert_close(rotations(angles)[0] @ kept, kept)


def test_quarter_turns_have_whole_numbers():
    angles = torch.tensor([[math.pi / 2], [math.pi], [-math.pi / 2]])
    found = linear_parts(angles, torch.ones(3), torch.ones(3, 2))
    assert torch.equal(found, found.round())


def test_maps_leave_the_centre_but_for_the_shift():
    linear = linear_parts(torch.tensor([[0.4]]), torch.tensor([1.3]), torch.tensor([[-1.0, 1.0]]))
    found = affine(linear, torch.tensor([[0.0, 0.5]]), (9, 20))
    centre = torch.tensor([4.0, 9.5])
    torch.testing.assert_close(found[0, :, :2] @ centre + found[0, :, 2], centre + torch.tensor([0.0, 10.0]))
