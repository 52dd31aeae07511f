"""Codings of BraTS by group and year: certain, told by the masks, or asked; counts by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.layouts.brats import brats, patient_of
from equipoise.cohorts.layouts.brats_codings import BY_GROUP, CODINGS, certain_coding, what_values_mean
from equipoise.errors import CohortError

NEW = ("t1n", "t1c", "t2w", "t2f")


def cases(root: Path, write, group: str, values: Sequence[int], number: int = 4, ending: str = "-000") -> None:
    for n in range(number):
        name = f"BraTS-{group}-{n:05d}{ending}"
        for kind in NEW:
            write.volume(root / name / f"{name}-{kind}.nii.gz")
        write.volume(root / name / f"{name}-seg.nii.gz", values)


@pytest.mark.long
@pytest.mark.parametrize(
    ("group", "ending"), [("GLI", "-000"), ("SSA", "-000"), ("MEN", "-000"), ("MET", "-001"), ("GoAT", "")]
)
def test_groups_of_one_coding_are_read(tmp_path: Path, write, started: Callable, group: str, ending: str) -> None:
    cases(tmp_path, write, group, (0, 1, 2, 3), ending=ending)
    _, cohort = started(tmp_path)
    assert cohort.regions == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
    assert cohort.patients.tolist() == [f"BraTS-{group}-{n:05d}" for n in range(4)]
    stored = write.stored(next((tmp_path / cohort.cases[1].id).glob("*seg.nii.gz")))
    mask = cohort.cases[1].read().mask
    assert np.isin(mask, cohort.regions["TC"]).sum() == np.isin(stored, (1, 3)).sum()
    assert np.isin(mask, cohort.regions["ET"]).sum() == (stored == 3).sum()


@pytest.mark.long
def test_children_are_asked_for_the_year_and_the_tissues_are_named(tmp_path: Path, write, started: Callable) -> None:
    cases(tmp_path, write, "PED", (0, 1, 2, 3))
    for read in (lambda: started(tmp_path), lambda: brats(tmp_path)):
        with pytest.raises(CohortError) as ask:
            read()
        assert "state cohort.coding" in str(ask.value)
        assert '"ped-2024" (1 enhancing tumour, 2 non-enhancing tumour, 3 cyst, 4 oedema)' in str(ask.value)
        assert '"2023" (1 necrotic core, 2 oedema, 3 enhancing tumour)' in str(ask.value)
    stored = write.stored(next((tmp_path / "BraTS-PED-00002-000").glob("*seg.nii.gz")))
    for coding, enhancing, core in (("ped-2024", (1,), (1, 2, 3)), ("2023", (3,), (1, 3))):
        _, cohort = started(tmp_path, coding=coding)
        mask = cohort.cases[2].read().mask
        assert np.isin(mask, cohort.regions["ET"]).sum() == np.isin(stored, enhancing).sum()
        assert np.isin(mask, cohort.regions["TC"]).sum() == np.isin(stored, core).sum()
        assert np.isin(mask, cohort.regions["WT"]).sum() == (stored > 0).sum()


@pytest.mark.long
def test_a_resection_cavity_is_no_enhancing_tumour(tmp_path: Path, write, started: Callable) -> None:
    cases(tmp_path, write, "GLI", (0, 1, 2, 3, 4))
    protocol, cohort = started(tmp_path)
    assert protocol.cohort.settings["coding"] == "2024-post-treatment"
    assert cohort.classes[4] == "resection cavity"
    assert cohort.regions["RC"] == (4,)
    assert 4 not in cohort.regions["WT"]
    with pytest.raises(
        CohortError, match=r'holds the label 4, .*"2024-post-treatment" 1 necrotic core, .* 4 resection cavity'
    ):
        brats(tmp_path)


@pytest.mark.long
def test_a_four_without_a_three_tells_nothing(tmp_path: Path, write, started: Callable) -> None:
    cases(tmp_path, write, "GLI", (0, 1, 2, 4))
    with pytest.raises(CohortError, match="holds the label 4"):
        started(tmp_path)
    _, cohort = started(tmp_path, coding="2017-2021")
    assert set(np.unique(cohort.cases[0].read().mask)) == {0, 1, 2, 3}


def test_radiotherapy_has_one_image_and_one_volume(tmp_path: Path, write, started: Callable) -> None:
    for n in range(4):
        name = f"BraTS-MEN-RT-{n:04d}-1"
        write.volume(tmp_path / name / f"{name}_t1c.nii.gz")
        write.volume(tmp_path / name / f"{name}_gtv.nii.gz", (0, 1))
    protocol, cohort = started(tmp_path)
    assert cohort.channels == ("t1ce",)
    assert cohort.classes == ("background", "gross tumour volume")
    assert cohort.patients.tolist() == [f"BraTS-MEN-RT-{n:04d}" for n in range(4)]
    stored = write.stored(tmp_path / "BraTS-MEN-RT-0001-1" / "BraTS-MEN-RT-0001-1_gtv.nii.gz")
    assert np.array_equal(cohort.cases[1].read().mask, stored)
    assert protocol.cohort.settings == {"modalities": ["t1ce"]}


@pytest.mark.long
def test_groups_of_other_tissues_do_not_mix_and_unknown_ones_are_asked(tmp_path: Path, write) -> None:
    cases(tmp_path / "a", write, "GLI", (0, 1, 2, 3), 2)
    cases(tmp_path / "a", write, "SSA", (0, 1, 2, 3), 2)
    assert len(brats(tmp_path / "a")) == 4
    name = "BraTS-MEN-RT-0001-1"
    write.volume(tmp_path / "a" / name / f"{name}_t1c.nii.gz")
    write.volume(tmp_path / "a" / name / f"{name}_gtv.nii.gz", (0, 1))
    with pytest.raises(CohortError, match="holds the groups GLI, MEN-RT, SSA, whose masks use different tissues"):
        brats(tmp_path / "a")
    cases(tmp_path / "b", write, "PATH", (0, 1))
    with pytest.raises(CohortError, match="of the group PATH, .*; state cohort.coding"):
        brats(tmp_path / "b")
    assert len(brats(tmp_path / "b", coding="2023")) == 4


def test_what_macos_leaves_behind_and_the_stray_mask_of_2020(tmp_path: Path, write, started: Callable) -> None:
    for n in (1, 2, 355):
        name = f"BraTS20_Training_{n:03d}"
        for kind in ("t1", "t1ce", "t2", "flair"):
            write.volume(tmp_path / name / f"{name}_{kind}.nii")
            (tmp_path / name / f"._{name}_{kind}.nii").write_bytes(b"\0\5\x16\7")
        write.volume(tmp_path / name / ("W39_1998.09.19_Segm.nii" if n == 355 else f"{name}_seg.nii"), (0, 1, 2, 4))
    _, cohort = started(tmp_path)
    assert (len(cohort), cohort.problems) == (3, ())
    stored = write.stored(tmp_path / "BraTS20_Training_355" / "W39_1998.09.19_Segm.nii")
    assert (cohort.cases[2].read().mask == 3).sum() == (stored == 4).sum()


def test_every_coding_is_whole() -> None:
    for coding in CODINGS.values():
        assert sorted(coding.codes.values()) == list(range(len(coding.classes)))
        assert {index for members in coding.regions.values() for index in members} == set(range(1, len(coding.classes)))
    assert {name for names in BY_GROUP.values() for name in names} < set(CODINGS)
    assert certain_coding("PED") is certain_coding("nothing known") is None
    assert "cyst" in what_values_mean("ped")
    assert patient_of("BraTS-GoAT-00001") == "BraTS-GoAT-00001"
