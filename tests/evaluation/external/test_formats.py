"""Every kind of file is recognised by its content, and what is none says so."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external.formats import Kind, kind_of


def test_what_the_tools_wrote_is_recognised(made: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"case": ["a"]}), tmp_path / "t.parquet")
    shutil.copy(made / "nnunet_labels/careful/summary.json", tmp_path / "renamed.json")
    wanted = {
        made / "nnunet_labels/careful/summary.json": Kind.NNUNET,
        tmp_path / "renamed.json": Kind.NNUNET,
        made / "monai/careful/mean_dice_raw.csv": Kind.MONAI_METRICS,
        made / "monai/careful/dice.csv": Kind.MONAI_VALUES,
        made / "monai_scores/truth.csv": Kind.CSV,
        next((made / "medmnist").rglob("bloodmnist_test*")): Kind.MEDMNIST,
        made / "masks/truth/p01_a.nii.gz": Kind.MASK,
        tmp_path / "t.parquet": Kind.PARQUET,
        made / "masks": Kind.FOLDER,
    }
    assert {path: kind_of(path) for path in wanted} == wanted


def test_what_cannot_be_audited_says_what_it_is(made: Path, tmp_path: Path) -> None:
    def refused(path: Path, said: str) -> None:
        with pytest.raises(EquipoiseError, match=said):
            kind_of(path)

    refused(made / "monai/careful/mean_dice_summary.csv", "summary over cases")
    refused(made / "medmnist/pneumoniamnist.npz", "data set, not predictions")
    refused(tmp_path / "absent.csv", "does not exist")
    for name, text, said in (
        ("metrics.csv", "val_mean_dice,0.81\n", "means over all cases"),
        ("v1.json", json.dumps({"results": {"all": []}}), "version 1"),
        ("other.json", "[]", "metric_per_case"),
        ("x.txt", "x", "not a kind"),
        ("empty.csv", "", "empty"),
        ("blank.csv", "\n\n", "no row"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        refused(tmp_path / name, said)
    (tmp_path / "latin.csv").write_bytes(b"f\x81ll,1\n")
    refused(tmp_path / "latin.csv", "not text in UTF-8")
