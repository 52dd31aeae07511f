"""MedMNIST result files, as its own Evaluator wrote them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from equipoise.errors import EquipoiseError, PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.medmnist import file_name, read_scores


@pytest.mark.long
@pytest.mark.parametrize("flag", ["pneumoniamnist", "bloodmnist"])
def test_scores_and_truth_give_the_auc_in_the_name(made: Path, flag: str) -> None:
    for path in sorted((made / "medmnist" / flag).rglob("*.csv")):
        found = read_scores(path, AuditOptions(truth=made / f"medmnist/{flag}.npz")).columns
        name = file_name(path)
        assert name is not None
        classes = [column for column in found if column.startswith("score_")]
        scores, truth = np.stack([found[column] for column in classes], axis=1), found["truth"].astype(int)
        asked = [1] if len(classes) == 2 else range(len(classes))
        auc = np.mean([roc_auc_score(truth == index, scores[:, index]) for index in asked])
        assert name.metrics["AUC"] == pytest.approx(auc, abs=5.1e-4)
        assert name.metrics["ACC"] == pytest.approx(accuracy_score(truth, scores.argmax(axis=1)), abs=5.1e-4)
        assert found["case"][0] == "test-000000"


def test_scores_beside_another_truth_are_found_out(made: Path, tmp_path: Path) -> None:
    path = next((made / "medmnist/pneumoniamnist").rglob("*_1.csv"))
    np.savez(tmp_path / "other.npz", test_labels=np.zeros(80, dtype=np.uint8) + (np.arange(80) < 40))
    with pytest.raises(PredictionError, match="its name says ACC"):
        read_scores(path, AuditOptions(truth=tmp_path / "other.npz"))
    lines = path.read_text(encoding="utf-8").splitlines()
    turned = tmp_path / "pneumoniamnist_test@1.csv"
    turned.write_text("\n".join(reversed(lines)), encoding="utf-8")  # the numbers of the rows count, not their order
    truth = AuditOptions(truth=made / "medmnist/pneumoniamnist.npz")
    assert (
        read_scores(turned, truth).columns["score_1"].tolist() == read_scores(path, truth).columns["score_1"].tolist()
    )


def refused(path: Path, stated: AuditOptions, said: str) -> None:
    with pytest.raises(EquipoiseError, match=said):
        read_scores(path, stated)


def test_what_does_not_fit_is_named(made: Path, tmp_path: Path) -> None:
    path = next((made / "medmnist/pneumoniamnist").rglob("*_1.csv"))
    truth = made / "medmnist/pneumoniamnist.npz"
    refused(path, AuditOptions(), "pneumoniamnist.npz as truth")
    refused(path, AuditOptions(truth=truth, classes=("a", "b", "c")), "2 classes, and 3")
    validation = tmp_path / "pneumoniamnist_val@1.csv"
    shutil.copy(path, validation)
    refused(validation, AuditOptions(truth=truth), "part 'val'")
    np.savez(tmp_path / "short.npz", test_labels=np.zeros((79, 1), dtype=np.uint8))
    refused(path, AuditOptions(truth=tmp_path / "short.npz"), "labels of 79")
    np.savez(tmp_path / "chest.npz", test_labels=np.zeros((80, 14), dtype=np.uint8))
    refused(path, AuditOptions(truth=tmp_path / "chest.npz"), "14 labels per image")
    np.savez(tmp_path / "more.npz", test_labels=np.arange(80, dtype=np.uint8) % 3)
    refused(path, AuditOptions(truth=tmp_path / "more.npz"), "a label 2")
    np.savez(tmp_path / "none.npz", images=np.zeros(3))
    refused(path, AuditOptions(truth=tmp_path / "none.npz"), "test_labels")
    refused(tmp_path / "scores.csv", AuditOptions(truth=truth), "not named as MedMNIST")


def test_one_column_is_the_second_class(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "pneumoniamnist_test@1.csv"
    path.write_text("".join(f"{i},{0.01 * i:.2f}\n" for i in range(80)), encoding="utf-8")
    found = read_scores(path, AuditOptions(truth=made / "medmnist/pneumoniamnist.npz")).columns
    assert found["score_1"][7] == 0.07
    assert found["score_0"][7] == pytest.approx(0.93)
