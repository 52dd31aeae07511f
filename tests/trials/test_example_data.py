"""Every example says in its first line what it needs, and is read with it: nothing, fetched data, or a path."""

import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from equipoise.cohorts.public.catalogue import entry_named
from equipoise.cohorts.public.fetch import fetch
from equipoise.protocol import CohortSection, Protocol
from equipoise.protocol.study import Study, is_study
from equipoise.trials.plan import read

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.toml"))
EMBEDDED, FETCHED, PATH = "# Runs as it is. ", "# Runs after `equipoise fetch ", "# Runs once "


def sections(file):
    """The [cohort] tables of an example: of a trial, or of all data sets of a study."""
    if is_study(file):
        return [CohortSection.model_validate(entry.cohort) for entry in Study.load(file).study.cohorts]
    return [Protocol.load(file).cohort]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_first_line_says_what_an_example_needs(file):
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith((EMBEDDED, FETCHED, PATH)), first
    for section in sections(file):
        if first.startswith(EMBEDDED):
            assert section.path is None
            assert section.source == "lidc-contours"
        elif first.startswith(FETCHED):
            name = re.match(re.escape(FETCHED) + r"([\w-]+)`", first)[1]
            assert (section.source, section.path) == (f"public:{name}", None)
            assert not entry_named(name).ask
        else:
            assert section.path is None or section.path.startswith("/path/to/")
    if first.startswith(PATH):
        assert "`path` is filled in" in first
        assert any(section.path for section in sections(file))


@pytest.mark.long
@pytest.mark.parametrize("name", ["quick", "lidc-malignancy", "lidc-malignancy4"])
def test_embedded_examples_are_read_on_any_machine(name):
    _, cohort = read(next(file for file in EXAMPLES if file.stem == name))
    assert len(cohort) > 1000
    assert cohort.cases[0].read().array.size


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["adrenal", "cheng-detection", "cheng-segmentation", "cheng-split", "hippocampus", "lidc-nodules2d", "pneumonia"],
)
def test_examples_are_read_where_their_data_are(name, shared_data, of_data):
    text = next(file for file in EXAMPLES if file.stem == name).read_text(encoding="utf-8")
    _, cohort = read(Protocol.parse(of_data(text, name, shared_data)))
    assert not cohort.problems
    assert len(cohort) > 100
    assert cohort.cases[0].read().array.size


def test_the_example_of_fetched_data_is_read_as_it_stands(shared_data, tmp_path, monkeypatch):
    """The published file, brought by hand: its checksum is the catalogue's, so nothing is asked."""
    monkeypatch.setenv("EQUIPOISE_PUBLIC", str(tmp_path))
    (tmp_path / "adrenalmnist3d").mkdir()
    shutil.copy(shared_data / "adrenalmnist3d" / "adrenalmnist3d.npz", tmp_path / "adrenalmnist3d")
    fetch("adrenalmnist3d", offline=True)
    _, cohort = read(next(file for file in EXAMPLES if file.stem == "adrenal"))
    with np.load(shared_data / "adrenalmnist3d" / "adrenalmnist3d.npz") as arrays:
        masses = sum(int(arrays[f"{part}_labels"].sum()) for part in ("train", "val", "test"))
    assert cohort.class_counts() == {"normal": len(cohort) - masses, "mass": masses}


@pytest.mark.long
def test_the_hippocampus_of_the_decathlon_is_read_to_the_voxel(shared_data, of_data):
    """Oracle: nibabel, which knows nothing of cohorts."""
    text = next(file for file in EXAMPLES if file.stem == "hippocampus").read_text(encoding="utf-8")
    _, cohort = read(Protocol.parse(of_data(text, "hippocampus", shared_data)))
    assert cohort.classes == ("background", "Anterior", "Posterior")
    assert not cohort.patients_known
    folder = shared_data / "msd_hippocampus"
    for case in (cohort.cases[0], cohort.cases[len(cohort) // 2], cohort.cases[-1]):
        image = case.read()
        for array, kind in ((image.array[0], "imagesTr"), (image.mask, "labelsTr")):
            stored = nibabel.as_closest_canonical(nibabel.load(folder / kind / f"{case.id}.nii.gz"))
            assert np.array_equal(array, np.asarray(stored.dataobj).transpose(2, 1, 0))
