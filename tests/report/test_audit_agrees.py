"""The predictions of a run folder, put together and audited, give the run's own numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.auditing import audit
from equipoise.cli import main
from equipoise.evaluation.predictions import concatenate, read_parquet, write_parquet
from equipoise.report import summarise


def test_run_and_audit_agree(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder()
    shutil.rmtree(folder / "baselines")  # with them the draws behind p_adjusted are others
    run = summarise(folder)
    file = tmp_path / "all.parquet"
    order = [arm["name"] for arm in run["arms"]]
    found = [read_parquet(path) for name in order for path in sorted((folder / "jobs" / name).glob("*/*.parquet"))]
    write_parquet(concatenate(found), file)
    audited = audit(file, margin=run["endpoints"]["margin"], secondary=run["endpoints"]["secondary"])
    assert audited["comparisons"] == run["comparisons"]
    assert [arm["endpoints"] for arm in audited["arms"]] == [arm["endpoints"] for arm in run["arms"]]


def test_the_command_leaves_both_files(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(make_folder().glob("jobs/*/*/predictions.parquet"))
    out = tmp_path / "audit"
    assert main(["audit", *map(str, files), "--out", str(out), "--quiet"]) == 0
    assert "report.html" in capsys.readouterr().out
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["audit"] is True
