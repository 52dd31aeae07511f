"""Anyone's network by `module:attribute`, whatever the order of its arguments."""

import inspect
import warnings
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

from equipoise import models
from equipoise.lookup import resolve
from equipoise.models import UNet
from equipoise.models.adapter import in_order
from equipoise.testing import check_model

SWIN = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window_size": 4}


def _other_order(spatial_dims: int, in_channels: int, out_channels: int, width: int = 4) -> nn.Module:
    return UNet(in_channels, out_channels, spatial_dims, channels=(width, width))


def _other_names(colours: int, classes: int, axes: int, **settings: object) -> nn.Module:
    return UNet(colours, classes, axes, **settings)


def test_arguments_go_where_their_names_are() -> None:
    model = in_order(_other_order)(3, 2, 2, width=6)
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 2, 16, 16)
    assert in_order(_other_names)(3, 2, 2, preset="tiny")(torch.zeros(1, 3, 16, 16)).shape == (1, 2, 16, 16)
    assert inspect.signature(in_order(_other_order)) == inspect.signature(_other_order)


@pytest.fixture(scope="module")
def monai() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("monai.networks.nets", reason="needs the extra [zoo]")


def _quiet(factory: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """MONAI warns of its own use of torch while it builds; the warnings are not ours to judge."""
    build = in_order(factory)

    def quiet(*fixed: int, **settings: object) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build(*fixed, **settings)

    return quiet


@pytest.mark.long
@pytest.mark.parametrize("spatial_dims", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_monais_swin_unetr_keeps_the_contract(monai: ModuleType, spatial_dims: int) -> None:
    factory = resolve("monai.networks.nets:SwinUNETR", models, "model")
    report = check_model(
        _quiet(factory), spatial_dims=[spatial_dims], tasks=["segmentation"], settings=SWIN, in_channels=1,
        size=(64,) * spatial_dims, odd_sizes=False,
    )  # fmt: skip
    assert len(report.clauses) == 9


@pytest.mark.long
@pytest.mark.parametrize("name", ["BasicUNet", "SegResNet"])
def test_monais_other_orders_keep_the_contract(monai: ModuleType, name: str) -> None:
    factory = resolve(f"monai.networks.nets:{name}", models, "model")
    check_model(_quiet(factory), spatial_dims=[2], tasks=["segmentation"], odd_sizes=False)
