"""Slices as volumes, as pure geometry: any rigid placement is recovered, whatever the order of the files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from equipoise.cohorts.formats.dicom_geometry import Slice, stack
from equipoise.cohorts.formats.refusal import RefusedFile


def slices(n=5, gap=2.0, orientation=(1, 0, 0, 0, 1, 0), origin=(0.0, 0.0, 0.0), places=None, **changes):
    normal = np.cross(orientation[:3], orientation[3:])
    places = np.arange(n) * gap if places is None else places
    return [
        Slice(
            file=f"{k}.dcm",
            frame=0,
            position=tuple(np.array(origin) + place * normal),
            orientation=tuple(orientation),
            pixel_spacing=(0.8, 0.6),
            **changes,
        )
        for k, place in enumerate(places)
    ]


@pytest.mark.long
@given(
    st.integers(0, 10_000),
    st.floats(0.3, 9.0),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.permutations(range(6)),
)
def test_any_rigid_placement_is_recovered_from_any_order(seed, gap, origin, order):
    turn = Rotation.random(random_state=seed).as_matrix()
    pieces = slices(6, gap, (*turn[:, 0], *turn[:, 1]), origin)
    placed = stack([pieces[k] for k in order])
    expected = np.eye(4)
    expected[:3, :3] = turn * (0.6, 0.8, gap)
    expected[:3, 3] = origin
    assert np.allclose(placed.affine, np.diag([-1, -1, 1, 1]) @ expected, atol=1e-6)
    assert [piece.file for piece in placed.slices] == [f"{k}.dcm" for k in range(6)]


def test_one_slice_takes_the_stated_thickness_or_says_so():
    placed = stack(slices(1), thickness_mm=3.0)
    assert placed.affine[2, 2] == 3.0
    assert placed.remarks == ()
    assert "1 mm was taken" in stack(slices(1)).remarks[0]


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ([0, 2, 4, 8, 10], "1 slices are missing"),
        ([0, 2, 4, 6, 30], "11 slices are missing"),
        ([0, 2, 4, 4, 6], "same place"),
        ([0, 2, 3.4, 6, 8], "not evenly spaced"),
    ],
)
def test_uneven_places_are_refused(places, reason):
    with pytest.raises(RefusedFile, match=reason):
        stack(slices(places=places))


def test_rounded_places_take_their_mean():
    placed = stack(slices(places=[0.0, 0.6, 1.3, 1.9, 2.5]))
    assert placed.affine[2, 2] == pytest.approx(0.625)
    assert "rounded" in placed.remarks[0]


def test_slices_at_one_place_are_told_apart_by_their_details():
    first, second = slices(2, gap=0.0)
    second = Slice(**{**vars(second), "details": (("echo_time", 80.0),)})
    first = Slice(**{**vars(first), "details": (("echo_time", 10.0),)})
    with pytest.raises(RefusedFile, match="they differ in echo_time"):
        stack([first, second])
    with pytest.raises(RefusedFile, match="nothing tells them apart; keep one|nothing tells them apart"):
        stack(slices(2, gap=0.0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"orientation": (1, 0, 0, 0, 0, 1)}, "orientation differs"),
        ({"orientation": None}, "no position, orientation or pixel spacing"),
        ({"pixel_spacing": (0.8, 0.7)}, "pixel spacing"),
        ({"position": (5.0, 0.0, 6.0)}, "shifted sideways"),
    ],
)
def test_slices_that_do_not_belong_are_named(change, reason):
    pieces = slices()
    pieces[3] = Slice(**{**vars(pieces[3]), **change})
    with pytest.raises(RefusedFile, match=reason) as caught:
        stack(pieces)
    assert caught.value.file == "3.dcm"


@pytest.mark.parametrize("orientation", [(1, 0, 0, 1, 0, 0), (2, 0, 0, 0, 1, 0), (0, 0, 0, 0, 0, 0)])
def test_orientations_that_are_no_rotation_are_refused(orientation):
    pieces = [Slice("a", 0, (0.0, 0.0, 0.0), tuple(map(float, orientation)), (1.0, 1.0))]
    with pytest.raises(RefusedFile, match="not a rotation"):
        stack(pieces)


def test_spacing_that_is_not_positive_is_refused():
    with pytest.raises(RefusedFile, match="pixel spacing is"):
        stack([Slice("a", 0, (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0), (0.0, 1.0))])


def test_a_tilted_gantry_is_measured():
    pieces = [
        Slice(f"{k}", 0, (0.0, np.tan(np.radians(15)) * 3 * k, 3.0 * k), (1.0, 0, 0, 0, 1, 0), (0.5, 0.5))
        for k in range(20)
    ]
    with pytest.raises(RefusedFile, match=r"tilted by 15\.0°"):
        stack(pieces)


def test_a_frame_of_several_is_named_by_its_number():
    assert Slice("a.dcm", 4, None, None, None).name == "a.dcm frame 5"
