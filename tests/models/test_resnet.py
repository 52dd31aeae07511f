"""The residual encoder against MONAI's 3D network, and its dilation."""

import warnings

import pytest
import torch

from equipoise.models.blocks import Layers
from equipoise.models.resnet import ResidualEncoder, ResidualSize


@pytest.mark.long
@pytest.mark.parametrize(("size", "bottleneck"), [("18", False), ("50", True)])
def test_equals_monai_in_3d(size: str, bottleneck: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.networks import nets
    theirs = getattr(nets, f"resnet{size}")(
        spatial_dims=3, n_input_channels=2, conv1_t_stride=2, feed_forward=False, bias_downsample=False
    ).eval()
    blocks = (2, 2, 2, 2) if size == "18" else (3, 4, 6, 3)
    ours = ResidualEncoder(Layers("deeplab", 3), 2, ResidualSize(blocks, (64, 128, 256, 512), bottleneck), 32).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    volume = torch.randn(1, 2, 33, 32, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        pooled = ours(volume)[1].flatten(2).mean(2)
        expected = theirs(volume)
    torch.testing.assert_close(pooled, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("output_stride", [4, 8, 16, 32])
def test_output_stride_is_kept_by_dilation(output_stride: int) -> None:
    encoder = ResidualEncoder(Layers("deeplab", 2), 1, ResidualSize((1, 1, 1, 1), (4, 4, 4, 4)), output_stride)
    low, deep = encoder(torch.randn(1, 1, 64, 64))
    assert low.shape[2:] == (16, 16)
    assert deep.shape[2:] == (64 // output_stride,) * 2
    last = encoder.get_submodule("layer4.0.conv2")
    assert last.dilation == (32 // output_stride,) * 2
