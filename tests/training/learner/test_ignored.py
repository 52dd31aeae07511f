"""Voxels that nobody labelled: no gradient, no share in a loss, no hit and no error in a metric."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from equipoise.cohorts.cohort import IGNORED
from equipoise.evaluation.regions import labelled_only, region_masks
from equipoise.evaluation.segmentation import region_metrics
from equipoise.training.data.patches import _foreground_voxels
from equipoise.training.learner.losses import build, by_region, deeply_supervised, without_ignored

CLASSES = 3


def batch(shape=(2, 6, 5), share=0.4):
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn((shape[0], CLASSES, *shape[1:]), generator=draws, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, CLASSES, shape, generator=draws)
    target[torch.rand(shape, generator=draws) < share] = IGNORED
    return logits, target


@pytest.mark.parametrize("shape", [(2, 6, 5), (1, 4, 6, 5)])
def test_cross_entropy_is_that_of_torch_with_an_index_to_ignore(shape):
    logits, target = batch(shape)
    ours = without_ignored(build("cross-entropy"))(logits, target)
    torch.testing.assert_close(ours, functional.cross_entropy(logits, target, ignore_index=IGNORED))


def test_dice_is_the_formula_over_the_labelled_voxels_alone():
    logits, target = batch()
    p, t = logits.detach().softmax(1).numpy(), target.numpy()
    labelled = t != IGNORED
    terms = []
    for c in range(CLASSES):
        mine, truth = p[:, c][labelled], t[labelled] == c
        terms.append((2 * (mine * truth).sum() + 1) / (mine.sum() + truth.sum() + 1))
    assert float(without_ignored(build("dice"))(logits.detach(), target)) == pytest.approx(1 - np.mean(terms), rel=1e-9)


@pytest.mark.parametrize("name", ["cross-entropy", "dice", "dice-cross-entropy", "focal"])
@pytest.mark.parametrize("regions", [False, True])
def test_what_is_not_labelled_has_no_gradient_and_no_say(name, regions):
    logits, target = batch()
    table = torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.float64)
    loss = by_region(build(name, overlapping=True), table) if regions else build(name)
    value = without_ignored(loss)(logits, target)
    value.backward()
    ignored = (target == IGNORED)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).any()
    changed = torch.where(ignored, logits.detach() * 7 + 3, logits.detach())
    torch.testing.assert_close(without_ignored(loss)(changed, target), value.detach())


def test_without_such_voxels_the_loss_is_what_it_was_and_of_nothing_it_is_zero():
    logits, target = batch(share=0.0)
    for name in ("cross-entropy", "dice-cross-entropy", "focal"):
        torch.testing.assert_close(without_ignored(build(name))(logits, target), build(name)(logits, target))
    nothing = without_ignored(build("dice-cross-entropy"))(logits, torch.full_like(target, IGNORED))
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert (logits.grad == 0).all()


def test_coarser_outputs_keep_the_mark():
    logits, _ = batch((2, 8, 8))
    target = torch.full((2, 8, 8), IGNORED)
    target[:, :4] = 1
    coarse = logits[..., ::2, ::2]
    both = deeply_supervised(without_ignored(build("cross-entropy")))([logits, coarse], target)
    fine = functional.cross_entropy(logits, target, ignore_index=IGNORED)
    half = functional.cross_entropy(coarse, target[:, ::2, ::2], ignore_index=IGNORED)
    torch.testing.assert_close(both, (fine + half / 2) / 1.5)


def test_metrics_do_not_look_there():
    truth = np.array([[1, 1, 0, 0], [1, 0, IGNORED, IGNORED]], np.uint8)
    answer = {"a": np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)}
    masks = labelled_only(answer, truth)
    assert masks["a"].sum() == 2
    row = region_metrics(region_masks(truth, {"a": (1,)}), masks, (1.0, 1.0))
    assert row["dice_a"] == pytest.approx(2 * 2 / (3 + 2))
    assert row["predicted_voxels_a"] == 2
    whole = np.array([[1, 0]], np.uint8)
    assert labelled_only({"a": whole == 1}, whole)["a"].tolist() == [[True, False]]


def test_patches_are_not_centred_there():
    target = np.array([[0, 2, IGNORED], [IGNORED, 1, 0]], np.uint8)
    assert [voxels.tolist() for voxels in _foreground_voxels(target, 2)] == [[4], [1]]
