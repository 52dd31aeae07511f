"""Every kind of cohort from files to a report: init recognises it, check passes it, run trains and judges an arm."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from equipoise import cli
from equipoise.cohorts import Cohort
from equipoise.testing.phantoms.brats import write_brats
from equipoise.testing.phantoms.cases import phantom
from equipoise.testing.phantoms.lidc import write_lidc

pytestmark = [pytest.mark.usefixtures("in_this_process"), pytest.mark.trial]


def picture(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.clip(60 + 120 * pixels, 0, 255).astype(np.uint8)).save(file)


def volume(voxels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels.T, np.diag([1.5, 1.0, 1.0, 1.0])), file)


def lesions(cases: int, dims: int) -> Cohort:
    return phantom(task="segmentation", cases=cases, patients=cases, size=16, spatial_dims=dims, classes=3, channels=2)


def write_folders(place: Path) -> Path:
    for case in phantom(cases=48, patients=48, size=16).cases:
        picture(case.read().array[0], place / "data" / ("benign", "malignant")[case.label] / f"{case.id}.png")
    return place / "data"


def write_manifest(place: Path) -> Path:
    with (place / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["case", "patient", "image", "mask", "site"])
        for index, case in enumerate(lesions(24, 2).cases):
            image = case.read()
            picture(image.array[0], place / "images" / f"{case.id}.png")
            Picture.fromarray(np.uint8([0, 100, 255])[image.mask]).save(place / "images" / f"{case.id}-mask.png")
            row = [f"images/{case.id}{end}.png" for end in ("", "-mask")]
            table.writerow([case.id, case.patient, *row, f"site {index % 2}"])
    return place / "manifest.csv"


def write_nnunet(place: Path) -> Path:
    for case in lesions(10, 3).cases:
        image = case.read()
        for channel in range(2):
            volume(image.array[channel], place / "imagesTr" / f"{case.id}_{channel:04d}.nii.gz")
        volume(image.mask, place / "labelsTr" / f"{case.id}.nii.gz")
    description = {
        "channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "organ": 1, "lesion": 2},
        "numTraining": 10, "file_ending": ".nii.gz",
    }  # fmt: skip
    (place / "dataset.json").write_text(json.dumps(description))
    return place


def write_decathlon(place: Path) -> Path:
    pairs = []
    for case in lesions(10, 3).cases:
        image = case.read()
        volume(image.array, place / "imagesTr" / f"{case.id}.nii.gz")
        volume(image.mask, place / "labelsTr" / f"{case.id}.nii.gz")
        pairs.append({"image": f"./imagesTr/{case.id}.nii.gz", "label": f"./labelsTr/{case.id}.nii.gz"})
    description = {
        "modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "organ", "2": "lesion"},
        "training": pairs, "test": [],
    }  # fmt: skip
    (place / "dataset.json").write_text(json.dumps(description))
    return place


def write_medmnist(place: Path, dims: int) -> Path:
    arrays = {}
    for seed, (part, cases) in enumerate({"train": 40, "val": 20, "test": 30}.items()):
        made = phantom(cases=cases, patients=cases, size=16, spatial_dims=dims, seed=seed).cases
        images = np.stack([case.read().array[0] for case in made])
        arrays[f"{part}_images"] = np.clip(60 + 120 * images, 0, 255).astype(np.uint8)
        arrays[f"{part}_labels"] = np.array([[case.label] for case in made])
    np.savez(place / "set.npz", **arrays)
    return place / "set.npz"


def write_arrays(place: Path) -> Path:
    made = phantom(cases=48, patients=24, size=16).cases
    images = np.stack([case.read().array[0] for case in made])
    np.savez(place / "scans.npz", images=images, labels=np.array([case.label for case in made]))
    with (place / "scans.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["patient_id", "age"])
        table.writerows([case.patient, 40 + index % 30] for index, case in enumerate(made))
    return place / "scans.npz"


def brats_folder(place: Path) -> Path:
    write_brats(place, naming="2023", cases=14, shape=(24, 24, 16))
    return place


def lidc_folder(place: Path) -> Path:
    write_lidc(place, patients=8, nodules=3)
    return place


# what init is given, the source it must recognise, and settings that make the trial small
KINDS: dict[str, tuple[Callable[[Path], Path | str], str, str]] = {
    "phantom": (lambda _: "phantom", "phantom", "cases = 60\nsize = 16"),
    "lidc-contours": (lambda _: "lidc-contours", "lidc-contours", "min_readers = 4\nsize = 16\nspacing_mm = 2.0"),
    "lidc": (lidc_folder, "lidc", "size = 12\nspacing_mm = 2.0\nmin_readers = 1"),
    "brats": (brats_folder, "brats", ""),
    "medmnist 2D": (lambda place: write_medmnist(place, 2), "medmnist", ""),
    "medmnist 3D": (lambda place: write_medmnist(place, 3), "medmnist", ""),
    "nnunet": (write_nnunet, "nnunet", ""),
    "decathlon": (write_decathlon, "decathlon", ""),
    "manifest": (write_manifest, "manifest", ""),
    "folders": (write_folders, "folders", ""),
    "arrays": (write_arrays, "arrays", ""),
}


def small(text: str, more: str) -> str:
    """The protocol that init wrote, with less of everything; what it found out about the data stays."""
    first = text.index("[[arms]]") + 1
    text = text[: text.index("[[arms]]", first)] + text[text.index("# [tuning]") :]
    for old, new in (
        (r"channels = \[.*?\]", "channels = [4, 8, 16]"),
        (r"\nepochs = \d+", "\nepochs = 1"),
        (r"\nseeds = \[.*?\]", "\nseeds = [0, 1]"),
        (r'\nscheme = "kfold"', '\nscheme = "holdout"'),
        (r"\nfractions = \[.*?\]", "\nfractions = [0.5, 0.2, 0.3]"),
        (r"\npatch = \[.*?\]", "\npatch = 16"),
    ):
        text = re.sub(old, new, text, count=1)
    return re.sub(r"\n\[split\]", f"\n{more}\n[split]", text, count=1)


@pytest.mark.parametrize("kind", KINDS)
def test_from_files_to_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    write, source, more = KINDS[kind]
    data = tmp_path / "data"
    data.mkdir()
    protocol = tmp_path / "protocol.toml"
    assert cli.main(["init", str(write(data)), "--minutes", "0", "--out", str(protocol)]) == 0
    text = protocol.read_text()
    assert f'source = "{source}"' in text
    protocol.write_text(small(text, more))
    capsys.readouterr()

    code = cli.main(["check", str(protocol), "--json", "--quiet", "--page", str(tmp_path / "check.html")])
    checked = json.loads(capsys.readouterr().out)
    assert checked.get("refusals") == [], checked
    assert code == 0
    assert checked["cases"]
    assert "<img" in (tmp_path / "check.html").read_text()

    assert cli.main(["run", str(protocol), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["failures"] == []
    assert results["cohort"]["cases"] == len(checked["cases"])
    (arm,) = results["arms"]
    primary = results["endpoints"]["primary"]
    assert primary == ("dice" if 'task = "segmentation"' in text else "auc")
    assert 0 <= arm["endpoints"][primary]["estimate"] <= 1
    assert arm["endpoints"][primary]["n_cases"] == results["cohort"]["split"]["test"]
    assert results["baselines"]
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
