import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.training.augmentation import Augmentation, Draws, draw
from equipoise.training.augmentation.spatial import move


def still(n, d):
    return Draws(torch.zeros(n, 1 if d == 2 else 3), torch.ones(n), torch.ones(n, d), torch.zeros(n, d))


def change(draws, **values):
    return Draws(**(vars(draws) | values))


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def turned(x, axis):
    angles = torch.zeros(len(x), 1 if x.ndim == 4 else 3)
    angles[:, axis] = math.pi / 2
    return move(x, None, change(still(len(x), x.ndim - 2), angles=angles))[0]


@pytest.mark.parametrize("shape", [(3, 2, 7, 9), (2, 1, 5, 6, 7)])
def test_nothing_drawn_changes_no_bit(shape):
    x = images(*shape)
    mask = (x[:, 0] > 0.5).long()
    moved, followed = move(x, mask, still(shape[0], len(shape) - 2))
    assert torch.equal(moved, x)
    assert torch.equal(followed, mask)


@pytest.mark.parametrize("shape", [(2, 1, 6, 8), (2, 1, 4, 6, 8)])
def test_mirrors_equal_flips_of_the_array(shape):
    d = len(shape) - 2
    x = images(*shape)
    for axis in range(d):
        mirrors = torch.ones(2, d)
        mirrors[0, axis] = -1
        moved, _ = move(x, None, change(still(2, d), mirrors=mirrors))
        assert torch.equal(moved[0], x[0].flip(axis + 1))
        assert torch.equal(moved[1], x[1])


def test_mirrors_in_the_resampling_equal_flips_after_it():
    x = images(1, 1, 7, 8)
    tilted = change(still(1, 2), angles=torch.tensor([[0.3]]))
    mirrored = change(tilted, mirrors=torch.tensor([[-1.0, 1.0]]))
    torch.testing.assert_close(move(x, None, mirrored)[0], move(x, None, tilted)[0].flip(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [7, 8])
def test_quarter_turns_are_exact(side):
    x = images(1, 2, side, side)
    assert torch.equal(turned(x, 0), torch.rot90(x, -1, (2, 3)))
    volume = images(1, 1, side, side, side)
    for axis, plane in enumerate([(3, 4), (2, 4), (2, 3)]):  # about z, y, x
        assert torch.equal(turned(volume, axis), torch.rot90(volume, -1, plane))


def test_a_quarter_turn_is_a_true_angle_on_an_oblong_image():
    x = torch.zeros(1, 1, 9, 17)
    x[0, 0, 4, 10] = 1.0  # two pixels to the right of the centre
    row, column = divmod(int(turned(x, 0).argmax()), 17)
    assert (abs(row - 4), column) == (2, 8)


def test_zoom_above_one_magnifies():
    x = torch.zeros(1, 1, 33, 33)
    x[..., 8:25, 8:25] = 1
    big, _ = move(x, None, change(still(1, 2), zooms=torch.tensor([2.0])))
    small, _ = move(x, None, change(still(1, 2), zooms=torch.tensor([0.5])))
    assert float(big.sum()) == pytest.approx(33**2, rel=0.05), "it fills the image"
    assert float(small.sum()) == pytest.approx(float(x.sum()) / 4, rel=0.15)


def test_shift_moves_by_its_share_of_the_size():
    x = images(1, 1, 8, 8)
    moved, _ = move(x, None, change(still(1, 2), shifts=torch.tensor([[0.0, 0.25]])))
    assert torch.equal(moved[..., :-2], x[..., 2:])
    assert torch.equal(moved[..., -2:], x[..., -1:].expand(1, 1, 8, 2)), "beyond the border lie the edge's values"


def test_images_that_are_not_moved_keep_their_bits_beside_those_that_are():
    x = images(3, 1, 9, 9)
    moved, _ = move(x, None, change(still(3, 2), angles=torch.tensor([[0.0], [0.2], [0.0]])))
    assert torch.equal(moved[[0, 2]], x[[0, 2]])
    assert not torch.equal(moved[1], x[1])


PLAN = {"rotate_degrees": 30, "flip": ["horizontal", "vertical"], "scale": [0.8, 1.2], "shift": 0.1, "elastic": 0.08}


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 3]))
def test_masks_follow_images_exactly(seed, d):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, 3, [2, *[9] * d], generator=generator)
    draws = draw(Augmentation.from_settings(PLAN, d), 2, d, generator)
    soft = torch.nn.functional.one_hot(mask, 3).movedim(-1, 1).float()
    image, moved = move(soft, mask, draws)
    # where linear interpolation is sure (all neighbours agree) the nearest voxel must agree with it
    share, label = image.max(1)
    assert torch.equal(moved[share > 1 - 1e-4], label[share > 1 - 1e-4])
    again, followed = move(soft, soft, draws)
    assert torch.equal(followed, again), "soft targets are interpolated as images are"
    torch.testing.assert_close(followed.sum(1), torch.ones_like(followed[:, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_masks_keep_shape_and_type(dtype):
    regions = (images(2, 3, 6, 6) > 0.5).to(dtype)
    draws = draw(Augmentation.from_settings(PLAN, 2), 2, 2, torch.Generator().manual_seed(0))
    x = images(2, 1, 6, 6)
    together = move(x, regions, draws)[1]
    assert together.dtype == dtype
    for region in range(3):
        assert torch.equal(move(x, regions[:, region], draws)[1], together[:, region])
