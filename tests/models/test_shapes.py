"""Shapes of every network in 2D and 3D, as types that are checked at each call."""

from collections.abc import Callable

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor, nn

from equipoise.models import DeepLab, DenseNet, LateFusion, UNet
from equipoise.models.blocks import fit_to, global_mean, resize_to
from equipoise.models.normalization import BatchNorm2d, BatchNorm3d, InstanceNorm
from equipoise.models.transposed import TransposedConvolution2d, TransposedConvolution3d

TYPED = jaxtyped(typechecker=beartype)
NETWORKS = [UNet, DeepLab, DenseNet, LateFusion]
SIZES = {2: (24, 31), 3: (16, 24, 17)}
"""No side of these is equal to another, so that swapped axes are noticed; one is odd."""
CHANNELS, CLASSES = 2, 3


@TYPED
def classify(
    network: nn.Module, images: Float[Tensor, "batch channels *spatial"], classes: int
) -> Float[Tensor, "batch {classes}"]:
    return network(images)


@TYPED
def segment(
    network: nn.Module, images: Float[Tensor, "batch channels *spatial"], classes: int
) -> Float[Tensor, "batch {classes} *spatial"]:
    return network(images)


@TYPED
def pooled_features(
    network: nn.Module, images: Float[Tensor, "batch channels *spatial"]
) -> Float[Tensor, "batch {network.feature_channels}"]:
    return network.features(images)


@TYPED
def unchanged(
    layer: Callable[..., Tensor], x: Float[Tensor, "batch channels *spatial"]
) -> Float[Tensor, "batch channels *spatial"]:
    return layer(x)


@TYPED
def doubled_2d(layer: nn.Module, x: Float[Tensor, "batch _ y x"], out: int) -> Float[Tensor, "batch {out} 2*y 2*x"]:
    return layer(x)


@TYPED
def doubled_3d(
    layer: nn.Module, x: Float[Tensor, "batch _ z y x"], out: int
) -> Float[Tensor, "batch {out} 2*z 2*y 2*x"]:
    return layer(x)


@TYPED
def averaged(x: Float[Tensor, "batch channels *spatial"]) -> Float[Tensor, "batch channels"]:
    return global_mean(x)


@TYPED
def brought_to(
    resize: Callable[..., Tensor], x: Float[Tensor, "batch channels *coarse"], like: Float[Tensor, "batch _ *fine"]
) -> Float[Tensor, "batch channels *fine"]:
    return resize(x, like.shape[2:])


def images(dims: int, channels: int = CHANNELS) -> Tensor:
    return torch.randn(3, channels, *SIZES[dims], generator=torch.Generator().manual_seed(dims))


def settings(factory: Callable[..., nn.Module], task: str) -> dict[str, object]:
    tiny = {"preset": "tiny", "task": task}
    return tiny | ({"encoder": "unet", "fusion": "attention"} if factory is LateFusion else {})


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("factory", NETWORKS)
def test_classifiers_give_a_row_of_logits_for_each_case(factory: Callable[..., nn.Module], dims: int) -> None:
    network = factory(CHANNELS, CLASSES, dims, **settings(factory, "classification"))
    classify(network, images(dims), CLASSES)
    classify(network.eval(), images(dims), CLASSES)
    if factory is not LateFusion:
        pooled_features(network, images(dims))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("factory", NETWORKS)
def test_segmenters_give_logits_on_the_images_own_grid(factory: Callable[..., nn.Module], dims: int) -> None:
    network = factory(CHANNELS, CLASSES, dims, **settings(factory, "segmentation"))
    segment(network, images(dims), CLASSES)
    segment(network.eval(), images(dims), CLASSES)


@TYPED
def supervised(fine: Float[Tensor, "batch classes y x"], coarse: Float[Tensor, "batch classes y//2 x//2"]) -> None:
    """Full resolution and half of it, rounded down as a maximum over windows of two does."""


def test_deep_supervision_halves_the_sides() -> None:
    network = UNet(CHANNELS, CLASSES, 2, preset="tiny", deep_supervision=True)
    supervised(*network(images(2)))


@pytest.mark.parametrize("layer", [BatchNorm2d(4), InstanceNorm(4)])
def test_normalisation_keeps_the_shape_in_2d(layer: nn.Module) -> None:
    unchanged(layer, images(2, 4))


@pytest.mark.parametrize("layer", [BatchNorm3d(4), InstanceNorm(4)])
def test_normalisation_keeps_the_shape_in_3d(layer: nn.Module) -> None:
    unchanged(layer, images(3, 4))


def test_building_blocks() -> None:
    doubled_2d(TransposedConvolution2d(CHANNELS, 5, 2, stride=2), images(2), 5)
    doubled_3d(TransposedConvolution3d(CHANNELS, 5, 2, stride=2), images(3), 5)
    for dims in (2, 3):
        averaged(images(dims))
        averaged(images(dims).contiguous(memory_format=torch.channels_last if dims == 2 else torch.channels_last_3d))
        larger = torch.zeros(3, 1, *(side + 1 for side in SIZES[dims]))
        brought_to(fit_to, images(dims), larger)
        brought_to(resize_to, images(dims), larger)


def test_a_wrong_shape_is_noticed() -> None:
    """The check itself: a network for two classes where three are declared, and a classifier taken for a segmenter."""
    network = UNet(CHANNELS, CLASSES - 1, 2, preset="tiny", task="classification")
    with pytest.raises(TypeCheckError):
        classify(network, images(2), CLASSES)
    with pytest.raises(TypeCheckError):
        segment(network, images(2), CLASSES - 1)
