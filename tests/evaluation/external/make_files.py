"""Writes the small files in `files/` with the tools themselves; kept so that anyone can make them again.

Needs an environment of its own (never the project's): nnunetv2 2.8, monai 1.6, medmnist 3.0, SimpleITK, torch.
    python tests/evaluation/external/make_files.py tests/evaluation/external/files
The masks are phantoms: ellipsoids with a core, shifted and resized by each "network". Case `p06_b` has no core in truth
and in both predictions (nnU-Net writes NaN there), and `careless` misses the core of `p04_a` altogether.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

CASES = [f"p{patient:02d}_{scan}" for patient in range(1, 17) for scan in "ab"]
ARMS = {"careful": (0.4, 0.3), "careless": (0.8, 0.8)}
SHAPE, SPACING = (12, 20, 20), (1.0, 1.0, 2.5)  # z, y, x and x, y, z as each library wants them


def ellipsoid(centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    grid = np.indices(SHAPE).reshape(3, -1).T
    return (((grid - centre) / np.maximum(radii, 0.1)) ** 2).sum(axis=1).reshape(SHAPE) <= 1


def phantom(centre: np.ndarray, radii: np.ndarray, core: float) -> np.ndarray:
    mask = ellipsoid(centre, radii).astype(np.uint8)
    if core > 0:
        mask[ellipsoid(centre, core * radii)] = 2
    return mask


def write_masks(root: Path) -> None:
    rng = np.random.default_rng(11)
    folders = {name: root / "masks" / name for name in ("truth", *ARMS)}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for case in CASES:
        centre, radii = np.array([6.0, 10.0, 10.0]) + rng.normal(size=3), rng.uniform(3, 6, size=3) * [0.7, 1, 1]
        core = 0.0 if case == "p06_b" else 0.55
        save(phantom(centre, radii, core), folders["truth"] / f"{case}.nii.gz")
        for arm, (shift, growth) in ARMS.items():
            seen = 0.0 if arm == "careless" and case == "p04_a" else core
            moved, grown = centre + shift * rng.normal(size=3), radii + growth * rng.normal(size=3)
            save(phantom(moved, grown, seen), folders[arm] / f"{case}.nii.gz")


def save(mask: np.ndarray, path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask)
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(path), useCompression=True)


def write_nnunet(root: Path) -> None:
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    for name, asked in (("labels", [1, 2]), ("regions", [(1, 2), (2,)])):
        for arm in ARMS:
            folder = root / f"nnunet_{name}" / arm
            folder.mkdir(parents=True)
            compute_metrics_on_folder(
                str(root / "masks/truth"), str(root / "masks" / arm), str(folder / "summary.json"), SimpleITKIO(),
                ".nii.gz", asked, num_processes=1,
            )  # fmt: skip


def one_hot(path: Path) -> Any:
    import SimpleITK as sitk
    import torch

    mask = torch.from_numpy(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    return torch.stack([mask >= 1, mask == 2])[None].float()


def write_monai(root: Path) -> None:
    from monai.data import CSVSaver
    from monai.handlers.utils import write_metrics_reports
    from monai.metrics import DiceMetric, HausdorffDistanceMetric

    for arm in ARMS:
        folder = root / "monai" / arm
        dice = DiceMetric(ignore_empty=False, reduction="none")
        hd95 = HausdorffDistanceMetric(include_background=True, percentile=95, reduction="none")
        files = [root / "masks" / arm / f"{case}.nii.gz" for case in CASES if case not in ("p06_b", "p04_a")]
        for file in files:
            pair = one_hot(file), one_hot(root / "masks/truth" / file.name)
            dice(*pair)
            hd95(*pair, spacing=SPACING[::-1])
        details = {"mean_dice": dice.aggregate(), "hausdorff95": hd95.aggregate()}
        write_metrics_reports(
            str(folder), [str(file.name) for file in files], None, details, "*", class_labels=["whole", "core"]
        )
        saver = CSVSaver(folder, "dice.csv")
        saver.save_batch(dice.aggregate(), {"filename_or_obj": [f"/data/{file.name}" for file in files]})
        saver.finalize()


def write_monai_scores(root: Path) -> None:
    import torch
    from monai.data import CSVSaver

    rng = np.random.default_rng(12)
    truth = np.arange(60) % 3
    folder = root / "monai_scores"
    for arm, skill in (("resnet", 2.0), ("densenet", 1.0)):
        logits = torch.from_numpy(skill * np.eye(3)[truth] + rng.normal(size=(60, 3)))
        saver = CSVSaver(folder, f"{arm}.csv")
        saver.save_batch(logits.softmax(1), {"filename_or_obj": [f"/data/c{i:02d}.png" for i in range(60)]})
        saver.finalize()
    names = ("normal", "bacterial", "viral")
    rows = [f"c{i:02d},p{i // 2:02d},{names[t]}" for i, t in enumerate(truth)]
    (folder / "truth.csv").write_text("case,patient,truth\n" + "\n".join(rows) + "\n", encoding="utf-8")


def write_medmnist(root: Path) -> None:
    from medmnist import Evaluator

    rng = np.random.default_rng(13)
    folder = root / "medmnist"
    folder.mkdir()
    truth = {"pneumoniamnist": np.arange(80) % 2, "bloodmnist": np.arange(80) % 8}
    for flag, labels in truth.items():
        np.savez_compressed(folder / f"{flag}.npz", test_labels=labels[:, None].astype(np.uint8))
        classes = int(labels.max()) + 1
        for arm, skill in (("resnet18", 2.5), ("resnet50", 1.5)):
            for run in (1, 2, 3) if classes == 2 else (1,):
                logits = skill * np.eye(classes)[labels] + rng.normal(size=(80, classes))
                scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                (folder / flag / arm).mkdir(parents=True, exist_ok=True)
                Evaluator(flag, "test", root=str(folder)).evaluate(scores, str(folder / flag / arm), run=f"{arm}_{run}")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for write in (write_masks, write_nnunet, write_monai, write_monai_scores, write_medmnist):
        write(target)
