import numpy as np
import pytest
from scipy import ndimage

from equipoise.errors import PredictionError
from equipoise.evaluation import candidates
from equipoise.evaluation.candidates import connected_candidates, nested_candidates, peak_candidates


def _map(seed: int) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(14, 20, 18)), 1.2)
    return (noise - noise.min()) / np.ptp(noise)


@pytest.mark.parametrize("seed", range(3))
def test_parts_agree_with_scipys_measurements(seed: int) -> None:
    probability, spacing = _map(seed), (2.5, 0.7, 0.7)
    part, n = ndimage.label(probability >= 0.8, np.ones((3, 3, 3)))
    which = np.arange(1, n + 1)
    order = np.argsort(-ndimage.maximum(probability, part, which), kind="stable")
    found = connected_candidates(probability, spacing, 0.8)
    assert len(found) == n > 2
    np.testing.assert_allclose(found.score, ndimage.maximum(probability, part, which)[order])
    centres = np.array(ndimage.center_of_mass(part > 0, part, which)) * spacing
    np.testing.assert_allclose(found.centre_mm, centres[order])


def test_small_parts_are_left_out_by_their_volume() -> None:
    probability = np.zeros((1, 9))
    probability[0, :2], probability[0, 5:9] = 0.9, 0.8
    assert connected_candidates(probability, (2.0, 1.0), smallest_mm3=4.0).score.tolist() == [0.9, 0.8]
    assert connected_candidates(probability, (2.0, 1.0), smallest_mm3=4.1).score.tolist() == [0.8]


@pytest.mark.parametrize("find", [connected_candidates, nested_candidates, peak_candidates])
def test_a_map_without_suspicion_has_no_candidate(find) -> None:
    found = find(np.zeros((3, 4, 5)), (1.0, 1.0, 1.0))
    assert len(found) == 0
    assert found.centre_mm.shape == (0, 3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_peak_is_what_nothing_near_exceeds(seed: int) -> None:
    probability, spacing, apart = _map(seed), (1.5, 1.0, 1.0), 3.2
    places = np.argwhere(np.ones_like(probability, dtype=bool)) * spacing
    values = probability.ravel()
    slow = [
        k
        for k in np.flatnonzero(values >= 0.5)
        if values[k] >= values[np.linalg.norm(places - places[k], axis=1) <= apart].max()
    ]
    found = peak_candidates(probability, spacing, 0.5, apart)
    assert sorted(map(tuple, found.centre_mm)) == sorted(map(tuple, places[slow]))
    assert (np.diff(found.score) <= 0).all()


def test_peaks_part_what_touches() -> None:
    at = np.arange(30)
    probability = np.maximum(np.exp(-((at - 9) ** 2) / 20), 0.8 * np.exp(-((at - 20) ** 2) / 20))[None]
    assert len(connected_candidates(probability, (1.0, 1.0), 0.1)) == 1
    assert peak_candidates(probability, (1.0, 1.0), 0.1).centre_mm.tolist() == [[0.0, 9.0], [0.0, 20.0]]


def test_maps_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(PredictionError, match="one spacing per axis"):
        connected_candidates(np.zeros((3, 3)), (1.0, 1.0, 1.0))
    with pytest.raises(PredictionError, match="not finite"):
        peak_candidates(np.full((3, 3), np.nan), (1.0, 1.0))


@pytest.mark.parametrize("levels", [(0.0, 0.6), (0.55, 0.6), (0.0, 0.45)])
def test_plateaus_of_any_size_are_peaks_where_nothing_near_exceeds_them(levels, monkeypatch) -> None:
    spacing, apart = (1.5, 1.0, 1.0), 3.2
    probability = np.clip(_map(7), *levels)
    offsets = np.stack(np.meshgrid(*(np.arange(-3, 4),) * 3, indexing="ij"), axis=-1).reshape(-1, 3) * spacing
    ball = (np.linalg.norm(offsets, axis=1) <= apart).reshape((7,) * 3)
    highest = ndimage.maximum_filter(probability, footprint=ball, mode="nearest")
    slow = connected_candidates(np.where((probability == highest) & (probability >= 0.3), probability, 0), spacing, 0.3)
    for plateau in (4096, 2):  # each voxel's ball, or one map of distances
        monkeypatch.setattr(candidates, "PLATEAU", plateau)
        found = peak_candidates(probability, spacing, 0.3, apart)
        assert sorted(map(tuple, found.centre_mm)) == sorted(map(tuple, slow.centre_mm))
        assert sorted(found.score) == sorted(slow.score)


def test_parts_are_taken_at_the_last_level_that_they_reach() -> None:
    at = np.arange(60)
    strong, weak, alone = (h * np.exp(-((at - c) ** 2) / 8) for h, c in ((0.9, 10), (0.35, 18), (0.15, 45)))
    probability = (0.11 * (at < 30) + np.maximum.reduce([strong, weak, alone]))[None]
    found = nested_candidates(probability, (1.0, 1.0))
    np.testing.assert_allclose(found.centre_mm[:, 1], [10, 18, 45], atol=0.5)
    np.testing.assert_allclose(found.score, [1.01, 0.46, 0.15], atol=0.01)
    assert len(connected_candidates(probability, (1.0, 1.0), 0.1)) == 2, "one level joins the first two"


@pytest.mark.parametrize("seed", range(3))
def test_every_part_of_the_lowest_level_has_a_candidate_and_none_reaches_the_next(seed: int) -> None:
    probability, spacing = _map(seed), (2.5, 0.7, 0.7)
    found = nested_candidates(probability, spacing, 0.3)
    part, n = ndimage.label(probability >= 0.3, np.ones((3, 3, 3)))
    assert len(found) >= n
    slow = []
    for low, high in ((0.3, 0.6), (0.6, 9.0)):
        part, n = ndimage.label(probability >= low, np.ones((3, 3, 3)))
        slow += [probability[part == k].max() for k in range(1, n + 1) if probability[part == k].max() < high]
    np.testing.assert_allclose(found.score, sorted(slow, reverse=True))
