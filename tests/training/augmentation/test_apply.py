"""The whole: what all steps together must keep."""

import pytest
import torch

from equipoise.training.augmentation import Augmentation, apply, draw

INTENSITIES = {
    "bias_field": 0.3, "contrast": [0.7, 1.4], "brightness": 0.3, "gamma": [0.5, 2.0], "blur": 1.5, "noise": 0.2,
    "cutout": 0.5,
}  # fmt: skip
MOTIONS = {"rotate_degrees": 20, "flip": ["horizontal"], "scale": [0.8, 1.2], "shift": 0.1, "elastic": 0.05}
SHAPES = [(4, 2, 16, 18), (3, 2, 8, 9, 10)]


def batch(shape):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=generator)
    return images, torch.randint(0, 4, (shape[0], *shape[2:]), generator=generator)


def chosen(settings, shape, seed=0):
    d = len(shape) - 2
    return draw(Augmentation.from_settings(settings, d), shape[0], d, torch.Generator().manual_seed(seed))


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_draws_give_the_same_bits_whatever_torchs_stream(shape):
    images, masks = batch(shape)
    before = images.clone()
    draws = chosen(MOTIONS | INTENSITIES, shape)
    torch.manual_seed(0)
    first = apply(images, masks, draws)
    torch.manual_seed(1)
    second = apply(images, masks, draws)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(images, before), "nothing is changed in place"
    assert torch.isfinite(first[0]).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("soft", [False, True])
def test_intensities_never_touch_masks(shape, soft):
    images, masks = batch(shape)
    masks = torch.nn.functional.one_hot(masks).movedim(-1, 1).float() if soft else masks
    changed, followed = apply(images, masks, chosen(INTENSITIES, shape))
    assert torch.equal(followed, masks)
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_steps_passed_over_change_no_bit(shape):
    images, masks = batch(shape)
    settings = MOTIONS | INTENSITIES | {"flip": [], "probability": 0.0}
    changed, followed = apply(images, masks, chosen(settings, shape))
    assert torch.equal(changed, images)
    assert torch.equal(followed, masks)


@pytest.mark.parametrize("step", [*MOTIONS, *INTENSITIES])
def test_every_step_changes_an_image_by_itself_and_passes_over_its_share(step):
    shape = (60, 1, 12, 12)
    images, _ = batch(shape)
    settings = {step: (MOTIONS | INTENSITIES)[step]}
    if step != "flip":
        settings["probability"] = {step: 0.5}
    changed = apply(images, None, chosen(settings, shape))[0]
    kept = (changed == images).flatten(1).all(1).float().mean()
    assert 0.25 < float(kept) < 0.75


@pytest.mark.parametrize("shape", SHAPES)
def test_channels_last_images_give_the_same(shape):
    images, _ = batch(shape)
    layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    draws = chosen(MOTIONS | INTENSITIES, shape)
    plain, other = apply(images, None, draws)[0], apply(images.contiguous(memory_format=layout), None, draws)[0]
    torch.testing.assert_close(plain, other, atol=1e-5, rtol=0)
