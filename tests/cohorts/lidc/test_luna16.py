"""What is sought and what is irrelevant in whole scans, against what the phantoms' readers were made to mark."""

import shutil

import numpy as np
import pytest

from equipoise.cohorts.lidc.scans import lidc
from equipoise.errors import CohortError
from equipoise.evaluation.finding_masks import findings_in
from equipoise.testing.phantoms.lidc import write_lidc


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    return folder, write_lidc(folder, patients=3, nodules=3, seed=2)


@pytest.mark.long
@pytest.mark.parametrize("min_readers", [1, 3])
def test_nodules_count_by_their_readers(phantoms, min_readers):
    folder, written = phantoms
    cohort = lidc(folder, task="detection", min_readers=min_readers)
    assert cohort.classes == ("background", "nodule", "irrelevant")
    few = 0
    for case, scan in zip(cohort.cases, written, strict=True):
        image = case.read()
        found = findings_in(image.mask, image.spacing_mm)
        sought = [nodule for nodule in scan.nodules if len(nodule.malignancy) >= min_readers]
        few += len(scan.nodules) - len(sought)
        assert found.relevant.sum() == case.attributes["nodules"] == len(sought)
        wanted = sorted(nodule.diameter_mm for nodule in sought)
        np.testing.assert_allclose(sorted(found.diameter_mm[found.relevant]), wanted, rtol=0.1)
        # the phantom's four small marks and its four non-nodules lie on one point, in the middle of the field
        middle = found.centre_mm[~found.relevant][np.isclose(found.diameter_mm[~found.relevant], 10, rtol=0.05)]
        assert len(middle) >= 1
        shape = np.array(image.mask.shape[1:])
        assert np.abs(middle[:, 1:] - shape // 2 * 0.75).min() <= 0.76
        assert (~found.relevant).sum() == 1 + len(scan.nodules) - len(sought)
    assert few or min_readers == 1
    assert cohort.notes[0].startswith(f"{few} nodules of fewer than {min_readers} readers, ")


def test_a_mark_on_a_slice_that_is_not_there_is_a_problem(phantoms, tmp_path):
    folder, _ = phantoms
    shutil.copytree(folder / "PHANTOM-0001", tmp_path / "one")
    xml = next((tmp_path / "one").rglob("*.xml"))
    text = xml.read_text()
    start = text.index("<nonNodule>")
    first = text.index("<imageSOP_UID>", start) + len("<imageSOP_UID>")
    xml.write_text(text[:first] + "1.2.3" + text[text.index("<", first) :])
    with pytest.raises(CohortError, match=r"marks the slice 1\.2\.3, which is missing"):
        lidc(tmp_path, task="detection")
    assert len(lidc(tmp_path, task="segmentation", view="scan")) == 1
