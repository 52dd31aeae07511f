"""Run folders that version 0.1 left, one per task, give their recorded numbers and sentences again."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from equipoise.report import write_report

KEPT = Path(__file__).resolve().parents[1] / "data" / "run-of-0.1"


def differences(recorded: Any, now: Any, place: str = "results") -> list[str]:
    """Where `now` is not what was recorded; numbers may differ by 1e-7, fields may have been added.

    The temperature of a calibration is an optimum found to 1e-6: another processor's last bits move what rests on it.
    """
    if isinstance(recorded, dict) and isinstance(now, dict):
        return [
            line
            for key, value in recorded.items()
            for line in (
                differences(value, now[key], f"{place}.{key}") if key in now else [f"{place}.{key} is missing"]
            )
        ]
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = enumerate(zip(recorded, now, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{place}[{index}]")]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (recorded, now))
    alike = math.isclose(recorded, now, rel_tol=1e-7, abs_tol=1e-7) if numbers else recorded == now
    return (
        [] if alike and isinstance(recorded, bool) == isinstance(now, bool) else [f"{place}: {recorded!r}, now {now!r}"]
    )


def measured(results: dict[str, Any]) -> dict[str, Any]:
    """What was measured: the value of every run and its mean, parameters, failures, patients.

    Intervals, verdicts and sentences are made anew by today's statistics (CHANGELOG), and may differ.
    """
    entries = [*results["arms"], *results["baselines"]]
    return {
        "cohort": {key: results["cohort"][key] for key in ("task", "patients", "cases", "classes", "split", "folds")},
        "protocol": results["protocol_sha256"],
        "failures": results["failures"],
        "arms": {
            entry["name"]: {
                "parameters": entry["parameters"],
                "seeds": entry["seeds"],
                "endpoints": {
                    name: {key: value.get(key) for key in ("estimate", "by_seed", "n_patients", "n_cases")}
                    for name, value in entry["endpoints"].items()
                },
            }
            for entry in entries
        },
        "pairs": {f"{pair['a']} - {pair['b']}": pair["difference"] for pair in results["comparisons"]},
    }


@pytest.mark.long
@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_a_run_folder_of_version_0_1_is_reported_as_it_was(task: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(KEPT / task, tmp_path / "run"))
    recorded = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    (folder / "results.json").unlink()
    write_report(folder)
    now = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert recorded["cohort"]["task"] == task
    assert recorded["ledger"]["verified"]
    assert differences(measured(recorded), measured(now)) == []
    assert (folder / "report.html").stat().st_size > 50_000


def test_the_kept_folders_are_small() -> None:
    assert sum(file.stat().st_size for file in KEPT.rglob("*") if file.is_file()) < 400_000


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"a": [1.0, "x"]}, []),
        ({"a": [1.0 + 1e-10, "x"], "more": 3}, []),
        ({"a": [1.0 + 1e-6, "x"]}, ["results.a[0]: 1.0, now 1.000001"]),
        ({"a": [1.0, "y"]}, ["results.a[1]: 'x', now 'y'"]),
        ({"a": [1.0]}, ["results.a: [1.0, 'x'], now [1.0]"]),
        ({"a": [True, "x"]}, ["results.a[0]: 1.0, now True"]),
        ({}, ["results.a is missing"]),
    ],
)
def test_a_difference_is_named(change: Any, line: list[str]) -> None:
    assert differences({"a": [1.0, "x"]}, change) == line
