"""U-Net against MONAI's BasicUNet, its size against the publication's, and its options."""

import warnings

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.models import UNet


def basic_unet(spatial_dims: int) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.networks.nets import BasicUNet

        act = ("LeakyReLU", {"negative_slope": 0.01})
        return BasicUNet(spatial_dims=spatial_dims, in_channels=2, out_channels=3, bias=False, act=act)


def to_ours(name: str) -> str:
    """MONAI's name of a weight as ours: upcat_4 is our coarsest decoder level, decoder.3."""
    parts = name.split(".")
    if parts[0] == "final_conv":
        return f"head.0.{parts[1]}"
    level = int(parts[0].rpartition("_")[2])
    place = f"decoder.{level - 1}" if parts[0].startswith("upcat") else f"encoder.{level}"
    if "upsample" in parts:
        return f"{place}.up.{parts[-1]}"
    place += ".convolutions" if place.startswith("decoder") else ""
    number = {"conv_0": "first", "conv_1": "second"}[parts[-3] if "conv" in parts else parts[-4]]
    return f"{place}.{number}.{0 if 'conv' in parts else 1}.{parts[-1]}"


@pytest.mark.long
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_basic_preset_equals_monai_basic_unet(spatial_dims: int) -> None:
    theirs = basic_unet(spatial_dims).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in theirs.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    ours = UNet(2, 3, spatial_dims, task="segmentation", preset="basic").eval()
    ours.load_state_dict({to_ours(name): tensor for name, tensor in theirs.state_dict().items()}, strict=True)
    size = (51, 64) if spatial_dims == 2 else (33, 32, 35)
    images = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-5)


@pytest.mark.long
def test_training_gradients_equal_monai() -> None:
    theirs = basic_unet(2).double()
    ours = UNet(2, 3, 2, task="segmentation", preset="basic").double()
    ours.load_state_dict({to_ours(name): tensor for name, tensor in theirs.state_dict().items()})
    images = torch.randn(2, 2, 40, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for model in (theirs, ours):
        model(images).square().mean().backward()
    gradients = {to_ours(name): parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-10, rtol=1e-6)


@pytest.mark.long
def test_published_preset_has_the_published_size() -> None:
    # Ronneberger 2015 has 31,031,685 weights with biases for 1 channel and 1 class when padded (as widely
    # re-implemented); ours drops the biases before normalisation and adds its scales and shifts.
    with torch.device("meta"):
        model = UNet(1, 2, 2, preset="published", task="segmentation")
    convolutions = sum(p.numel() for p in model.parameters() if p.ndim == 4)
    widths = (64, 128, 256, 512, 1024)
    down = sum(9 * (a * b + b * b) for a, b in zip((1, *widths), widths, strict=False))
    up = sum(4 * 2 * w * w + 9 * (2 * w * w + w * w) for w in widths[:-1])
    assert convolutions == down + up + 2 * 64


@pytest.mark.long
def test_deep_supervision_lists_scales_in_training_and_one_tensor_in_evaluation() -> None:
    model = UNet(1, 2, 2, task="segmentation", channels=(4, 8, 16, 32), deep_supervision=True)
    images = torch.randn(2, 1, 45, 33)
    outputs = model(images)
    assert [tuple(o.shape) for o in outputs] == [(2, 2, 45, 33), (2, 2, 22, 16), (2, 2, 11, 8)]
    sum(o.square().mean() for o in outputs).backward()
    assert all(p.grad is not None for p in model.parameters())
    plain = UNet(1, 2, 2, task="segmentation", channels=(4, 8, 16, 32)).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(model.eval()(images), plain(images))


def test_residual_encoder_adds_the_shortcut() -> None:
    model = UNet(4, 2, 2, task="segmentation", channels=(4, 8), residual=True, normalization="batch").eval()
    block = model.encoder[0]
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        for parameter in block.second.parameters():
            parameter.zero_()
        torch.testing.assert_close(block(x), torch.nn.functional.leaky_relu(x, 0.01))


def test_classifier_reads_every_level_of_the_decoder() -> None:
    model = UNet(1, 2, 2, task="classification", channels=(4, 8, 16))
    assert model.features(torch.randn(3, 1, 16, 16)).shape == (3, 28)
    model(torch.randn(3, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize(("normalization", "smallest"), [("batch", 8), ("instance", 16), ("group", 8)])
def test_smallest_size_is_taken_and_the_next_smaller_refused(normalization: str, smallest: int) -> None:
    model = UNet(1, 2, 2, channels=(4, 8, 16, 32), normalization=normalization)
    assert model(torch.randn(1, 1, smallest, smallest)).shape == (1, 2, smallest, smallest)
    with pytest.raises(EquipoiseError, match=f"at least {smallest} pixels per side"):
        model(torch.randn(1, 1, smallest - 1, 64))


def test_bad_channels_are_refused() -> None:
    for channels in ((8,), (8, 0), (8, 2.5), "12"):
        with pytest.raises(EquipoiseError, match="2 or more whole numbers"):
            UNet(1, 2, 2, channels=channels)  # type: ignore[arg-type]
