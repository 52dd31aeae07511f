import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import PredictionError
from equipoise.evaluation.segmentation import METRICS, case_metrics, dice, iou, volume_error_ml


def _blobs(seed: int, shape: tuple[int, ...] = (20, 24, 18)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    centre = np.array(shape) / 2 + rng.normal(size=len(shape))
    truth = np.linalg.norm(grid - centre, axis=-1) < 5
    return truth, np.linalg.norm(grid - centre - rng.normal(size=len(shape)), axis=-1) < rng.uniform(3, 6)


@pytest.mark.parametrize("seed", range(5))
def test_overlap_agrees_with_simpleitk(seed: int) -> None:
    truth, said = _blobs(seed)
    oracle = sitk.LabelOverlapMeasuresImageFilter()
    oracle.Execute(sitk.GetImageFromArray(truth.astype(np.uint8)), sitk.GetImageFromArray(said.astype(np.uint8)))
    assert dice(truth, said) == pytest.approx(oracle.GetDiceCoefficient(), abs=1e-12)
    assert iou(truth, said) == pytest.approx(oracle.GetJaccardCoefficient(), abs=1e-12)


def test_empty_masks() -> None:
    none, some = np.zeros((4, 4), dtype=bool), np.eye(4, dtype=bool)
    assert [dice(none, none), dice(none, some), dice(some, none), dice(some, some)] == [1.0, 0.0, 0.0, 1.0]
    assert [iou(none, none), iou(none, some), iou(some, none), iou(some, some)] == [1.0, 0.0, 0.0, 1.0]
    assert volume_error_ml(none, none, (1.0, 1.0)) == 0.0


@pytest.mark.long
@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_dice_and_iou_follow_from_each_other(a: int, b: int) -> None:
    truth, said = (np.array([n >> i & 1 for i in range(16)], dtype=bool) for n in (a, b))
    j = iou(truth, said)
    assert dice(truth, said) == pytest.approx(2 * j / (1 + j))
    assert dice(truth, said) == dice(said, truth)


def test_volume_error_is_signed_and_in_millilitres() -> None:
    truth, said = np.zeros((10, 10, 10), dtype=bool), np.zeros((10, 10, 10), dtype=bool)
    truth[:2, :, :] = True
    said[:3, :, :] = True
    assert volume_error_ml(truth, said, (2.0, 1.0, 1.0)) == pytest.approx(0.2)
    assert volume_error_ml(said, truth, (2.0, 1.0, 1.0)) == pytest.approx(-0.2)


def test_a_case_leaves_one_row_with_counts_to_pool() -> None:
    truth, said = (mask.astype(np.int64) for mask in _blobs(1))
    truth[truth.shape[0] // 2 :] *= 2
    row = case_metrics(truth, said, {"whole": (1, 2), "core": (2,)}, (1.0, 1.0, 2.0))
    assert row["dice_whole"] == dice(truth > 0, said == 1)
    assert row["dice_core"] == 0.0
    assert row["hd95_core"] == pytest.approx(np.linalg.norm([20, 24, 36]))
    pooled = 2 * row["shared_voxels_whole"] / (row["truth_voxels_whole"] + row["predicted_voxels_whole"])
    assert pooled == pytest.approx(row["dice_whole"])
    for name, true, predicted in (("whole", truth > 0, said == 1), ("core", truth == 2, said == 2)):
        for metric, alone in METRICS.items():
            assert row[f"{metric}_{name}"] == pytest.approx(alone(true, predicted, (1.0, 1.0, 2.0)))
    assert all(np.isfinite(value) for value in row.values())


def test_other_grids_are_refused() -> None:
    with pytest.raises(PredictionError, match="bring both to one grid"):
        dice(np.zeros((3, 3), dtype=bool), np.zeros((3, 4), dtype=bool))
