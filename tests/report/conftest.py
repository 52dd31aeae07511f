"""Run folders made by hand, as a trial leaves them, with known quality per arm."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.evaluation.predictions import Predictions, concatenate, write_parquet
from equipoise.protocol import Protocol
from equipoise.report import write_report
from equipoise.runfolder.ledger import FINISHED, LOCKED, PREDICTED, TEST_OPENED, Ledger

TWO = ("benign", "malignant")
FOUR = ("low", "moderate", "high", "very high")
ARMS = {
    "unet-adam": ("unet", "adam", 1.1, 25_000),
    "deeplab-adam": ("deeplab", "adam", 1.0, 61_000),
    "densenet-adam": ("densenet", "adam", 1.25, 48_000),
    "densenet-adaptive-momentum": ("densenet", "adaptive-momentum", 0.9, 48_000),
}
_TOML = """
[trial]
name = "lidc-malignancy"
question = "Which architecture tells malignant from benign nodules best?"
[cohort]
source = "lidc-contours"
"""


class FolderWriter:
    """Writes one run folder; every piece can be left out or spoilt afterwards by the test."""

    def __init__(self, path: Path, classes: tuple[str, ...], seeds: int, patients: int, arms: dict[str, Any]) -> None:
        self.path, self.classes, self.seeds, self.arms = path, classes, seeds, arms
        self.rng = np.random.default_rng(7)
        self.patients = patients
        self._cohort()
        self.difficulty = self.rng.normal(size=self.case.size)

    def _cohort(self) -> None:
        per_patient = self.rng.integers(1, 5, size=self.patients)
        patient = np.repeat(np.arange(self.patients), per_patient)
        self.patient = np.array([f"LIDC-IDRI-{number + 1:04d}" for number in patient])
        self.case = np.array([f"{name}-n{index}" for index, name in enumerate(self.patient)])
        latent = self.rng.normal(size=patient.size) + 0.5 * self.rng.normal(size=self.patients)[patient]
        edges = np.quantile(latent, np.linspace(0, 1, len(self.classes) + 1)[1:-1])
        self.truth = np.digitize(latent, edges)
        self.latent = latent
        self.diameter = np.exp(2.1 + 0.35 * latent + 0.3 * self.rng.normal(size=patient.size))
        self.part = np.where(patient % 10 < 6, "train", np.where(patient % 10 < 7, "validation", "test"))

    def write(self) -> Path:
        """The whole folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        toml = _TOML + "".join(
            f'[[arms]]\nname = "{name}"\nmodel = "{model}"\noptimizer = "{optimizer}"\n'
            for name, (model, optimizer, *_) in self.arms.items()
        )
        (self.path / "protocol.toml").write_text(toml, encoding="utf-8")
        (self.path / "lock.json").write_text(json.dumps(self._lock()), encoding="utf-8")
        self._write_cases()
        ledger = Ledger(self.path)
        ledger.append(LOCKED, protocol_sha256=self._lock()["protocol_sha256"])
        for name, (model, _, skill, parameters) in self.arms.items():
            for seed in range(self.seeds):
                self._write_job(name, seed, skill + 0.02 * seed, parameters, 1.0 + 0.2 * len(model))
                ledger.append(FINISHED, arm=name, fold=0, seed=seed)
        self._write_baselines()
        ledger.append(TEST_OPENED, jobs=len(self.arms) * self.seeds)
        ledger.append(PREDICTED)
        np.savez_compressed(self.path / "thumbnails.npz", **self._thumbnails())
        return self.path

    def _lock(self) -> dict[str, Any]:
        ids = {part: self.case[self.part == part].tolist() for part in ("train", "validation", "test")}
        counts = {name: int(np.sum(self.truth == index)) for index, name in enumerate(self.classes)}
        return {
            "schema": 1,
            "protocol_sha256": Protocol.load(self.path / "protocol.toml").sha256(),
            "question": "Which architecture tells malignant from benign nodules best?",
            "name": "lidc-malignancy",
            "cohort": {
                "name": "lidc-contours", "task": "classification", "fingerprint": "ab" * 32,
                "patients": self.patients, "cases": len(self.case), "classes": counts,
                "channels": ["axial", "coronal", "sagittal"], "spacing_mm": [1.0, 1.0],
                "excluded": [
                    {"reason": "mean malignancy is exactly 3 (undecided)", "cases": 412, "patients": 301},
                    {"reason": "marked by fewer than three readers", "cases": 1290, "patients": 655},
                ],
                "notes": ["2,671 nodules found; the data set's own documentation counts 2,669"],
                "patients_known": True, "size_attribute": "diameter_mm",
            },
            "split": {"scheme": "holdout", "folds": [ids]},
            "endpoints": {
                "primary": "auc", "secondary": ["accuracy", "brier", "average_precision"], "margin": 0.03,
                "family": "all", "alpha": 0.05, "positive": "malignant" if len(self.classes) == 2 else None,
            },
            "arms": [
                {"name": n, "model": {"name": m, "preset": "small"}, "optimizer": {"name": o}}
                for n, (m, o, *_) in self.arms.items()
            ],
            "seeds": list(range(self.seeds)),
            "jobs": [{"arm": n, "fold": 0, "seed": s} for n in self.arms for s in range(self.seeds)],
            "versions": {"python": "3.12.3", "equipoise": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6"},
            "threads": 1, "device": "cpu", "machine": "x86_64, 2 cores", "locked_at": "2026-11-23T11:00:00+00:00",
        }  # fmt: skip

    def _write_cases(self) -> None:
        with (self.path / "cases.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["case", "patient", "label", "part", "diameter_mm"])
            for row in zip(self.case, self.patient, self.truth, self.part, self.diameter, strict=True):
                writer.writerow([row[0], row[1], self.classes[row[2]], row[3], round(float(row[4]), 2)])

    def _write_job(self, arm: str, seed: int, skill: float, parameters: int, latency: float) -> None:
        folder = self.path / "jobs" / arm / f"0-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        epochs = np.arange(1, 13)
        loss = 0.35 + 0.35 * np.exp(-epochs / 3.0) + 0.01 * self.rng.normal(size=12)
        validation = loss + 0.02 + 0.004 * np.maximum(0, epochs - 8) ** 1.5 + 0.015 * self.rng.normal(size=12)
        lines = ["epoch,train_loss,validation_loss,validation_auc,learning_rate,seconds"]
        lines += [
            f"{e},{a:.5f},{b:.5f},{0.9 - b / 9:.5f},0.001,1.5" for e, a, b in zip(epochs, loss, validation, strict=True)
        ]
        (folder / "history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = {
            "status": "finished", "reason": None, "arm": arm, "fold": 0, "seed": seed,
            "chosen_epoch": int(np.argmin(validation)) + 1, "epochs": 12, "parameters": parameters,
            "train_seconds": 18.0 + seed, "latency_ms": latency, "peak_memory_mb": 610.0, "threads": 1,
        }  # fmt: skip
        (folder / "done.json").write_text(json.dumps(done), encoding="utf-8")
        noise = 0.9 * self.difficulty + 0.6 * self.rng.normal(size=self.case.size)
        write_parquet(self.predict(arm, seed, 1.6 * skill * self.latent + 1.3 * noise), folder / "predictions.parquet")

    def predict(self, arm: str, seed: int, evidence: np.ndarray) -> Predictions:
        """Rows of validation and test whose scores follow `evidence` (n,)."""
        edges = np.quantile(self.latent, (np.arange(len(self.classes)) + 0.5) / len(self.classes))
        logits = -np.abs(evidence[:, None] / 1.6 - edges) * 1.6
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        parts = [self._rows(arm, seed, scores, part) for part in ("validation", "test")]
        return concatenate(parts)

    def _rows(self, arm: str, seed: int, scores: np.ndarray, part: str) -> Predictions:
        rows = self.part == part
        n = int(rows.sum())
        return Predictions(
            case=self.case[rows], patient=self.patient[rows], split=np.full(n, part), arm=np.full(n, arm),
            fold=np.zeros(n, dtype=np.int64), seed=np.full(n, seed, dtype=np.int64), truth=self.truth[rows],
            scores=scores[rows], classes=self.classes,
        )  # fmt: skip

    def _write_baselines(self) -> None:
        evidence = {"majority-class": np.zeros(self.case.size), "size-rule": 3 * (np.log(self.diameter) - 2.1)}
        for name, values in evidence.items():
            folder = self.path / "baselines" / name / "0-0"
            folder.mkdir(parents=True, exist_ok=True)
            write_parquet(self.predict(name, 0, values), folder / "predictions.parquet")

    def _thumbnails(self) -> dict[str, np.ndarray]:
        y, x = np.mgrid[-16:16, -16:16]
        test = self.part == "test"
        return {
            str(case): (40 + 200 * np.exp(-((np.hypot(x, y) / (0.55 * size)) ** 4)) + 5 * (x % 3))
            .clip(0, 255)
            .astype(np.uint8)
            for case, size in zip(self.case[test], self.diameter[test], strict=True)
        }


@pytest.fixture(scope="session")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders written once for all tests; nobody may change them."""
    made: dict[tuple[Any, ...], Path] = {}

    def get(classes: tuple[str, ...], seeds: int, patients: int) -> Path:
        key = (classes, seeds, patients)
        if key not in made:
            made[key] = FolderWriter(tmp_path_factory.mktemp("runs") / "run", classes, seeds, patients, ARMS).write()
        return made[key]

    return get


@pytest.fixture
def make_folder(tmp_path: Path, _written: Callable[..., Path]) -> Callable[..., Path]:
    """`make_folder(classes=…, seeds=…, patients=…)` gives a finished run of one's own."""

    def make(classes: tuple[str, ...] = TWO, seeds: int = 3, patients: int = 300) -> Path:
        return Path(shutil.copytree(_written(classes, seeds, patients), tmp_path / "run"))

    return make


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory, _written: Callable[..., Path]) -> Path:
    """A finished run with its report, for tests that only look."""
    folder = Path(shutil.copytree(_written(TWO, 3, 300), tmp_path_factory.mktemp("reported") / "run"))
    write_report(folder)
    return folder
