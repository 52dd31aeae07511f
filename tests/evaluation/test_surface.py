import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import PredictionError
from equipoise.evaluation.surface import assd, hd95, surface_dice, surface_distances

SPACING = (1.0, 0.7, 2.5)


def _masks(seed: int, shape: tuple[int, ...] = (16, 18, 14)) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping blocks with ragged edges, away from the border."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(2):
        mask = np.zeros(shape, dtype=bool)
        low = rng.integers(2, 5, size=len(shape))
        high = low + rng.integers(4, 8, size=len(shape))
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
        out.append(mask & (rng.random(shape) < 0.9))
    return out[0], out[1]


def _slow(truth: np.ndarray, said: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Ten literal lines: every surface voxel against every other."""
    points = []
    for mask in (truth, said):
        padded = np.pad(mask, 1)
        inner = np.ones_like(mask)
        for axis in range(mask.ndim):
            for step in (-1, 1):
                inner &= np.roll(padded, step, axis)[(slice(1, -1),) * mask.ndim]
        points.append(np.argwhere(mask & ~inner) * np.array(spacing))
    distances = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    return distances.min(axis=1), distances.min(axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_between_all_surface_voxels(seed: int) -> None:
    truth, said = _masks(seed)
    found, (slow_truth, slow_said) = surface_distances(truth, said, SPACING), _slow(truth, said, SPACING)
    np.testing.assert_allclose(np.sort(found.from_truth), np.sort(slow_truth), atol=1e-9)
    np.testing.assert_allclose(np.sort(found.from_prediction), np.sort(slow_said), atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_monai(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

        truth, said = _masks(seed)
        pair = [torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32)) for mask in (said, truth)]
        oracle_hd = compute_hausdorff_distance(*pair, percentile=95, spacing=SPACING)
        oracle_assd = compute_average_surface_distance(*pair, symmetric=True, spacing=SPACING)
    assert hd95(truth, said, SPACING) == pytest.approx(float(oracle_hd), rel=1e-5)
    assert assd(truth, said, SPACING) == pytest.approx(float(oracle_assd), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_surface_and_distances_agree_with_simpleitk(seed: int) -> None:
    truth, said = _masks(seed)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, said)]
    for image in images:
        image.SetSpacing(SPACING[::-1])
    oracle = sitk.HausdorffDistanceImageFilter()
    oracle.Execute(*(sitk.BinaryContour(image, fullyConnected=False) for image in images))
    found = surface_distances(truth, said, SPACING)
    assert found.hausdorff() == pytest.approx(oracle.GetHausdorffDistance(), rel=1e-6)
    mean = (found.from_truth.mean() + found.from_prediction.mean()) / 2
    assert mean == pytest.approx(oracle.GetAverageHausdorffDistance(), rel=1e-6)


def test_two_apart_voxels_are_as_far_as_they_are() -> None:
    truth, said = np.zeros((9, 9, 9), dtype=bool), np.zeros((9, 9, 9), dtype=bool)
    truth[1, 1, 1] = said[4, 5, 1] = True
    assert hd95(truth, said, (1.0, 1.0, 1.0)) == assd(truth, said, (1.0, 1.0, 1.0)) == 5.0
    assert surface_dice(truth, said, (1.0, 1.0, 1.0), tolerance_mm=4.9) == 0.0
    assert surface_dice(truth, said, (1.0, 1.0, 1.0), tolerance_mm=5.0) == 1.0


@pytest.mark.parametrize("spacing", [0.7, 0.3, 0.1, 1.1])
def test_a_step_is_no_longer_than_the_spacing(spacing: float) -> None:
    truth, said = np.zeros((2, 40, 3), dtype=bool)
    truth[5:38, 1] = said[6:39, 1] = True
    assert surface_dice(truth, said, (spacing, spacing), tolerance_mm=spacing) == 1.0


def test_empty_masks() -> None:
    none, some = np.zeros((3, 4), dtype=bool), np.eye(3, 4, dtype=bool)
    for pair, expected in (((none, none), (0, 0, 1)), ((none, some), (5, 5, 0)), ((some, none), (5, 5, 0))):
        assert (hd95(*pair, (1.0, 1.0)), assd(*pair, (1.0, 1.0)), surface_dice(*pair, (1.0, 1.0))) == expected
        assert surface_distances(*pair, (1.0, 1.0)).hausdorff() == expected[0]


def test_a_mask_at_the_image_border_has_its_surface_there() -> None:
    full = np.ones((4, 4), dtype=bool)
    assert surface_distances(full, full, (1.0, 1.0)).from_truth.size == 12


@pytest.mark.long
@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(0, 6), st.integers(0, 6))
def test_cropping_and_shifting_change_nothing(seed: int, before: int, after: int) -> None:
    truth, said = _masks(seed, (12, 13))
    padded = [np.pad(mask, ((before, after), (after, before))) for mask in (truth, said)]
    spacing = (0.5, 2.0)
    assert hd95(*padded, spacing) == pytest.approx(hd95(truth, said, spacing))
    assert hd95(said, truth, spacing) == pytest.approx(hd95(truth, said, spacing))
    assert 0 <= surface_dice(truth, said, spacing) <= 1


def test_distances_grow_with_the_spacing() -> None:
    truth, said = _masks(3)
    double = tuple(2 * s for s in SPACING)
    assert hd95(truth, said, double) == pytest.approx(2 * hd95(truth, said, SPACING))


@pytest.mark.parametrize(("shape", "spacing"), [((3, 4), (1.0, 1.0)), ((3, 3), (1.0, 1.0, 1.0))])
def test_grids_that_do_not_fit_are_refused(shape: tuple[int, int], spacing: tuple[float, ...]) -> None:
    with pytest.raises(PredictionError, match="bring both to one grid"):
        surface_distances(np.ones((3, 3), dtype=bool), np.ones(shape, dtype=bool), spacing)
