import pytest
import torch

from equipoise.training.augmentation.draws import draw
from equipoise.training.augmentation.settings import Augmentation

EVERYTHING = {
    "rotate_degrees": 20, "flip": ["horizontal"], "scale": [0.8, 1.2], "shift": 0.1, "elastic": 0.05, "bias_field": 0.3,
    "contrast": [0.7, 1.4], "brightness": 0.3, "gamma": [0.5, 2.0], "blur": 1.5, "noise": 0.2, "cutout": 0.4,
}  # fmt: skip


def same(a, b):
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(x == y if not isinstance(x, torch.Tensor) else torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("d", [2, 3])
def test_the_generator_alone_decides(d):
    plan = Augmentation.from_settings(EVERYTHING, d)
    torch.manual_seed(0)
    first = draw(plan, 5, d, torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    assert same(first, draw(plan, 5, d, torch.Generator().manual_seed(3)))
    assert not same(first, draw(plan, 5, d, torch.Generator().manual_seed(4)))


def test_numbers_keep_to_their_ranges():
    found = draw(Augmentation.from_settings(EVERYTHING, 2), 2000, 2, torch.Generator().manual_seed(0))
    for values, low, high in (
        (found.contrasts, 0.7, 1.4), (found.offsets, -0.3, 0.3), (found.exponents, 0.5, 2.0), (found.blurs, 0, 1.5),
        (found.noise, 0, 0.2),
    ):  # fmt: skip
        assert low - 1e-6 <= float(values.min()) < low + 0.01
        assert high - 0.01 < float(values.max()) <= high + 1e-6
    assert 0.45 < float((found.exponents < 1).float().mean()) < 0.55, "as often darker as brighter"


def test_steps_not_in_the_plan_draw_nothing():
    short = draw(Augmentation.from_settings({"noise": 0.1}, 2), 3, 2, torch.Generator().manual_seed(0))
    assert [name for name, value in vars(short).items() if value is None] == [
        "controls", "coefficients", "contrasts", "offsets", "exponents", "blurs", "boxes",
    ]  # fmt: skip


def test_steps_passed_over_are_neutral():
    plan = Augmentation.from_settings(EVERYTHING | {"flip": [], "probability": 0.0}, 2)
    found = draw(plan, 4, 2, torch.Generator().manual_seed(0))
    for name, neutral in (("zooms", 1), ("contrasts", 1), ("exponents", 1), ("angles", 0), ("shifts", 0), ("noise", 0)):
        assert (getattr(found, name) == neutral).all(), name
    assert (found.boxes[:, :, 0] == found.boxes[:, :, 1]).all()
