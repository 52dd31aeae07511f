import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import ProtocolError
from equipoise.training.augmentation import Augmentation, Draws, apply, draw


def still(n, d):
    return Draws(torch.zeros(n, 1 if d == 2 else 3), torch.ones(n), torch.ones(n, d), torch.zeros(n, d))


def change(draws, **values):
    return Draws(**(vars(draws) | values))


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(3, 2, 7, 9), (2, 1, 5, 6, 7)])
def test_nothing_drawn_changes_nothing(shape):
    x = images(*shape)
    mask = (x[:, 0] > 0.5).long()
    moved, followed = apply(x, mask, still(shape[0], len(shape) - 2))
    torch.testing.assert_close(moved, x, atol=1e-5, rtol=0)
    assert torch.equal(followed, mask)


@pytest.mark.parametrize("shape", [(2, 1, 6, 8), (2, 1, 4, 6, 8)])
def test_mirrors_equal_flips_of_the_array(shape):
    d = len(shape) - 2
    x = images(*shape)
    for axis in range(d):
        mirrors = torch.ones(2, d)
        mirrors[0, axis] = -1
        moved, _ = apply(x, None, change(still(2, d), mirrors=mirrors))
        torch.testing.assert_close(moved[0], x[0].flip(axis + 1), atol=1e-5, rtol=0)
        torch.testing.assert_close(moved[1], x[1], atol=1e-5, rtol=0)


def test_a_quarter_turn_equals_rot90():
    x = images(1, 2, 8, 8)
    moved, _ = apply(x, None, change(still(1, 2), angles=torch.tensor([[math.pi / 2]])))
    turned = [torch.rot90(x, k, (2, 3)) for k in (1, 3)]
    assert any(torch.allclose(moved, t, atol=1e-5) for t in turned)


def test_a_quarter_turn_is_a_true_angle_on_an_oblong_image():
    x = torch.zeros(1, 1, 9, 17)
    x[0, 0, 4, 10] = 1.0  # two pixels to the right of the centre
    moved, _ = apply(x, None, change(still(1, 2), angles=torch.tensor([[math.pi / 2]])))
    row, column = divmod(int(moved.argmax()), 17)
    assert (abs(row - 4), column) == (2, 8)


def test_quarter_turns_about_each_axis_in_3d():
    x = images(1, 1, 6, 6, 6)
    for axis, dims in enumerate([(2, 3), (2, 4), (3, 4)]):
        angles = torch.zeros(1, 3)
        angles[0, axis] = math.pi / 2
        moved, _ = apply(x, None, change(still(1, 3), angles=angles))
        assert any(torch.allclose(moved, torch.rot90(x, k, dims), atol=1e-5) for k in (1, 3))


def test_zoom_above_one_magnifies():
    x = torch.zeros(1, 1, 33, 33)
    x[..., 8:25, 8:25] = 1
    big, _ = apply(x, None, change(still(1, 2), zooms=torch.tensor([2.0])))
    small, _ = apply(x, None, change(still(1, 2), zooms=torch.tensor([0.5])))
    assert float(big.sum()) == pytest.approx(33**2, rel=0.05), "it fills the image"
    assert float(small.sum()) == pytest.approx(float(x.sum()) / 4, rel=0.15)


def test_shift_moves_by_its_share_of_the_size():
    x = images(1, 1, 8, 8)
    moved, _ = apply(x, None, change(still(1, 2), shifts=torch.tensor([[0.0, 0.25]])))
    torch.testing.assert_close(moved[..., :-2], x[..., 2:], atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 3]))
def test_masks_follow_images_exactly(seed, d):
    generator = torch.Generator().manual_seed(seed)
    size = [9] * d
    mask = (torch.rand([2, *size], generator=generator) > 0.5).long()
    augmentation = Augmentation(rotate_degrees=30, flip=("horizontal", "vertical"), scale=(0.8, 1.2), shift=0.1)
    draws = draw(augmentation, 2, d, generator)
    image, moved = apply(mask[:, None].float(), mask, draws)
    # where linear interpolation is sure (all neighbours agree) the nearest voxel must agree with it
    sure = (image[:, 0] < 1e-4) | (image[:, 0] > 1 - 1e-4)
    assert torch.equal(moved[sure], image[:, 0].round().long()[sure])
    soft = torch.stack([1 - mask, mask], 1).float()
    _, followed = apply(image, soft, draws)
    torch.testing.assert_close(followed.sum(1), torch.ones_like(followed[:, 0]), atol=1e-4, rtol=0)


def test_draws_keep_to_their_ranges_and_to_their_generator():
    augmentation = Augmentation(rotate_degrees=15, flip=("vertical",), scale=(0.9, 1.1), shift=0.2)
    a = draw(augmentation, 500, 2, torch.Generator().manual_seed(3))
    b = draw(augmentation, 500, 2, torch.Generator().manual_seed(3))
    assert all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))
    assert float(a.angles.abs().max()) <= math.radians(15)
    assert float(a.angles.abs().max()) > math.radians(14)
    assert 0.9 <= float(a.zooms.min()) < float(a.zooms.max()) <= 1.1
    assert set(a.mirrors[:, 1].tolist()) == {1.0}, "only the vertical axis is mirrored"
    assert 0.4 < float((a.mirrors[:, 0] == -1).float().mean()) < 0.6
    assert float(a.shifts.abs().max()) <= 0.2


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"rotat": 3}, "augmentation.rotat' is unknown; did you mean"),
        ({"rotate_degrees": "15"}, "augmentation.rotate_degrees = '15' is not allowed"),
        ({"rotate_degrees": 200}, "a number from 0 to 180"),
        ({"flip": "horizontal"}, "is a list of horizontal, vertical"),
        ({"flip": ["depth"]}, "is a list of horizontal, vertical"),
        ({"scale": [1.1, 0.9]}, "low <= high"),
        ({"scale": 1.1}, "two factors"),
    ],
)
def test_bad_settings_get_one_sentence(table, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        Augmentation.from_settings(table, 2)


def test_settings_are_read():
    table = {"rotate_degrees": 15, "flip": ["horizontal"], "scale": [0.9, 1.1]}
    assert Augmentation.from_settings(table, 2) == Augmentation(15.0, ("horizontal",), (0.9, 1.1))
    assert Augmentation.from_settings({}, 2).identity
