"""Written phantoms are what they claim, read back by nibabel and by SimpleITK."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from equipoise.errors import ProtocolError
from equipoise.testing.phantoms.brats import write_brats

FILES = {
    "2021": ("BraTS2021_00001", "_", ("t1", "t1ce", "t2", "flair", "seg"), {0, 1, 2, 4}),
    "2023": ("BraTS-GLI-00001-000", "-", ("t1n", "t1c", "t2w", "t2f", "seg"), {0, 1, 2, 3}),
}


@pytest.mark.parametrize("naming", ["2021", "2023"])
def test_names_labels_and_regions(tmp_path: Path, naming: str) -> None:
    first, second = write_brats(tmp_path, naming=naming, shape=(40, 36, 24))
    name, between, suffixes, values = FILES[naming]
    assert first.folder == tmp_path / name
    assert {file.name for file in first.folder.iterdir()} == {f"{name}{between}{s}.nii.gz" for s in suffixes}
    truth = np.asarray(nibabel.load(first.folder / f"{name}{between}seg.nii.gz").dataobj)
    assert truth.shape == (40, 36, 24)
    assert set(np.unique(truth)) == values == set(first.labels)
    enhancing = max(values)
    assert first.regions["ET"] == np.sum(truth == enhancing)
    assert first.regions["TC"] == np.sum((truth == enhancing) | (truth == 1))
    assert first.regions["WT"] == np.sum(truth > 0)
    assert (first.patient == second.patient) == (naming == "2023")


def test_modalities_show_what_they_show_in_mr(tmp_path: Path) -> None:
    (case,) = write_brats(tmp_path, cases=1)
    name = case.folder.name
    read = {
        m: np.asarray(nibabel.load(case.folder / f"{name}_{m}.nii.gz").dataobj) for m in ("t1", "t1ce", "flair", "seg")
    }
    seg = read["seg"]
    brain = (read["t1"] > 0) & (seg == 0)
    assert read["t1ce"][seg == 4].mean() > 1.5 * read["t1ce"][brain].mean()
    assert read["flair"][seg == 2].mean() > 1.5 * read["flair"][brain].mean()
    assert read["t1"][0, 0, 0] == 0
    assert not (seg[read["t1"] == 0]).any()


def test_simpleitk_agrees_on_grid_and_values(tmp_path: Path) -> None:
    (case,) = write_brats(tmp_path, cases=1, shape=(20, 24, 16), naming="2023")
    file = str(case.folder / f"{case.folder.name}-t2w.nii.gz")
    image = sitk.ReadImage(file)
    assert image.GetSize() == (20, 24, 16)
    assert image.GetSpacing() == (1.0, 1.0, 1.0)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, np.asarray(nibabel.load(file).dataobj))


def test_the_seed_decides(tmp_path: Path) -> None:
    a, b, c = (write_brats(tmp_path / str(k), cases=1, seed=seed)[0] for k, seed in enumerate((1, 1, 2)))
    assert a.labels == b.labels != c.labels


def test_an_unknown_naming_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="choose one of 2021, 2023"):
        write_brats(tmp_path, naming="2012")
