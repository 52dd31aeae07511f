"""The predictions of a run folder, put together and audited, give the run's own numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main
from equipoise.evaluation.predictions import concatenate, read_parquet, write_parquet
from equipoise.report import summarise
from equipoise.trials.audit import audit

TWO = ("benign", "malignant")
FOUR = ("low", "moderate", "high", "very high")


ALL = ("comparisons", "secondary_comparisons", "ranking", "variance")
OF_AN_ARM = ("endpoints", "confusion", "class_rates", "operating_point", "calibration", "seeds")


@pytest.mark.long
@pytest.mark.parametrize("classes", [TWO, FOUR])
@pytest.mark.parametrize("kind", ["parquet", "csv", "memory"])
def test_run_and_audit_agree(
    make_folder: Callable[..., Path], tmp_path: Path, classes: tuple[str, ...], kind: str
) -> None:
    """Whatever predictions alone decide is equal to the last bit, the thresholds chosen on validation rows too."""
    folder = make_folder(classes=classes)
    shutil.rmtree(folder / "baselines")  # with them the draws behind p_adjusted are others
    run = summarise(folder)
    file = tmp_path / f"all.{kind}"
    order = [arm["name"] for arm in run["arms"]]
    found = [read_parquet(path) for name in order for path in sorted((folder / "jobs" / name).glob("*/*.parquet"))]
    write_parquet(concatenate(found), file)
    table = pq.read_table(file)
    if kind == "csv":
        pyarrow.csv.write_csv(table, file)
    plan = run["endpoints"]
    asked = {key: plan[key] for key in ("margin", "secondary", "positive")}
    audited = audit(table if kind == "memory" else file, **asked)
    # An audit also says of what a verdict speaks: of methods, where the arms have several runs.
    for pair in (*audited["comparisons"], *audited["secondary_comparisons"]):
        assert pair.pop("about") == "methods"
        pair.pop("non_inferior")
    for key in ALL:
        assert audited[key] == run[key], key
    for theirs, ours in zip(run["arms"], audited["arms"], strict=True):
        for key in OF_AN_ARM:
            assert ours[key] == theirs[key], key
    assert audited["cohort"]["split"]["test"] == run["cohort"]["split"]["test"]


@pytest.mark.long
def test_the_command_leaves_both_files(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(make_folder().glob("jobs/*/*/predictions.parquet"))
    out = tmp_path / "audit"
    assert main(["audit", *map(str, files), "--out", str(out), "--quiet"]) == 0
    assert "report.html" in capsys.readouterr().out
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["audit"] is True
