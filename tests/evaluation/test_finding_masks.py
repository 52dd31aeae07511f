import numpy as np
import pytest
from scipy import ndimage

from equipoise.evaluation.detection import match
from equipoise.evaluation.finding_masks import diameter_of, findings_in


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.7)])
def test_a_ball_comes_back_with_its_place_and_size(spacing):
    z, y, x = np.meshgrid(*(np.arange(40) * mm for mm in spacing), indexing="ij")
    centre, radius = (18.0, 13.0, 15.0), 7.0
    mask = ((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2).astype(np.uint8)
    found = findings_in(mask, spacing)
    assert found.relevant.tolist() == [True]
    np.testing.assert_allclose(found.centre_mm[0], centre, atol=0.3)
    assert found.diameter_mm[0] == pytest.approx(2 * radius, rel=0.03)


def test_parts_agree_with_scipys_measurements():
    generator = np.random.default_rng(0)
    mask = (ndimage.gaussian_filter(generator.normal(size=(30, 40)), 1.5) > 0.15).astype(np.uint8)
    part, n = ndimage.label(mask, np.ones((3, 3)))
    found = findings_in(mask, (2.0, 0.5))
    assert len(found.relevant) == n > 3
    np.testing.assert_allclose(
        found.centre_mm, np.array(ndimage.center_of_mass(mask, part, range(1, n + 1))) * [2, 0.5]
    )
    areas = ndimage.sum_labels(mask, part, range(1, n + 1))
    np.testing.assert_allclose(np.pi * found.radius_mm**2, areas * 1.0)


def test_irrelevant_parts_stand_behind_and_do_not_join_what_they_touch():
    mask = np.array([[1, 1, 2, 2, 0, 1]])
    found = findings_in(mask, (1.0, 1.0))
    assert found.relevant.tolist() == [True, True, False]
    assert found.centre_mm[:, 1].tolist() == [0.5, 5.0, 2.5]
    # what lies in both is a hit: the sought one is nearer than its radius
    assert match(np.array([[0.0, 0.5], [0.0, 2.5]]), found).finding.tolist() == [0, -1]


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_an_empty_mask_has_no_finding(shape):
    found = findings_in(np.zeros(shape, np.uint8), (1.0,) * len(shape))
    assert found.centre_mm.shape == (0, len(shape))
    assert found.diameter_mm.shape == (0,)


def test_diameters_are_those_of_balls_and_discs():
    assert diameter_of(np.array([np.pi / 6]), 3)[0] == pytest.approx(1)
    assert diameter_of(np.array([np.pi / 4]), 2)[0] == pytest.approx(1)
