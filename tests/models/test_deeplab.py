"""DeepLabV3+ against segmentation-models-pytorch, its encoder against MONAI's 3D network, and its options."""

import warnings

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.models import DeepLab

RENAMED = {
    "decoder.aspp.0.convs.4.1.": "pyramid.pool.0.",
    "decoder.aspp.0.convs.4.2.": "pyramid.pool.1.",
    "decoder.aspp.0.convs.": "pyramid.branches.",
    "decoder.aspp.0.project.": "pyramid.project.0.",
    "decoder.aspp.1.": "refine.0.",
    "decoder.aspp.2.": "refine.1.",
    "decoder.block1.": "low.",
    "decoder.block2.": "decoder.",
    "segmentation_head.": "head.",
}


def to_ours(name: str) -> str:
    for theirs, ours in RENAMED.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.ndim == 1 and name.endswith("mean"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2)


@pytest.mark.long
@pytest.mark.parametrize(("encoder", "output_stride"), [("resnet34", 16), ("resnet50", 16), ("resnet18", 8)])
def test_equals_segmentation_models_pytorch(encoder: str, output_stride: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        smp = pytest.importorskip("segmentation_models_pytorch", reason="needs the extra [zoo]")
    rates = (12, 24, 36)
    theirs = smp.DeepLabV3Plus(
        encoder, encoder_weights=None, in_channels=2, classes=3, encoder_output_stride=output_stride
    ).eval()
    randomise(theirs)
    ours = DeepLab(2, 3, 2, task="segmentation", preset=encoder, output_stride=output_stride, rates=rates).eval()
    ours.load_state_dict({to_ours(name): tensor for name, tensor in theirs.state_dict().items()}, strict=True)
    images = torch.randn(1, 2, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)


def test_halving_the_output_stride_doubles_the_rates() -> None:
    model = DeepLab(1, 2, 2, preset="tiny", output_stride=4)
    branches = [branch[0] for branch in model.pyramid.branches]
    assert [convolution.dilation for convolution in branches] == [(1, 1), (2, 2), (4, 4), (6, 6)]
    _, deep = model.encoder(torch.randn(1, 1, 32, 32))
    assert deep.shape[2:] == (8, 8)


def test_whole_image_branch_is_the_mean_of_the_map() -> None:
    model = DeepLab(1, 2, 2, preset="tiny").eval()
    x = torch.randn(2, 32, 6, 6, generator=torch.Generator().manual_seed(1))
    shuffled = x.flatten(2)[..., torch.randperm(36, generator=torch.Generator().manual_seed(2))].reshape(x.shape)
    pools = []
    model.pyramid.pool.register_forward_hook(lambda module, args, out: pools.append(out))
    model.pyramid(x), model.pyramid(shuffled)
    torch.testing.assert_close(*pools)
    torch.testing.assert_close(pools[0], model.pyramid.pool(x.mean((2, 3), keepdim=True)))


@pytest.mark.parametrize("normalization", ["batch", "instance", "group"])
def test_one_case_can_be_trained_on(normalization: str) -> None:
    # The pooled branch sees one value per channel then, of which there is no variance.
    model = DeepLab(1, 2, 2, preset="tiny", normalization=normalization)
    model(torch.randn(1, 1, 32, 32)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_smallest_size_is_taken_and_the_next_smaller_refused(task: str) -> None:
    model = DeepLab(1, 2, 2, preset="tiny", task=task)
    assert model(torch.randn(2, 1, 8, 8)).isfinite().all()
    with pytest.raises(EquipoiseError, match="at least 8 pixels per side but got 8x7"):
        model(torch.randn(2, 1, 8, 7))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(EquipoiseError, match="no output_stride 5; allowed: 4, 8, 16, 32"):
        DeepLab(1, 2, 2, output_stride=5)
    with pytest.raises(EquipoiseError, match="rates as 1 or more whole numbers above 0, not \\[0\\]"):
        DeepLab(1, 2, 2, rates=[0])
