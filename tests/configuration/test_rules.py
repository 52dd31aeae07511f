"""The rules on invented cohorts: tiny 2D, anisotropic CT, huge volumes, few cases, rare foreground, many channels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from equipoise.configuration.design import SHARES, Design
from equipoise.configuration.fingerprint import Fingerprint
from equipoise.configuration.grid import FEWEST_VOXELS, PATCH_VOXELS, grid_of, patch_of, target_spacing
from equipoise.configuration.images import augmentation_of, flips_of, scale_of
from equipoise.configuration.learning import batch_of, foreground_patches_of, learning_of, patches_of
from equipoise.configuration.modality import CT, PICTURE
from equipoise.configuration.network import channels_of, levels_of, network_of
from equipoise.configuration.recipe import recipe
from equipoise.configuration.tables import tables_of
from equipoise.models import DeepLab, DenseNet, UNet
from equipoise.protocol import Protocol, TrainingSection
from equipoise.trials.fit import Fitted
from equipoise.trials.protocol_text import Known, protocol_text

NETWORKS = {"unet": UNet, "densenet": DenseNet, "deeplab": DeepLab}
Invented = Callable[..., Fingerprint]


def test_the_hippocampus_is_seen_whole(invented: Invented) -> None:
    rules = recipe(invented((35, 50, 36), (40, 52, 33), cases=200), "cpu")
    assert rules.grid.patch == (40, 56, 40)
    assert rules.preprocessing == {"scale": "zscore"}
    assert rules.arms[0] == {"name": "unet", "channels": [8, 16, 32, 64]}
    assert rules.training["batch_size"] == 2
    assert rules.training["schedule"] == {"name": "cosine", "warm_up": 0.05}
    assert rules.training["loss"] == "dice-cross-entropy"


def test_tiny_pictures_with_labels(invented: Invented) -> None:
    data = invented((28, 28), (28, 28), masks=False, cases=5000, modality=PICTURE, rarest=0.25, spacing_stated=False)
    rules = recipe(data, "cpu")
    assert rules.preprocessing == {"scale": "unit"}
    assert (rules.training["batch_size"], rules.training.get("patch")) == (32, None)
    assert rules.arms[0]["channels"] == [16, 32, 64]
    assert rules.optimizer["lr"] == 1e-3
    assert "sampling" not in rules.training
    rare = recipe(invented((28, 28), masks=False, rarest=0.01), "cpu")
    assert rare.training["sampling"] == "balanced"


def test_large_pictures_with_labels_come_to_one_size(invented: Invented) -> None:
    grid = grid_of(invented((896, 448), (900, 450), masks=False), "cpu")
    assert max(grid.size) == 224
    assert grid.spacing_mm[0] == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(("slices", "size"), [(1, (8, 32, 32)), (5, (8, 32, 32)), (8, None), (20, None)])
@pytest.mark.parametrize("arm", [0, 1, 2])
def test_few_slices_are_filled_up_to_what_every_network_takes(
    invented: Invented, slices: int, size: tuple[int, ...] | None, arm: int
) -> None:
    rules = recipe(invented((slices, 32, 32), masks=False), "cpu")
    assert rules.grid.size == size
    settings = dict(rules.arms[arm])
    network = NETWORKS[settings.pop("name")](1, 2, 3, task="classification", **settings).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *(size or (slices, 32, 32)))).shape == (1, 2)


def test_anisotropic_slices_keep_their_distance(invented: Invented) -> None:
    data = invented((20, 512, 512), (24, 512, 512), spacing=[[5.0, 0.8, 0.8], [3.0, 0.7, 0.7]])
    spacing = target_spacing(data)
    assert spacing[0] == pytest.approx(3.2), "the 10th percentile and not the median"
    assert spacing[1:] == pytest.approx([0.75, 0.75])
    grid = grid_of(data, "cpu")
    assert grid.patch[0] < grid.patch[1]
    assert np.prod(grid.patch) <= PATCH_VOXELS["cpu", 3]
    assert target_spacing(invented((200, 200, 200), spacing=[4.0, 1.0, 1.0]))[0] == 4, "as many slices as rows"


def test_huge_volumes_get_a_coarser_grid_only_as_far_as_the_rarest_class_stays(invented: Invented) -> None:
    shape = (600, 512, 512)
    coarse = grid_of(invented(shape, rarest=0.05), "cpu")
    assert coarse.spacing_mm[0] > 1.5
    small = invented(shape, rarest=2 * FEWEST_VOXELS / np.prod(shape))
    factor = grid_of(small, "cpu").spacing_mm[0]
    assert 1 < factor <= 2 ** (1 / 3) + 0.01
    assert grid_of(invented(shape, rarest=1e-9), "cpu").spacing_mm is None
    assert np.prod(grid_of(invented(shape), "cuda").patch) > np.prod(coarse.patch)


@pytest.mark.parametrize("extent", [(35, 50, 36), (12, 600, 600), (400, 400, 400), (3, 9, 1000), (1000, 1000)])
def test_patches_keep_to_the_budget_and_to_the_image(extent: tuple[int, ...]) -> None:
    patch = patch_of(extent, 2**17)
    assert np.prod(patch) <= 2**17
    assert all(side % 8 == 0 and side < size + 8 for side, size in zip(patch, extent, strict=True))


def test_whole_pictures_with_masks_need_no_patch(invented: Invented) -> None:
    assert grid_of(invented((128, 128), (128, 128)), "cpu").patch is None
    assert grid_of(invented((128, 128), (120, 128)), "cpu").patch == (128, 128)


def test_depth_leaves_four_voxels_and_width_has_a_limit() -> None:
    assert levels_of((8, 8)) == 2
    assert levels_of((512, 512)) == 6
    assert channels_of((512, 512), 32)[-1] == 512
    assert channels_of((128, 128, 128), 32) == [32, 64, 128, 256, 320]
    assert network_of("deeplab", (40, 56, 40), 8, True) == {"preset": "small"}
    assert network_of("densenet", (224, 224), 32, False) == {"preset": "121"}
    assert network_of("densenet", (8, 8), 4, False) == {"preset": "tiny"}


def test_ct_is_cut_to_a_coarse_window_of_its_foreground(invented: Invented) -> None:
    liver = invented((40, 400, 400), modality=CT, window=(-23.0, 189.0))
    assert scale_of(liver) == {"window_hu": [-50, 200]}
    flat = scale_of(invented((40, 400, 400), modality=CT, window=(10.0, 12.0)))["window_hu"]
    assert flat[1] - flat[0] >= 100


def test_few_cases_get_more_augmentation_and_named_sides_no_flips(invented: Invented) -> None:
    assert "elastic" in augmentation_of(invented((64, 64, 64), cases=20))
    assert "elastic" not in augmentation_of(invented((64, 64, 64), cases=200))
    assert flips_of(invented((64, 64))) == ["horizontal"]
    assert flips_of(invented((64, 64), class_names=("background", "left_lung", "right_lung"))) == []
    assert flips_of(invented((64, 64, 64))) == []


def test_batches_and_patches_of_small_and_large_cohorts(invented: Invented) -> None:
    few = invented((300, 400, 400), cases=10)
    grid = grid_of(few, "cpu")
    assert batch_of(few, grid, "cpu") == 2
    assert patches_of(few, grid, 2) == 5, "so that an epoch has 20 updates"
    many = invented((128, 128), (128, 128), cases=3000)
    assert 2 < batch_of(many, grid_of(many, "cpu"), "cpu") <= 32


def test_rare_foreground_is_looked_for(invented: Invented) -> None:
    shares = [foreground_patches_of(invented((64, 64, 64), foreground=f, rarest=f)) for f in (0.1, 0.005, 0.0001)]
    assert shares == [0.33, 0.67, 0.8]


def test_many_channels_and_findings(invented: Invented) -> None:
    data = invented((64, 64, 64), channels=("T1", "T1ce", "T2", "FLAIR"))
    assert scale_of(data) == "zscore"
    found = learning_of(invented((64, 64, 64), findings=True), grid_of(data, "cpu"), "cpu")
    assert "loss" not in found, "detection has a loss of its own"


def test_recipes_that_the_rules_choose_stand_in_the_text(invented: Invented, tmp_path: Path) -> None:
    data = invented((64, 64), modality=PICTURE)
    rules = recipe(data, "cpu")
    plain = tables_of(rules, Design("holdout", SHARES[0], 1, 3, 3), 12)
    stated = {"deep_supervision": True, "average_last": 3, "dice": {"over": "case", "absent": "left-out"}}
    training = {key: value for key, value in plain["training"].items() if key != "ema"} | stated
    known = Known("net", "phantom", {"task": "segmentation"})
    for tables, mirror in ((plain, False), (plain | {"training": training, "inference": {"mirror": "trained"}}, None)):
        text = protocol_text(tmp_path / "p.toml", known, Fitted(tables, ("",), data))
        read = Protocol.parse(text)
        wanted = TrainingSection.model_validate(tables["training"])
        assert read.training == wanted
        assert read.inference.mirror == (tuple(tables["augmentation"]["flip"]) if mirror is None else mirror)
