"""Arrays under the names that people give them; several labels per image are refused before a protocol is written."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.layouts.array_recognition import recognise_arrays
from equipoise.errors import CohortError
from equipoise.trials.init import write_protocol

IMAGES = np.zeros((6, 8, 8), np.uint8)


def test_several_labels_per_image_are_refused_at_init(tmp_path: Path) -> None:
    parts = ("train", "val", "test")
    arrays = {f"{part}_images": IMAGES for part in parts} | {f"{part}_labels": np.zeros((6, 14), int) for part in parts}
    np.savez(tmp_path / "chest.npz", **arrays)
    with pytest.raises(CohortError, match="has 14 labels per image; choose one of them and save it as a column"):
        write_protocol(str(tmp_path / "chest.npz"), tmp_path / "protocol.toml")
    assert not (tmp_path / "protocol.toml").exists()
    np.savez(tmp_path / "own.npz", images=IMAGES, labels=np.zeros((6, 3), int))
    with pytest.raises(CohortError, match=r"'labels' of shape \(6, 3\): several labels per image"):
        recognise_arrays(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", images=IMAGES, labels=np.zeros((6, 1), int))
    assert recognise_arrays(tmp_path / "own.npz").source == "arrays"


def test_capitals_and_signs_of_names_do_not_matter(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, Label=np.zeros(6), PatientID=np.zeros(6))
    assert recognise_arrays(tmp_path / "a.npz").settings == {
        "images": "images",
        "labels": "Label",
        "groups": "PatientID",
    }
