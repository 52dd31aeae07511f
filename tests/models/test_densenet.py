"""DenseNet against MONAI's DenseNet, and its fully convolutional form against the published sizes."""

import warnings

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.models import DenseNet


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """The model in evaluation with every weight and running statistic drawn anew, so that none is 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.4 + 0.8)
    return model.eval()


def monai_densenet(size: str, spatial_dims: int) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.networks import nets

        return getattr(nets, f"DenseNet{size}")(spatial_dims=spatial_dims, in_channels=2, out_channels=3)


def to_ours(name: str) -> str:
    name = name.replace("class_layers.out", "head.0").replace(".layers.", ".")
    return name.replace("features.norm5", "norm5").replace("features.", "encoder.")


@pytest.mark.long
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_densenet121_equals_monai(spatial_dims: int) -> None:
    theirs = randomised(monai_densenet("121", spatial_dims))
    ours = DenseNet(2, 3, spatial_dims, preset="121").eval()
    ours.load_state_dict({to_ours(name): tensor for name, tensor in theirs.state_dict().items()}, strict=True)
    size = (70, 65) if spatial_dims == 2 else (64, 33, 40)
    images = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("preset", ["169", "201"])
def test_parameter_counts_equal_monai(preset: str) -> None:
    theirs = monai_densenet(preset, 2)
    with torch.device("meta"):
        ours = DenseNet(2, 3, 2, preset=preset)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        to_ours(n): p.shape for n, p in theirs.named_parameters()
    }


@pytest.mark.long
def test_training_equals_monai_step_for_step() -> None:
    theirs = monai_densenet("121", 2)
    ours = DenseNet(2, 3, 2, preset="121")
    ours.load_state_dict({to_ours(name): tensor for name, tensor in theirs.state_dict().items()})
    images = torch.randn(4, 2, 64, 64, generator=torch.Generator().manual_seed(1))
    for model in (theirs.train().double(), ours.train().double()):
        model(images.double()).square().sum().backward()
    gradients = {to_ours(name): parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-9, rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(("preset", "millions"), [("fc67", 3.5), ("fc103", 9.4)])
def test_fully_convolutional_sizes_are_the_published_ones(preset: str, millions: float) -> None:
    # Jégou 2017, table 3, CamVid: 3 channels, 11 classes, sizes to one decimal.
    with torch.device("meta"):
        model = DenseNet(3, 11, 2, preset=preset, task="segmentation")
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.long
def test_fully_convolutional_channels_are_the_published_ones() -> None:
    # Jégou 2017, table 2: m after every dense block on the way down, after the bottleneck, and before the last layer.
    with torch.device("meta"):
        model = DenseNet(3, 11, 2, preset="fc103", task="segmentation")
    assert model.encoder.skip_channels[:5] == [112, 192, 304, 464, 656]
    assert model.encoder.skip_channels[5] == 656 + 15 * 16
    assert model.decoder is not None
    assert model.feature_channels == 256


@pytest.mark.parametrize(("stem", "smallest"), [("imagenet", 16), ("small", 8), ("full", 4)])
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_smallest_size_is_taken_and_the_next_smaller_refused(stem: str, smallest: int, task: str) -> None:
    model = DenseNet(1, 2, 2, preset="tiny", stem=stem, task=task)
    assert model.smallest_side == smallest
    assert model(torch.randn(2, 1, smallest, smallest)).isfinite().all()
    with pytest.raises(EquipoiseError, match=f"at least {smallest} pixels"):
        model(torch.randn(2, 1, smallest, smallest - 1))


def test_dropout_acts_in_training_only() -> None:
    model = DenseNet(1, 2, 2, preset="tiny", dropout=0.5)
    images = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_unknown_stem_and_preset_are_refused_with_what_is_allowed() -> None:
    with pytest.raises(EquipoiseError, match="allowed: imagenet, small, full"):
        DenseNet(1, 2, 2, stem="huge")  # type: ignore[arg-type]
    with pytest.raises(EquipoiseError, match=r"no preset '122'; did you mean '121'\?"):
        DenseNet(1, 2, 2, preset="122")
