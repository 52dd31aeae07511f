"""MedMNIST files: the real ones equal what numpy loads, parts are kept or forgotten, groups are used."""

import pickle

import numpy as np
import pytest

from equipoise.cohorts.layouts.medmnist import medmnist
from equipoise.cohorts.splits.split import split
from equipoise.errors import CohortError, ProtocolError


def write(path, shape=(28, 28), n=(6, 4, 4), **more):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in zip(("train", "val", "test"), n, strict=True):
        arrays[f"{part}_images"] = rng.integers(0, 255, (count, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % 2)[:, None].astype(np.uint8)
    np.savez_compressed(path, **(arrays | more))
    return path, arrays


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "dims", "counts"),
    [
        ("pneumoniamnist/pneumoniamnist_rebuilt", 2, (4708, 524, 624)),
        ("adrenalmnist3d/adrenalmnist3d", 3, (1188, 98, 298)),
    ],
)
def test_the_real_files_equal_what_numpy_loads(shared_data, name, dims, counts):
    path = shared_data / f"{name}.npz"
    truth = np.load(path, allow_pickle=False)
    cohort = medmnist(path)
    assert cohort.spatial_dims == dims
    parts = [case.part for case in cohort.cases]
    assert tuple(parts.count(part) for part in ("train", "validation", "test")) == counts
    position = 0
    for part, count in zip(("train", "val", "test"), counts, strict=True):
        assert cohort.labels[position : position + count].tolist() == truth[f"{part}_labels"].reshape(-1).tolist()
        for index in (0, count // 2, count - 1):
            image = cohort.cases[position + index].read()
            assert np.array_equal(image.array[0], truth[f"{part}_images"][index])
        position += count
    folds = split(cohort, scheme="given")
    assert len(folds[0].test) == counts[2]


def test_colours_and_volumes(tmp_path):
    path, arrays = write(tmp_path / "c.npz", (28, 28, 3))
    cohort = medmnist(path, classes=["benign", "malignant"])
    assert cohort.channels == ("red", "green", "blue")
    assert np.array_equal(cohort.cases[1].read().array, arrays["train_images"][1].transpose(2, 0, 1))
    path, arrays = write(tmp_path / "v.npz", (28, 28, 28, 1))
    cohort = medmnist(path, axes="nzyxc")
    assert cohort.spatial_dims == 3
    assert np.array_equal(cohort.cases[1].read().array[0], arrays["train_images"][1, ..., 0])
    with pytest.raises(ProtocolError, match="set axes"):
        medmnist(path)


def test_groups_allow_a_new_split_by_patient(tmp_path):
    groups = {f"{part}_patient": np.arange(n) // 2 for part, n in (("train", 6), ("val", 4), ("test", 4))}
    path, _ = write(tmp_path / "g.npz", **groups)
    cohort = medmnist(path, parts="none", groups="patient")
    assert {case.part for case in cohort.cases} == {None}
    assert cohort.patients.tolist() == [str(v) for v in (0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 0, 0, 1, 1)]
    assert cohort.patients_known
    assert not medmnist(path).patients_known
    with pytest.raises(CohortError, match="no array 'train_site'"):
        medmnist(path, groups="site")


def test_cases_travel_and_changed_files_are_refused(tmp_path):
    path, arrays = write(tmp_path / "t.npz")
    case = pickle.loads(pickle.dumps(medmnist(path).cases[3].read))
    assert np.array_equal(case().array[0], arrays["train_images"][3])
    assert case().array.flags.writeable


def test_files_that_are_no_medmnist_say_so(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 3, 3)))
    with pytest.raises(CohortError, match="has the arrays images"):
        medmnist(tmp_path / "x.npz")
    path, _ = write(tmp_path / "m.npz", train_labels=np.zeros((6, 14), np.uint8))
    with pytest.raises(CohortError, match="14 labels per image"):
        medmnist(path)
    path, _ = write(tmp_path / "s.npz", train_labels=np.zeros((5, 1), np.uint8))
    with pytest.raises(CohortError, match="6 train_images and 5 train_labels"):
        medmnist(path)
    path, _ = write(tmp_path / "o.npz")
    with pytest.raises(CohortError, match="from 0 to 1 for 1 classes"):
        medmnist(path, classes=["only"])
    with pytest.raises(ProtocolError, match=r"cohort\.parts"):
        medmnist(path, parts="some")
