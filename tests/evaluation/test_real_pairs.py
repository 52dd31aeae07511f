"""Endpoints of real BraTS segmentations against SimpleITK, region by region."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.evaluation.segmentation import dice, iou, volume_error_ml
from equipoise.evaluation.surface import surface_distances

PAIRS = ["UNet_sample_1", "SegResNet_sample_3", "SwinUNETR_sample_1"]
SPACING = (2.0, 1.0, 1.5)
"""The files are on a grid of 1 mm; another spacing would show axes that are confused."""


def _pair(folder: Path, model: str) -> list[np.ndarray]:
    """Masks (region, z, y, x) of truth and prediction; the files keep the regions on their first axis."""
    names = [folder / "seg_pred_pairs_brats23" / f"{model}_{kind}.nii.gz" for kind in ("label", "pred")]
    return [np.moveaxis(read_nifti(name).array > 0, -1, 0) for name in names]


def _image(mask: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(SPACING[::-1])
    return image


def _directed(truth: np.ndarray, said: np.ndarray) -> list[np.ndarray]:
    """Distances from each contour to the other, by SimpleITK's contours and distance maps."""
    contours = [sitk.BinaryContour(_image(mask), fullyConnected=False) for mask in (truth, said)]
    maps = [sitk.SignedMaurerDistanceMap(c, squaredDistance=False, useImageSpacing=True) for c in contours]
    on, to = ([np.abs(sitk.GetArrayFromImage(image)) for image in images] for images in (contours, maps))
    return [to[1][on[0] > 0].astype(float), to[0][on[1] > 0].astype(float)]


@pytest.mark.long
@pytest.mark.parametrize("model", PAIRS)
def test_endpoints_agree_with_simpleitk(shared_data: Path, model: str) -> None:
    for truth, said in zip(*_pair(shared_data, model), strict=True):
        box = tuple(slice(int(a.min()) - 2, int(a.max()) + 3) for a in np.nonzero(truth | said))
        there, back = _directed(truth[box], said[box])
        together = np.concatenate([there, back])
        found = surface_distances(truth, said, SPACING)
        assert found.hd95() == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)
        assert found.assd() == pytest.approx(together.mean(), rel=1e-5)
        assert found.surface_dice(1.25) == pytest.approx((together <= 1.25).mean(), abs=1e-9)
        oracle = sitk.LabelOverlapMeasuresImageFilter()
        oracle.Execute(_image(truth), _image(said))
        assert dice(truth, said) == pytest.approx(oracle.GetDiceCoefficient())
        assert iou(truth, said) == pytest.approx(oracle.GetJaccardCoefficient())
        volumes = sitk.LabelShapeStatisticsImageFilter()
        ml = []
        for mask in (truth, said):
            volumes.Execute(_image(mask))
            ml.append(volumes.GetPhysicalSize(1) / 1000)
        assert volume_error_ml(truth, said, SPACING) == pytest.approx(ml[1] - ml[0])


@pytest.mark.long
def test_a_real_region_against_nothing_is_the_worst_result(shared_data: Path) -> None:
    truth = _pair(shared_data, PAIRS[0])[0][0]
    nothing = np.zeros_like(truth)
    diagonal = np.linalg.norm(np.multiply(truth.shape, SPACING))
    for pair in ((truth, nothing), (nothing, truth)):
        found = surface_distances(*pair, SPACING)
        assert (found.hd95(), found.assd(), found.surface_dice(1.0)) == (diagonal, diagonal, 0.0)
        assert dice(*pair) == iou(*pair) == 0.0
    assert volume_error_ml(truth, nothing, SPACING) == pytest.approx(-truth.sum() * 3.0 / 1000)
