import numpy as np
import pytest

from equipoise.cohorts import Image
from equipoise.evaluation.finding_masks import findings_in
from equipoise.preprocessing import Pipeline
from equipoise.preprocessing.one_by_one import MaskCase
from equipoise.training.data.finding_targets import centre_map, finding_target


def case(settings, mask):
    image = Image(np.zeros((1, *mask.shape), np.float32), (1.0, 2.0), mask)
    prepared = Pipeline.from_settings(settings).apply(image, 3)
    return MaskCase(0, prepared.image, prepared.target, mask, image.spacing_mm, prepared.record)


def mask():
    found = np.zeros((20, 16), np.uint8)
    found[3:8, 4:7] = 1
    found[12:16, 10:13] = 2
    return found


def test_irrelevant_voxels_are_background():
    one = case({}, mask())
    target = finding_target(one, findings_in(one.truth, one.spacing_mm), "classes")
    np.testing.assert_array_equal(target, mask() == 1)
    assert target.dtype == np.uint8


def test_smoothed_masks_keep_what_is_sought_and_sum_to_one():
    one = case({"smooth_labels": 1.0}, mask())
    target = finding_target(one, findings_in(one.truth, one.spacing_mm), "classes")
    assert target.shape == (2, 20, 16)
    np.testing.assert_allclose(target.sum(axis=0), 1)
    np.testing.assert_allclose(target[1], one.target[1])


@pytest.mark.parametrize("settings", [{}, {"resample": 1.0}, {"size": [32, 24], "resample": 0.5}])
def test_centres_lie_where_the_findings_do_on_every_grid(settings):
    one = case(settings, mask())
    findings = findings_in(one.truth, one.spacing_mm)
    target = finding_target(one, findings, "centres")
    np.testing.assert_allclose(target.sum(axis=0), 1)
    at = np.array(np.unravel_index(target[1].argmax(), target[1].shape))
    place = one.record.places_forward(findings.centre_mm / one.spacing_mm, one.image.shape[1:])[0]
    assert np.abs(at - place).max() <= 0.51
    assert target[1].max() > 0.6
    if not settings:
        assert target[1][14, 11] < 0.02, "the irrelevant one has no spot"


def test_spots_are_gaussians_of_half_the_radius_and_the_highest_wins():
    places, radius = np.array([[10.0, 12.25], [14.0, 12.0]]), np.array([6.0, 1.0])
    found = centre_map(places, radius, (30, 25), (1.0, 2.0))
    row, column = np.mgrid[:30, :25]
    slow = np.zeros((30, 25))
    for (y, x), sigma in zip(places, (3.0, 2.0), strict=True):  # no smaller than the largest spacing
        square = (row - y) ** 2 + (2 * (column - x)) ** 2
        slow = np.maximum(slow, np.exp(-square / (2 * sigma**2)))
    np.testing.assert_allclose(found, np.where(slow > np.exp(-8), slow, found), atol=1e-6)
    assert (found[slow < np.exp(-16)] == 0).all()
    edge = found[16, 12]
    assert edge == pytest.approx(np.exp(-2), abs=0.02) or edge > np.exp(-2)


def test_spots_beyond_the_grid_leave_their_tail_and_none_leaves_nothing():
    assert centre_map(np.array([[-2.0, 3.0]]), np.array([4.0]), (8, 8), (1.0, 1.0)).max() == pytest.approx(np.exp(-0.5))
    assert centre_map(np.array([[-90.0, 3.0]]), np.array([4.0]), (8, 8), (1.0, 1.0)).max() == 0
    assert centre_map(np.empty((0, 2)), np.empty(0), (8, 8), (1.0, 1.0)).max() == 0
