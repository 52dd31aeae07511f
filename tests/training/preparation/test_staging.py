"""Staged arrays are trusted only as they were written: whatever is damaged is made anew, with the same numbers."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from equipoise.preprocessing import Pipeline
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.data.samples import Samples, staged
from equipoise.training.preparation.staging import stage

INDICES = np.arange(6)


def counted(cohort):
    """The cohort, with the names of the cases whose images were read."""
    read = []

    def reading(case):
        return replace(case, read=lambda: (read.append(case.id), case.read())[1])

    return replace(cohort, cases=tuple(reading(case) for case in cohort.cases)), read


def flip(file, at):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(bytes(content))


def older(file):
    index = json.loads(file.read_text())
    index.pop("sha256")
    file.write_text(json.dumps(index))


DAMAGE = {
    "empty index": lambda folder: (folder / "cases.json").write_text(""),
    "cut index": lambda folder: os.truncate(folder / "cases.json", 40),
    "an index of another kind": lambda folder: (folder / "cases.json").write_text("[]"),
    "an index that is no text": lambda folder: (folder / "cases.json").write_bytes(b"\xff\xfe\x00"),
    "one bit of the index": lambda folder: flip(folder / "cases.json", (folder / "cases.json").stat().st_size // 2),
    "an index without hashes": lambda folder: older(folder / "cases.json"),
    "no index": lambda folder: (folder / "cases.json").unlink(),
    "cut array": lambda folder: os.truncate(folder / "images.bin", 100),
    "empty array": lambda folder: os.truncate(folder / "targets.bin", 0),
    "no array": lambda folder: (folder / "images.bin").unlink(),
    "one bit of an array": lambda folder: flip(folder / "images.bin", 77),
}


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_samples_are_made_anew(task, damage, tmp_path):
    cohort, read = counted(phantom(task=task, cases=6, size=16))
    made = stage(cohort, INDICES, Pipeline(), tmp_path)
    whole = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    images = [np.array(made.images[k]) for k in INDICES]
    del made  # its maps of the files
    read.clear()
    stage(cohort, INDICES, Pipeline(), tmp_path)
    assert read == [], "whole samples are not made again"
    DAMAGE[damage](tmp_path)
    assert not staged(tmp_path)
    again = stage(cohort, INDICES, Pipeline(), tmp_path)
    assert len(read) == 6
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == whole
    assert all(np.array_equal(again.images[k], images[k]) for k in INDICES)


def test_samples_of_other_cases_are_not_taken_for_these(tmp_path):
    cohort = phantom(cases=6, size=8)
    stage(cohort, np.array([0, 1]), Pipeline(), tmp_path)
    assert stage(cohort, np.array([1, 2]), Pipeline(), tmp_path).cases == ("phantom-00001", "phantom-00002")


@pytest.mark.parametrize("at", range(4))
def test_a_disk_that_fills_while_samples_are_written_leaves_none(at, tmp_path, monkeypatch):
    """Two arrays and the folder are synced before the index is."""
    cohort, calls, fsync = phantom(task="segmentation", cases=3, size=8), [], os.fsync

    def full(handle):
        calls.append(handle)
        if len(calls) == at + 1:
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            stage(cohort, np.arange(3), Pipeline(), tmp_path)
    assert not staged(tmp_path)
    assert not list(tmp_path.glob(".*.part"))
    assert len(stage(cohort, np.arange(3), Pipeline(), tmp_path)) == 3
    assert isinstance(Samples.load(tmp_path), Samples)
