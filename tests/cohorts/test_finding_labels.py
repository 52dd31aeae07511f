import numpy as np
import pytest

from equipoise.cohorts import Case, Cohort, Image
from equipoise.cohorts.finding_labels import as_detection
from equipoise.cohorts.sources import load
from equipoise.errors import CohortError, ProtocolError
from equipoise.evaluation.finding_masks import findings_in
from equipoise.protocol import CohortSection
from equipoise.testing.phantoms.brats import write_brats
from equipoise.testing.phantoms.cases import phantom


def cohort(classes, mask, task="segmentation"):
    image = Image(np.zeros((1, 1, len(mask)), np.float32), (1.0, 1.0), np.array([mask], np.uint8))
    return Cohort("c", task, (Case("a", "p", read=lambda: image),), classes, ("image",), 2, regions={"whole": (1, 2)})


@pytest.mark.parametrize(
    ("classes", "named", "mask", "wanted"),
    [
        (("background", "tumour"), "tumour", [0, 1, 1], [0, 1, 1]),
        (("background", "oedema", "core"), "finding", [0, 1, 2], [0, 1, 1]),
        (("background", "irrelevant", "nodule"), "nodule", [0, 1, 2], [0, 2, 1]),
        (("background", "nodule", "irrelevant"), "nodule", [0, 1, 2], [0, 1, 2]),
    ],
)
def test_all_foreground_is_sought_but_what_is_named_irrelevant(classes, named, mask, wanted):
    found = as_detection(cohort(classes, mask))
    assert found.task == "detection"
    assert found.classes == ("background", named, "irrelevant")
    assert found.cases[0].read().mask.tolist() == [wanted]
    assert not found.regions
    assert as_detection(found).cases == found.cases


def test_masks_without_anything_to_seek_are_refused():
    with pytest.raises(CohortError, match="no class to detect"):
        as_detection(cohort(("background", "irrelevant"), [0, 1, 0]))


def test_any_source_with_masks_serves(tmp_path):
    write_brats(tmp_path / "cases", cases=2, shape=(16, 16, 16))
    found = load(CohortSection(source="brats", task="detection"), tmp_path / "cases")
    assert found.classes == ("background", "finding", "irrelevant")
    assert found.task == "detection"
    assert set(np.unique(found.cases[0].read().mask)) == {0, 1}


def test_arrays_and_a_manifest_read_their_masks(tmp_path):
    masks = np.zeros((3, 8, 8), np.uint8)
    masks[:, 2:4, 2:4] = 5
    np.savez(tmp_path / "a.npz", images=masks.astype(np.float32), masks=masks)
    section = CohortSection(source="arrays", task="detection", images="images", masks="masks")
    found = load(section, tmp_path / "a.npz")
    assert found.cases[1].read().mask.sum() == 4
    assert found.classes == ("background", "label 5", "irrelevant")


@pytest.mark.long
def test_a_source_of_labels_does_not_serve(shared_data):
    section = CohortSection(source="medmnist", task="detection")
    with pytest.raises(ProtocolError, match='set task = "classification"'):
        load(section, shared_data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz")


@pytest.mark.long
@pytest.mark.parametrize("dims", [2, 3])
def test_phantoms_of_detection_hold_balls_apart(dims):
    made = phantom(task="detection", cases=20, size=32, spatial_dims=dims, effect=5)
    assert made.classes == ("background", "lesion", "irrelevant")
    counts = []
    for case in made.cases:
        image = case.read()
        found = findings_in(image.mask, image.spacing_mm)
        assert (np.abs(found.radius_mm - 0.08 * 32) < 0.03 * 32).all()
        assert (~found.relevant).sum() <= 1
        counts.append(int(found.relevant.sum()))
        if counts[-1]:
            assert image.array[0][image.mask == 1].mean() == pytest.approx(1, abs=0.15)
    assert min(counts) == 0
    assert max(counts) == 3
