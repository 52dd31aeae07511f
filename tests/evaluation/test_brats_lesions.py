from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.evaluation.brats_lesions import brats_lesions
from equipoise.evaluation.segmentation import dice
from equipoise.evaluation.surface import hd95


def _slow(
    truth: np.ndarray, said: np.ndarray, spacing: tuple[float, ...], steps: int, smallest: float
) -> tuple[list[tuple[float, float]], int, int]:
    """From the published description, whole images each time: (Dice, HD95) of found lesions, missed, invented."""
    edges, corners = ndimage.generate_binary_structure(truth.ndim, 2), np.ones((3,) * truth.ndim)
    grown, n = ndimage.label(ndimage.binary_dilation(truth, edges, steps) if steps else truth, corners)
    parts, m = ndimage.label(said, corners)
    found, missed, used = [], 0, set()
    for number in range(1, n + 1):
        lesion = truth & (grown == number)
        reach = ndimage.binary_dilation(lesion, edges, steps) if steps else lesion
        touched = set(parts[reach].tolist()) - {0}
        used |= touched
        if lesion.sum() * np.prod(spacing) > smallest:
            answer = np.isin(parts, list(touched))
            missed += not touched
            found += [(dice(lesion, answer), hd95(lesion, answer, spacing))] if touched else []
    return found, missed, m - len(used)


def _masks(seed: int, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Scattered blobs, and others that share some of them."""
    rng = np.random.default_rng(seed)
    shape = (40, 44) if dims == 2 else (22, 24, 20)
    noise = [ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(2)]
    mixed = noise[0] + rng.uniform(0.2, 1.0) * noise[1]
    return noise[0] > np.quantile(noise[0], 0.93), mixed > np.quantile(mixed, rng.uniform(0.9, 0.97))


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.integers(0, 3), st.sampled_from([0.0, 5.0, 30.0]))
def test_equals_the_published_description(seed: int, dims: int, steps: int, smallest: float) -> None:
    truth, said = _masks(seed, dims)
    spacing = (1.5, 0.8, 1.0)[:dims]
    found, missed, invented = _slow(truth, said, spacing, steps, smallest)
    scores = brats_lesions(truth, said, spacing, steps, smallest)
    assert (scores.missed, scores.invented) == (missed, invented)
    np.testing.assert_allclose(scores.dice_of_detected, [d for d, _ in found])
    np.testing.assert_allclose(scores.hd95_of_detected, [h for _, h in found])
    assert 0 <= scores.dice <= 1
    assert 0 <= scores.f1 <= 1
    assert 0 <= scores.hd95 <= scores.diagonal_mm


def _row(text: str) -> np.ndarray:
    return np.array([[letter != "." for letter in text]])


@pytest.mark.parametrize(
    ("truth", "said", "counts", "f1", "mean_dice"),
    [
        ("............", "............", (0, 0, 0), 1.0, 1.0),
        ("xx..........", "............", (0, 1, 0), 0.0, 0.0),
        ("............", "xx..........", (0, 0, 1), 0.0, 0.0),
        ("xx..xx......", "xx..........", (1, 0, 0), 1.0, 2 / 3),  # a gap of two is bridged by one step from each side
        ("xx....xx....", "xx..........", (1, 1, 0), 2 / 3, 0.5),
        ("xx..........", "..x.........", (1, 0, 0), 1.0, 0.0),  # beside the lesion, within its dilation
        ("xx..........", "...x........", (0, 1, 1), 0.0, 0.0),
        ("xx....xx....", "xxxxxxxx....", (2, 0, 0), 1.0, 2 * 2 / 10),  # one part answers two lesions
        ("xxx.........", "x.x......x..", (1, 0, 1), 2 / 3, 0.4),
    ],
)
def test_cases_by_hand(truth: str, said: str, counts: tuple[int, int, int], f1: float, mean_dice: float) -> None:
    scores = brats_lesions(_row(truth), _row(said), (1.0, 1.0), dilation=1, smallest_mm3=0.0)
    assert (scores.detected, scores.missed, scores.invented) == counts
    assert scores.f1 == pytest.approx(f1)
    assert scores.dice == pytest.approx(mean_dice)


def test_a_small_lesion_is_not_scored_and_its_answer_not_invented() -> None:
    truth, said = _row("xx....xxxxx."), _row("xx....xxxxx.")
    scores = brats_lesions(truth, said, (1.0, 1.0), dilation=1, smallest_mm3=2.0)
    assert (scores.detected, scores.missed, scores.invented, scores.dice) == (1, 0, 0, 1.0)
    unseen = brats_lesions(truth, _row("......xxxxx."), (1.0, 1.0), dilation=1, smallest_mm3=2.0)
    assert (unseen.missed, unseen.dice) == (0, 1.0)


def test_what_is_wrong_costs_the_diagonal() -> None:
    scores = brats_lesions(_row("xx.........."), _row("..........xx"), (3.0, 4.0), dilation=1, smallest_mm3=0.0)
    assert scores.hd95 == pytest.approx(np.hypot(3, 48))
    assert brats_lesions(_row("...."), _row("...."), (1.0, 1.0)).hd95 == 0.0


@pytest.mark.long
@pytest.mark.parametrize("model", ["UNet_sample_1", "SegResNet_sample_3", "SwinUNETR_sample_1"])
def test_real_pairs_equal_the_published_description(shared_data: Path, model: str) -> None:
    folder = shared_data / "seg_pred_pairs_brats23"
    pair = (read_nifti(folder / f"{model}_{kind}.nii.gz").array for kind in ("label", "pred"))
    truth, said = (np.moveaxis(array > 0, -1, 0) for array in pair)  # the files keep the regions on their first axis
    assert truth.shape == said.shape == (3, 155, 240, 240)
    for true, predicted in zip(truth, said, strict=True):
        box = tuple(slice(int(a.min()), int(a.max()) + 1) for a in np.nonzero(true | predicted))
        box = tuple(slice(max(0, s.start - 4), s.stop + 4) for s in box)
        found, missed, invented = _slow(true[box], predicted[box], (1.0, 1.0, 1.0), 3, 50.0)
        scores = brats_lesions(true, predicted, (1.0, 1.0, 1.0))
        assert (scores.missed, scores.invented) == (missed, invented)
        np.testing.assert_allclose(scores.dice_of_detected, [d for d, _ in found])
        np.testing.assert_allclose(scores.hd95_of_detected, [h for _, h in found])
        assert scores.diagonal_mm == pytest.approx(373.1, abs=0.1)
