import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from equipoise.evaluation.surface import surface_dice
from equipoise.models import UNet
from equipoise.protocol import DiceSection
from equipoise.training.learner.losses import (
    balanced_weights,
    boundary,
    build,
    cross_entropy,
    deeply_supervised,
    dice,
    focal,
)

NAMES = ["cross-entropy", "dice", "dice-cross-entropy", "focal", "boundary"]
SURE = 40.0


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 5, 6, generator=generator), torch.randint(0, 3, (4, 5, 6), generator=generator)


def _regions(target: torch.Tensor) -> torch.Tensor:
    """Overlapping regions, the second inside the first, and one that is nowhere."""
    return torch.stack([target > 0, target > 1, target > 9], 1).float()


@pytest.mark.parametrize("name", NAMES)
def test_soft_targets_that_are_hard_give_the_same_loss(name, batch):
    logits, target = batch
    soft = functional.one_hot(target, 3).movedim(-1, 1).float()
    torch.testing.assert_close(build(name)(logits, soft), build(name)(logits, target))


@pytest.mark.parametrize("name", NAMES)
def test_better_logits_lose_less(name, batch):
    logits, target = batch
    good = 8 * functional.one_hot(target, 3).movedim(-1, 1).float()
    assert build(name)(good, target) < build(name)(0 * logits, target) < build(name)(-good, target)


@pytest.mark.parametrize("name", NAMES)
def test_better_logits_of_regions_lose_less(name, batch):
    logits, target = batch
    regions = _regions(target)
    loss, good = build(name, overlapping=True), 8 * (2 * regions - 1)
    assert loss(good, regions) < loss(0 * logits, regions) < loss(-good, regions)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_patches_without_a_class_and_sure_logits_stay_finite(name, overlapping, batch):
    logits, target = batch
    for nothing in (target, torch.zeros_like(target)):
        for size in (1.0, 1e4):
            given = (size * logits).requires_grad_()
            truth = _regions(nothing) if overlapping else nothing
            loss = build(name, torch.tensor([1.0, 2.0, 0.0]), overlapping=overlapping)(given, truth)
            (slope,) = torch.autograd.grad(loss, given)
            assert loss.isfinite()
            assert slope.isfinite().all()


def test_dice_by_hand():
    logits = torch.tensor([[20.0, -20.0], [20.0, -20.0], [-20.0, 20.0], [-20.0, 20.0]])
    target = torch.tensor([0, 1, 1, 1])
    # class 0: 1 right of 2 and 1; class 1: 2 right of 2 and 3
    wanted = 1 - ((2 * 1 + 1) / (2 + 1 + 1) + (2 * 2 + 1) / (2 + 3 + 1)) / 2
    assert float(dice()(logits, target)) == pytest.approx(wanted, abs=1e-6)


def test_dice_without_smoothing_of_an_absent_class_is_no_number_of_zeros():
    logits = torch.tensor([[SURE, -1e9], [SURE, -1e9]], requires_grad=True)
    loss = dice(smooth=0.0)(logits, torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert logits.grad.isfinite().all()


def test_focal_by_hand():
    logits = torch.log(torch.tensor([[0.8, 0.2], [0.3, 0.7]]))
    wanted = -(0.2**2 * torch.log(torch.tensor(0.8)) + 0.7**2 * torch.log(torch.tensor(0.3))) / 2
    torch.testing.assert_close(focal()(logits, torch.tensor([0, 0])), wanted)


def test_one_region_is_one_class_against_background(batch):
    logits, target = batch
    regions, one = (target == 1)[:, None].float(), logits[:, :1]
    two = torch.cat([0 * one, one], 1)  # softmax over (0, x) is the sigmoid of x
    hard = regions[:, 0].long()
    for name in ("cross-entropy", "focal", "boundary"):
        region, plain = build(name, overlapping=True)(one, regions), build(name)(two, hard)
        if name == "boundary":  # its overlap loss averages over background too
            region = region - dice(overlapping=True)(one, regions)
            plain = plain - dice()(two, hard)
        torch.testing.assert_close(region, plain)


def test_region_dice_by_hand():
    logits = SURE * torch.tensor([[[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, -1.0]]])
    target = torch.tensor([[[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])
    wanted = 1 - ((2 * 2 + 1) / (2 + 3 + 1) + 1 / (1 + 0 + 1)) / 2
    assert float(dice(overlapping=True)(logits, target)) == pytest.approx(wanted)


def test_weighted_entropy_is_the_weighted_mean_and_0_of_nothing(batch):
    logits, target = batch
    weight = torch.tensor([0.0, 1.0, 3.0])
    torch.testing.assert_close(
        cross_entropy(weight)(logits, target), functional.cross_entropy(logits, target, weight=weight)
    )
    assert float(cross_entropy(weight)(logits, 0 * target)) == 0.0


def _masks(seed: int, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Two smooth overlapping blobs away from the edge."""
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        noise = ndimage.gaussian_filter(rng.normal(size=(20,) * dims), 2.5)
        masks.append(np.pad(noise > np.quantile(noise, 0.7), 2))
    return masks[0], masks[1]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_boundary_of_hard_masks_is_one_less_the_surface_dice(seed, dims):
    truth, said = _masks(seed, dims)
    # on the unit grid, one voxel on every axis is what lies within √dims
    wanted = 1 - surface_dice(truth, said, (1.0,) * dims, tolerance_mm=dims**0.5 + 1e-6)
    logits = torch.from_numpy(np.where(said, SURE, -SURE))[None, None]
    found = boundary(smooth=0.0, overlapping=True)(logits, torch.from_numpy(truth)[None, None])
    assert 0 < wanted < 1
    assert float(found) == pytest.approx(wanted, abs=1e-6)


def test_boundary_tolerance_counts_voxels():
    truth, said = np.zeros((2, 9, 20), dtype=bool)
    truth[3:6, 3:8] = said[3:6, 6:11] = True  # the same block, three to the right
    pair = torch.from_numpy(np.where(said, SURE, -SURE))[None, None], torch.from_numpy(truth)[None, None]
    losses = [float(boundary(tolerance, 0.0, overlapping=True)(*pair)) for tolerance in (1, 2, 3)]
    assert losses[0] > losses[1] > losses[2] == pytest.approx(0.0, abs=1e-6)


def test_the_edge_of_a_patch_is_no_surface():
    full = torch.ones(1, 1, 6, 6)
    assert float(boundary(smooth=1.0, overlapping=True)(SURE * full, full)) == 0.0


@pytest.mark.long
def test_boundary_draws_an_outline_to_the_truth():
    truth, said = _masks(4, 2)
    target = torch.from_numpy(truth)[None, None].float()
    logits = torch.from_numpy(np.where(said, 1.0, -1.0)).float()[None, None].requires_grad_()
    before = surface_dice(truth, said, (1.0, 1.0))
    optimizer, loss = torch.optim.Adam([logits], lr=0.1), build("boundary", overlapping=True)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    assert surface_dice(truth, (logits[0, 0] > 0).numpy(), (1.0, 1.0)) > max(0.99, before)


def test_deep_supervision_halves_the_weight_of_every_coarser_output():
    target = torch.randint(0, 2, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    target = target.repeat_interleave(4, 1).repeat_interleave(4, 2)  # every coarse voxel is of one class
    outputs = [torch.randn(2, 2, 32 // s, 32 // s, generator=torch.Generator().manual_seed(s)) for s in (1, 2, 4)]
    coarse = [target, target[:, ::2, ::2], target[:, ::4, ::4]]
    for name in NAMES:
        loss = build(name)
        parts = [loss(logits, truth) for logits, truth in zip(outputs, coarse, strict=True)]
        wanted = (parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75
        torch.testing.assert_close(deeply_supervised(loss)(outputs, target), wanted)
        torch.testing.assert_close(deeply_supervised(loss)(outputs[0], target), parts[0])


def test_coarse_regions_are_the_shares_of_their_voxels():
    seen = []
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0]])[None, None]
    loss = deeply_supervised(lambda logits, truth: seen.append(truth) or logits.sum())
    loss([torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)], target)
    assert float(seen[1]) == 0.75


@pytest.mark.long
@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("size", [(17, 22), (16, 18, 21)])
def test_every_head_of_a_deeply_supervised_network_learns(size, overlapping):
    model = UNet(1, 3, len(size), preset="small", channels=(4, 4, 4, 4), deep_supervision=True)
    target = torch.randint(0, 3, (2, *size), generator=torch.Generator().manual_seed(0))
    truth = _regions(target) if overlapping else target
    images = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(1))
    deeply_supervised(build("boundary", overlapping=overlapping))(model(images), truth).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.coarse_heads.parameters())


def test_balanced_weights_give_every_class_the_same_say():
    weights = balanced_weights(torch.tensor([3, 1, 0]))
    torch.testing.assert_close(weights, torch.tensor([4 / 9, 4 / 3, 0.0]))


def test_a_patch_without_foreground_is_left_to_cross_entropy():
    logits = torch.zeros(2, 2, 4, 4, requires_grad=True)
    empty = torch.zeros(2, 4, 4, dtype=torch.int64)
    kind = DiceSection(absent="left-out", background=False)
    build("dice", settings=kind)(logits, empty).backward()
    assert float(logits.grad.abs().max()) == 0
    assert float(build("dice", settings=kind)(logits.detach(), empty)) == 0
    logits = logits.detach()
    joint, entropy = build("dice-cross-entropy", settings=kind)(logits, empty), build("cross-entropy")(logits, empty)
    assert float(joint) == float(entropy)
    counted = build("dice", settings=DiceSection(background=False))(logits, empty)
    assert float(counted) == pytest.approx(1 - 1 / (16 + 1))


def test_dice_over_each_case_by_hand():
    one = torch.tensor([[[[30.0, -30.0]], [[-30.0, 30.0]]]])  # answers 0, 1
    logits = torch.cat([one, one])
    target = torch.tensor([[[0, 1]], [[0, 0]]])
    loss = build("dice", settings=DiceSection(over="case"))(logits, target)
    # case 1: both 1; case 2: background (2·1 + 1)/(1 + 2 + 1), foreground 1/(1 + 1)
    assert float(loss) == pytest.approx(1 - (1 + 1 + 3 / 4 + 1 / 2) / 4)
    left_out = build("dice", settings=DiceSection(over="case", absent="left-out"))(logits, target)
    assert float(left_out) == pytest.approx(1 - (1 + 1 + 3 / 4) / 3)


def test_regions_too_are_left_out_where_they_are_absent():
    logits = torch.zeros(1, 2, 2, 2)
    target = torch.zeros(1, 2, 2, 2)
    target[:, 0] = 1
    loss = build("dice", overlapping=True, settings=DiceSection(absent="left-out"))(logits, target)
    assert float(loss) == pytest.approx(1 - (2 * 2 + 1) / (2 + 4 + 1))
