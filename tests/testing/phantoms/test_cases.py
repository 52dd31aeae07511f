"""The phantom's truth is as stated: best possible performance, patients, masks, and the same pixels every time."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from equipoise.errors import ProtocolError
from equipoise.testing.phantoms.cases import bayes_accuracy, bayes_auc, phantom


def core_brightness(image: np.ndarray) -> float:
    """An observer that knows where to look: mean of the 5 × 5 pixels in the middle."""
    middle = image.shape[-1] // 2
    return float(image[..., middle - 2 : middle + 3, middle - 2 : middle + 3].mean())


@pytest.mark.long
@pytest.mark.parametrize("effect", [0.0, 1.0, 2.0])
def test_a_knowing_observer_reaches_the_stated_auc(effect: float) -> None:
    cohort = phantom(cases=1500, effect=effect, seed=3)
    scores = [core_brightness(case.read().array) for case in cohort.cases]
    assert roc_auc_score(cohort.labels, scores) == pytest.approx(bayes_auc(effect), abs=0.03)


@pytest.mark.long
def test_a_knowing_observer_reaches_the_stated_accuracy_with_four_classes() -> None:
    cohort = phantom(cases=1500, classes=4, effect=2.5, seed=1)
    scores = np.array([core_brightness(case.read().array) for case in cohort.cases])
    spread = 0.8 / (2.5 * 3 + 6)
    guess = np.clip(np.rint((scores - 0.5) / (spread * 2.5) + 1.5), 0, 3)
    assert accuracy_score(cohort.labels, guess) == pytest.approx(bayes_accuracy(2.5, 4), abs=0.03)


@pytest.mark.long
def test_size_carries_its_own_effect_and_no_more() -> None:
    for size_effect in (0.0, 1.5):
        cohort = phantom(cases=2000, size_effect=size_effect)
        sizes = [case.attributes["diameter_mm"] for case in cohort.cases]
        assert roc_auc_score(cohort.labels, sizes) == pytest.approx(bayes_auc(size_effect), abs=0.04)


@pytest.mark.long
def test_affine_scaling_per_image_keeps_the_information() -> None:
    cohort = phantom(cases=800, effect=2.0)
    scores = []
    for case in cohort.cases:
        pixels = case.read().array
        scores.append(core_brightness((pixels - pixels.min()) / (pixels.max() - pixels.min())))
    assert roc_auc_score(cohort.labels, scores) == pytest.approx(bayes_auc(2.0), abs=0.04)


def test_patients_classes_and_pixels_are_as_asked_and_repeatable() -> None:
    cohort, again = (phantom(cases=60, patients=25, classes=3, channels=2, size=16, seed=5) for _ in range(2))
    assert len(set(cohort.patients)) == 25
    assert list(cohort.class_counts().values()) == [20, 20, 20]
    assert cohort.cases[7].read().array.shape == (2, 16, 16)
    np.testing.assert_array_equal(cohort.cases[7].read().array, again.cases[7].read().array)
    assert cohort.fingerprint() == again.fingerprint()
    other = phantom(cases=60, patients=25, classes=3, channels=2, size=16, seed=6)
    assert np.any(other.cases[7].read().array != cohort.cases[7].read().array)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_segmentation_masks_lie_under_their_pixels(spatial_dims: int) -> None:
    cohort = phantom(task="segmentation", cases=6, size=24, classes=3, effect=50, spatial_dims=spatial_dims)
    for case in cohort.cases:
        image = case.read()
        assert image.mask is not None
        assert set(np.unique(image.mask)) == {0, 1, 2}
        np.testing.assert_array_equal(np.rint(image.array[0]), image.mask)
        border = image.mask[0].sum() + image.mask[-1].sum()
        assert border == 0
        assert (image.affine is not None) == (spatial_dims == 3)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"path": "x"}, "path"),
        ({"task": "regression"}, "task"),
        ({"cases": 0}, "cases"),
        ({"cases": 5, "patients": 6}, "patients"),
        ({"size": 4}, "size"),
        ({"spatial_dims": 4}, "spatial_dims"),
        ({"classes": 9}, "classes"),
        ({"channels": 0}, "channels"),
        ({"effect": -1.0}, "effect"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ProtocolError, match=rf"cohort\.{key} "):
        phantom(**settings)  # type: ignore[arg-type]
