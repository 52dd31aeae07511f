"""Write a job's training and validation cases in nnU-Net's raw layout; test cases never come near it.

Its fingerprint, and so its plan, looks at all cases of the folder. The folder is made anew for every job, from the
prepared cases of its fold, and is stamped with their hash: what lies there from another split is removed and never
reused.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from equipoise.atomic_write import write_json
from equipoise.cohorts.cohort import IGNORED
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples

DATASET = "Dataset001_job"
STAMP = "whole.json"
PARTS = {"train": "t", "validation": "v"}
"""The parts that nnU-Net sees, with the first letter of their cases' names."""
FAR_MM = 999.0
"""Distance of the only plane of a flat image from the next, in planes: nnU-Net's own sign for two dimensions."""


def raw_folder(job: Job, parts: Mapping[str, Samples], folder: Path) -> dict[str, list[str]]:
    """Write the cases of `train` and `validation` under folder/raw, unless these very cases lie there.

    Whatever else lies in `folder`, as from another split or other settings, is removed. Returns the split: the names of
    the cases by nnU-Net's words "train" and "val".
    """
    stamp = stamp_of(job, parts)
    names = {part: [f"{PARTS[part]}{index:05d}" for index in range(len(parts[part]))] for part in PARTS}
    if _stamped(folder) != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        place = folder / "raw" / DATASET
        for kind in ("imagesTr", "labelsTr"):
            (place / kind).mkdir(parents=True)
        for part, samples in parts.items():
            for index, name in enumerate(names[part]):
                _write_case(job, samples, index, name, place)
        write_json(place / "dataset.json", _dataset(job, sum(map(len, names.values()))))
        write_json(folder / STAMP, {"sha256": stamp})  # last: without it the folder counts as unfinished
    return {"train": names["train"], "val": names["validation"]}


def stamp_of(job: Job, parts: Mapping[str, Samples]) -> str:
    """Return a hash of what the folder depends on: the cases of both parts, their pixels, and nnU-Net's settings."""
    unknown = set(parts) ^ set(PARTS)
    if unknown:
        raise ValueError(f"nnU-Net trains with {' and '.join(PARTS)}, and got or lacks {min(unknown)}")
    digest = hashlib.sha256()
    for part in PARTS:
        samples = parts[part]
        digest.update(json.dumps([part, samples.cases, [grid.prepared_spacing_mm for grid in samples.grids]]).encode())
        for index in range(len(samples)):
            for array in (samples.images[index], samples.targets[index]):
                digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(
        json.dumps([job.arm.model.model_dump(mode="json"), job.classes, job.name, *_run(job)], sort_keys=True).encode()
    )
    return digest.hexdigest()


def _run(job: Job) -> list[str]:
    """Return the run: a folder of another one holds checkpoints that this plan did not train."""
    run = job.run_hash()
    return [run] if run else []


def _stamped(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / STAMP).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_case(job: Job, samples: Samples, index: int, name: str, place: Path) -> None:
    spacing = samples.grids[index].prepared_spacing_mm
    target = np.asarray(samples.targets[index])
    # The label after the last class is nnU-Net's "ignore".
    labels = np.where(target == IGNORED, len(job.classes), target).astype(np.uint8)
    for channel, image in enumerate(np.asarray(samples.images[index])):
        _write_nifti(place / "imagesTr" / f"{name}_{channel:04d}.nii", image.astype(np.float32), spacing)
    _write_nifti(place / "labelsTr" / f"{name}.nii", labels, spacing)


def _write_nifti(file: Path, array: NDArray[Any], spacing_mm: tuple[float, ...]) -> None:
    """Write an array (z, y, x) or (y, x) with its spacing."""
    volume, spacing = as_volume(array, spacing_mm)
    affine = np.diag([*reversed(spacing), 1.0])
    made: Any = nibabel.Nifti1Image  # its signature has no types
    nibabel.save(made(volume.transpose(2, 1, 0), affine), file)


def as_volume(array: NDArray[Any], spacing_mm: tuple[float, ...]) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Return an array (…, *spatial) and its spacing with three spatial axes; a flat image becomes a single plane.

    >>> as_volume(np.zeros((2, 4, 5)), (1.0, 2.0))[1]
    (1998.0, 1.0, 2.0)
    """
    if len(spacing_mm) == 3:
        return array, spacing_mm
    return np.expand_dims(array, -3), (FAR_MM * max(spacing_mm), *spacing_mm)


def _dataset(job: Job, cases: int) -> dict[str, Any]:
    """Return nnU-Net's dataset.json."""
    # Numbered: one of the user's classes may be named "ignore", which means something to nnU-Net, and names of channels
    # such as "CT" would choose a normalisation for stored values, which these are not any more.
    labels = {"background" if index == 0 else f"class {index}": index for index in range(len(job.classes))}
    labels |= {"ignore": len(job.classes)} if job.ignores else {}
    channels = {str(channel): f"prepared {channel}" for channel in range(job.channels)}
    return {"channel_names": channels, "labels": labels, "numTraining": cases, "file_ending": ".nii"}
