"""LIDC-like phantoms, from files to cases with the sizes, volumes and ratings that were written."""

from xml.etree import ElementTree

import numpy as np
import pytest

from equipoise.cohorts.lidc.annotations import read_lidc_xml
from equipoise.cohorts.lidc.polygons import fill_outlines
from equipoise.cohorts.lidc.scans import lidc
from equipoise.errors import ProtocolError
from equipoise.testing.phantoms.ct_series import LUNG_HU, SCANNERS
from equipoise.testing.phantoms.lidc import outline_of, write_lidc


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    return folder, write_lidc(folder, patients=4, nodules=2)


@pytest.mark.long
def test_nodules_come_back_with_their_sizes_and_ratings(phantoms):
    folder, written = phantoms
    cohort = lidc(folder, min_readers=1, size=24)
    truths = [(scan, nodule) for scan in written for nodule in scan.nodules]
    assert len(cohort) == len(truths) == 8
    assert cohort.class_counts() == {"benign": 4, "malignant": 4}
    by_volume = {round(nodule.volume_mm3, 2): (scan, nodule) for scan, nodule in truths}
    for case in cohort.cases:
        scan, nodule = by_volume[case.attributes["volume_mm3"]]
        assert case.patient == scan.patient
        assert case.label == nodule.label
        assert sorted(case.attributes["malignancy_ratings"].split()) == sorted(map(str, nodule.malignancy))
        assert case.attributes["diameter_mm"] == pytest.approx(nodule.diameter_mm, abs=1.1 * 0.75)
        assert nodule.volume_mm3 == pytest.approx(np.pi / 6 * nodule.diameter_mm**3, rel=0.15)
        crop = case.read().array[0]
        assert crop[11:13, 11:13, 11:13].mean() == pytest.approx(LUNG_HU + 225 * len(nodule.malignancy), abs=60)
    assert {case.attributes["manufacturer"] for case in cohort.cases} == {s.manufacturer for s in SCANNERS}
    small, others = sum(scan.small for scan in written), sum(scan.others for scan in written)
    assert cohort.notes[0].startswith(f"{small} marks below 3 mm and {others} of non-nodules")


@pytest.mark.long
def test_masks_of_crops_hold_the_volume_that_was_written(phantoms):
    folder, written = phantoms
    cohort = lidc(folder, task="segmentation", size=40, spacing_mm=0.6, agreement=0.5, min_readers=2)
    for case in cohort.cases:
        mask = case.read().mask
        assert mask.sum() * 0.6**3 == pytest.approx(case.attributes["volume_mm3"], rel=0.3)
    whole = lidc(folder, task="segmentation", view="scan", agreement=0.25, min_readers=1)
    for case, scan in zip(whole.cases, written, strict=True):
        image = case.read()
        np.testing.assert_array_equal(image.mask, scan.series.votes[:, ::-1, ::-1] > 0)
        np.testing.assert_array_equal(image.array[0], scan.series.hounsfield[:, ::-1, ::-1])


@pytest.mark.long
def test_a_faulty_series_is_one_problem_and_the_others_stay(tmp_path):
    written = write_lidc(tmp_path, patients=2, nodules=1, fault="gap")
    cohort = lidc(tmp_path, min_readers=1)
    (problem,) = cohort.problems
    assert "slices are missing" in problem.problem
    assert problem.case == written[0].xml.stem
    assert {case.patient for case in cohort.cases} == {written[1].patient}


@pytest.mark.long
def test_a_slice_that_is_there_twice_is_left_out(tmp_path):
    write_lidc(tmp_path, patients=1, nodules=1, fault="copy")
    cohort = lidc(tmp_path, min_readers=1)
    assert cohort.problems == ()
    assert cohort.cases[0].read().array.shape == (1, 48, 48, 48)


@pytest.mark.long
def test_an_unreadable_series_is_one_problem_and_the_others_stay(tmp_path):
    write_lidc(tmp_path, patients=2, nodules=1)
    for file in (tmp_path / "PHANTOM-0001").rglob("*.dcm"):
        file.write_bytes(b"no image")
    cohort = lidc(tmp_path, min_readers=1)
    assert {problem.case for problem in cohort.problems} == {"PHANTOM-0001/series", "001"}
    assert {case.patient for case in cohort.cases} == {"PHANTOM-0002"}


def paths(file):
    """Every path of element names in an XML file, without namespaces."""

    def walk(node, above):
        here = f"{above}/{node.tag.split('}')[-1]}"
        yield here
        for child in node:
            yield from walk(child, here)

    return set(walk(ElementTree.parse(file).getroot(), ""))


@pytest.mark.long
def test_the_readings_have_the_schema_of_the_real_ones(phantoms, shared_data):
    real = set().union(*(paths(file) for file in sorted((shared_data / "lidc_xml").glob("LIDC*.xml"))[:8]))
    for scan in phantoms[1]:
        assert paths(scan.xml) <= real
        assert len(read_lidc_xml(scan.xml).sessions) == 4


@pytest.mark.long
def test_outlines_enclose_exactly_their_region():
    generator = np.random.default_rng(0)
    row, column = np.mgrid[:45, :45]
    for _ in range(300):
        radius, (x, y) = generator.uniform(0.6, 16), generator.uniform(20, 24, 2)
        inside = (column - x) ** 2 + (row - y) ** 2 <= radius**2
        if not inside.any():
            continue
        points = outline_of(inside)
        filled = fill_outlines(points, np.array([0, len(points)]))
        found = np.zeros_like(inside)
        (left, top), (width, height) = filled.low[0], filled.size[0]
        found[top : top + height, left : left + width] = filled.box(0)
        np.testing.assert_array_equal(found, inside)


@pytest.mark.long
def test_the_seed_decides(tmp_path):
    first, again, other = (write_lidc(tmp_path / str(n), patients=1, seed=seed)[0] for n, seed in enumerate((3, 3, 4)))
    assert first.nodules == again.nodules != other.nodules
    np.testing.assert_array_equal(first.series.hounsfield, again.series.hounsfield)
    assert first.xml.read_bytes() == again.xml.read_bytes()


def test_impossible_phantoms_are_refused(tmp_path):
    with pytest.raises(ProtocolError, match="1–4 nodules"):
        write_lidc(tmp_path, nodules=5)
