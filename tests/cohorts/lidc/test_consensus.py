"""Grouping and rendering of hand-made marks whose truth can be computed by hand."""

import numpy as np
import pytest

from equipoise.cohorts.lidc.consensus import (
    consensus_slices,
    consensus_volume,
    group_marks,
    mark_reach,
    mark_volume,
    measure_marks,
)
from equipoise.cohorts.lidc.database import LidcDatabase

Box = tuple[int, int, int, int]  # first and last column, first and last row of the outline


def database_of(
    marks: list[list[tuple[float, Box, bool]]], pixel_mm: float = 1.0, slice_mm: float = 1.0
) -> LidcDatabase:
    """One scan; each mark is a list of (z in mm, outline box, inclusion)."""
    contours = [(mark, *contour) for mark, group in enumerate(marks) for contour in group]
    corners = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for _, _, (x0, x1, y0, y1), _ in contours]
    return LidcDatabase(
        patient=np.array(["P"]),
        study=np.array(["study"]),
        series=np.array(["series"]),
        pixel_mm=np.array([pixel_mm]),
        slice_mm=np.array([slice_mm]),
        mark_scan=np.zeros(len(marks), dtype=np.int64),
        ratings=np.full((len(marks), 9), 3),
        contour_mark=np.array([row[0] for row in contours]),
        inclusion=np.array([row[3] for row in contours]),
        z_mm=np.array([row[1] for row in contours]),
        point_start=np.arange(len(contours) + 1) * 4,
        points=np.array(corners).reshape(-1, 2),
    )


def block(z: range, box: Box, step: float = 1.0) -> list[tuple[float, Box, bool]]:
    return [(index * step, box, True) for index in z]


def test_a_block_has_the_volume_centre_and_diameter_computed_by_hand() -> None:
    marks = measure_marks(database_of([block(range(4), (10, 15, 20, 28), 2.5)], pixel_mm=0.5, slice_mm=2.5))
    assert marks.volume_mm3[0] == pytest.approx(4 * 7 * 4 * 0.25 * 2.5)  # 4 × 7 pixels inside, 4 slices
    np.testing.assert_allclose(marks.centre_mm[0], [12.5 * 0.5, 24 * 0.5, 3.75])
    assert marks.diameter_mm[0] == pytest.approx((np.hypot(5, 8) - 1) * 0.5)
    assert mark_reach(marks, (0,)) == pytest.approx(3.75)


def test_the_outline_itself_is_outside_and_an_exclusion_is_a_hole() -> None:
    hole = [(1.0, (12, 16, 12, 16), False)]
    marks = measure_marks(database_of([block(range(3), (10, 18, 10, 18)) + hole]))
    volume, origin = mark_volume(marks, 0)
    assert origin == (0.0, 10, 10)
    assert volume.sum(axis=(1, 2)).tolist() == [49, 49 - 9, 49]
    assert not volume[1, 3:6, 3:6].any()
    assert marks.volume_mm3[0] == 3 * 49 - 9


def test_shares_are_exact_and_axes_point_right_front_and_up() -> None:
    wide, shifted = block(range(5), (10, 20, 10, 20)), block(range(5), (10, 24, 10, 20))
    marks = measure_marks(database_of([wide, shifted, wide, wide]))
    shares = consensus_slices(marks, (0, 1, 2, 3), 24, 1.0)
    volume = consensus_volume(marks, (0, 1, 2, 3), 25, 1.0)
    assert set(np.unique(shares)) == {0, 3, 12}
    assert shares[0].max() == shares[1].max() == 12
    # Columns grow to the patient's left, so what only the second reader marked lies at small x.
    axial, coronal, _ = shares
    few, all_ = np.argwhere(axial == 3)[:, 1], np.argwhere(axial == 12)[:, 1]
    assert few.max() < all_.min()
    assert np.argwhere(coronal == 3)[:, 1].max() < np.argwhere(coronal == 12)[:, 1].min()
    assert (volume == 12).sum() == pytest.approx(9 * 9 * 5, rel=0.25)
    assert volume.shape == (25, 25, 25)


def test_up_is_the_end_of_the_vertical_axis_and_front_is_the_end_of_the_middle_one() -> None:
    tall = [(0.0, (10, 20, 10, 20), True), (1.0, (10, 20, 10, 20), True), (2.0, (13, 17, 16, 20), True)]
    marks = measure_marks(database_of([tall]))
    volume = consensus_volume(marks, (0,), 15, 1.0)
    areas = volume.astype(bool).sum(axis=(1, 2))
    occupied = np.flatnonzero(areas)
    assert areas[occupied[-1]] < areas[occupied[0]]  # the small slice has the highest position
    top = np.argwhere(volume[occupied[-1]])[:, 0].mean()
    assert top < np.argwhere(volume[occupied[0]])[:, 0].mean()  # high rows lie towards the back


def test_slices_are_the_planes_of_the_volume() -> None:
    generator = np.random.default_rng(0)
    for _ in range(10):
        boxes = [(9 - k, 22 + k, 12 - k, 20 + k) for k in generator.integers(0, 4, size=6)]
        mark = [(index * 2.0, box, True) for index, box in enumerate(boxes)]
        marks = measure_marks(database_of([mark], pixel_mm=0.7, slice_mm=2.0))
        size = 31  # odd: the middle plane passes through the centre
        volume, slices = consensus_volume(marks, (0,), size, 0.9), consensus_slices(marks, (0,), size, 0.9)
        np.testing.assert_array_equal(slices[0], volume[15])
        np.testing.assert_array_equal(slices[1], volume[:, 15])
        np.testing.assert_array_equal(slices[2], volume[:, :, 15])


def test_near_marks_join_and_far_ones_do_not() -> None:
    near = [block(range(5), (10 + k, 20 + k, 10, 20)) for k in (0, 2, 4)]
    far = [block(range(5), (40, 50, 10, 20))]
    assert group_marks(measure_marks(database_of(near + far))) == ((0, 1, 2), (3,))


def test_large_marks_join_over_a_larger_distance() -> None:
    large = [block(range(40), (10, 60, 10, 60)), block(range(40), (22, 72, 10, 60))]
    assert group_marks(measure_marks(database_of(large))) == ((0, 1),)


def test_no_nodule_has_more_than_four_readers() -> None:
    crowd = [block(range(5), (10 + k, 20 + k, 10, 20)) for k in (0, 0, 0, 5, 5, 6, 6)]
    groups = group_marks(measure_marks(database_of(crowd)))
    assert groups == ((0, 1, 2), (3, 4, 5, 6))
    same = [block(range(3), (10, 20, 10, 20))] * 6
    assert sorted(len(group) for group in group_marks(measure_marks(database_of(same)))) == [2, 4]
