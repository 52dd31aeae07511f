"""Crops of CT: the voxels of the source `lidc`, cut once; series that are not there; what changed since is refused."""

import shutil

import numpy as np
import pytest

from equipoise.cohorts import sources
from equipoise.cohorts.lidc import nodules as module
from equipoise.cohorts.lidc.nodules import NOT_THERE, lidc_nodules
from equipoise.cohorts.lidc.scans import lidc
from equipoise.errors import CohortError, ProtocolError
from equipoise.protocol import CohortSection
from equipoise.testing.phantoms.lidc import write_lidc

SETTINGS = {"size": 16, "spacing_mm": 1.5, "min_readers": 1}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lidc")
    return folder, write_lidc(folder, patients=2, nodules=2, slice_mm=3.0, pixel_mm=1.2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def cubes(scans):
    """What the source `lidc` reads of the same nodules, whose crops have tests of their own."""
    return lidc(scans[0], view="volume", **SETTINGS).cases


@pytest.mark.long
def test_cubes_are_those_of_the_source_lidc_in_whole_hounsfield_units(scans, cubes):
    cohort = lidc_nodules(scans[0], view="volume", **SETTINGS)
    assert cohort.channels == ("ct",)
    assert [case.patient for case in cohort.cases] == [case.patient for case in cubes]
    for case, other in zip(cohort.cases, cubes, strict=True):
        assert (case.label, dict(case.attributes), case.sha256) == (other.label, dict(other.attributes), other.sha256)
    image, other = cohort.cases[0].read(), cubes[0].read()
    assert np.array_equal(image.array, np.rint(other.array))
    assert image.spacing_mm == (1.5, 1.5, 1.5)


@pytest.mark.long
def test_slices_are_the_middle_planes_of_the_cube(scans, cubes):
    image = lidc_nodules(scans[0], **SETTINGS).cases[1].read()
    cube = np.rint(cubes[1].read().array[0])
    assert np.array_equal(image.array, np.stack([cube[8], cube[:, 8], cube[:, :, 8]]))
    assert image.array.mean() < 0  # lung, in HU


@pytest.mark.long
def test_masks_hold_what_the_share_of_readers_outlined(scans):
    """Oracle: the phantom's own votes. A ball's crop holds as many mm³ as its voxels on the scan, within 15 %."""
    folder, written = scans
    for agreement in (0.25, 1.0):
        cohort = lidc_nodules(folder, task="segmentation", agreement=agreement, size=32, spacing_mm=0.8, min_readers=1)
        assert cohort.classes == ("background", "nodule")
        for scan in written:
            cases = [case for case in cohort.cases if case.patient == scan.patient]
            needed = {case.id: agreement * case.attributes["n_readers"] for case in cases}
            volume = sum(case.read().mask.sum() for case in cases) * 0.8**3
            # nodules of one scan have their own numbers of readers, so votes are counted near each nodule's half
            votes = scan.series.votes
            halves = [half for side in np.array_split(votes, 2, axis=1) for half in np.array_split(side, 2, axis=2)]
            quarters = [quarter for quarter in halves if quarter.any()]
            expected = sum((quarter >= agreement * quarter.max() - 1e-9).sum() for quarter in quarters)
            assert len(needed) == len(quarters)
            assert volume == pytest.approx(expected * 1.2**2 * 3.0, rel=0.15)


@pytest.mark.long
def test_a_second_cohort_reads_no_slice(scans, monkeypatch):
    first = lidc_nodules(scans[0], **SETTINGS)
    expected = [case.read().array for case in first.cases]

    def never(*_):
        raise AssertionError("a series was read again")

    monkeypatch.setattr(module, "_ct_scan", never)
    second = lidc_nodules(scans[0], **SETTINGS)
    assert second.fingerprint() == first.fingerprint()
    for case, array in zip(second.cases, expected, strict=True):
        assert np.array_equal(case.read().array, array)
    # Other rules for the truth need no new cut.
    assert lidc_nodules(scans[0], **(SETTINGS | {"min_readers": 2}), truthing="median").cases[0].read() is not None


@pytest.mark.long
def test_what_the_cache_lost_or_damaged_is_cut_anew(scans, tmp_path):
    case = lidc_nodules(scans[0], **SETTINGS).cases[0]
    before = case.read().array
    for file in (tmp_path / "cache").glob("*-voxels.npz"):
        file.write_bytes(file.read_bytes()[:-1])
    assert np.array_equal(case.read().array, before)


@pytest.mark.long
def test_a_slice_that_changed_is_refused_by_the_old_cohort_and_read_by_a_new_one(scans, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(scans[0], folder)
    old = lidc_nodules(folder, **SETTINGS)
    for file in folder.rglob("*.dcm"):
        file.write_bytes(file.read_bytes()[:-2] + b"\x00\x00")
    with pytest.raises(CohortError, match="it changed since the cohort was made"):
        old.cases[0].read()
    assert lidc_nodules(folder, **SETTINGS).fingerprint() != old.fingerprint()


@pytest.mark.long
def test_annotated_scans_without_their_series_are_left_out_and_counted(scans, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(scans[0], folder)
    for file in (folder / scans[1][0].patient).rglob("*.dcm"):
        file.unlink()
    cohort = lidc_nodules(folder, **SETTINGS)
    assert {case.patient for case in cohort.cases} == {scans[1][1].patient}
    assert [one.reason for one in cohort.excluded] == [NOT_THERE]
    assert cohort.notes[0].startswith("1 annotated scans were left out")
    # A series that lacks a slice is no series that was not fetched.
    outlined = scans[1][1].series.votes.any(axis=(1, 2)).nonzero()[0][0]
    sop = scans[1][1].series.sops[outlined]
    next(file for file in folder.rglob("*.dcm") if sop.encode() in file.read_bytes()).unlink()
    with pytest.raises(CohortError, match="slices are missing"):
        lidc_nodules(folder, **SETTINGS)


@pytest.mark.long
def test_impossible_settings(scans, tmp_path):
    for settings, match in (({"task": "detection"}, "lidc-nodules offers classification, segmentation"),
                            ({"view": "scan"}, 'the source "lidc"'),
                            ({"view": "cube"}, "cohort.view"), ({"size": 4}, "cohort.size"),
                            ({"task": "segmentation", "view": "slices"}, "is 'slices'; .* offers volume")):  # fmt: skip
        with pytest.raises(ProtocolError, match=match):
            lidc_nodules(scans[0], **settings)
    with pytest.raises(CohortError, match="equipoise fetch lidc-idri"):
        lidc_nodules(tmp_path)


def test_it_is_a_source_by_its_name(scans):
    section = CohortSection.model_validate({"source": "lidc-nodules", **SETTINGS})
    assert len(sources.load(section, scans[0])) == 4
