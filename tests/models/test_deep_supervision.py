import pytest
import torch

from equipoise.models import DeepLab, DenseNet, UNet

SIDES = {
    (DeepLab, "tiny"): [(45, 33), (6, 5)],
    (DenseNet, "tiny"): [(45, 33), (22, 16), (11, 8)],
    (DenseNet, "fc56"): [(45, 33), (22, 16), (11, 8), (5, 4), (2, 2)],
    (UNet, "small"): [(45, 33), (22, 16), (11, 8), (5, 4)],
}


@pytest.mark.parametrize(
    ("factory", "preset"),
    [(DeepLab, "tiny"), *(pytest.param(*key, marks=pytest.mark.long) for key in SIDES if key != (DeepLab, "tiny"))],
)
def test_coarser_maps_are_answered_in_training_alone(factory, preset):
    torch.manual_seed(0)
    model = factory(1, 3, 2, task="segmentation", preset=preset, deep_supervision=True)
    images = torch.randn(2, 1, 45, 33)
    outputs = model(images)
    assert [tuple(each.shape) for each in outputs] == [(2, 3, *sides) for sides in SIDES[factory, preset]]
    sum(each.square().mean() for each in outputs).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    plain = factory(1, 3, 2, task="segmentation", preset=preset)
    plain.load_state_dict(model.state_dict(), strict=False)
    extra = set(model.state_dict()) - set(plain.state_dict())
    assert extra
    assert all(name.startswith("coarse_heads.") for name in extra)
    with torch.no_grad():
        assert torch.equal(model.eval()(images), plain.eval()(images))


def test_a_classifier_has_no_coarse_heads():
    for factory in (UNet, DeepLab, DenseNet):
        model = factory(1, 2, 2, task="classification", preset="tiny", deep_supervision=True)
        assert not [name for name in model.state_dict() if name.startswith("coarse_heads")]
