import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score

from equipoise.evaluation.predictions import Predictions, read_parquet, write_parquet
from equipoise.report import summarise, write_results
from equipoise.report.results.plain import json_safe
from equipoise.runfolder.ledger import TEST_OPENED, Ledger

Make = Callable[..., Path]
PROMISED = {
    "schema", "protocol_sha256", "cohort", "arms", "baselines", "comparisons", "ranking", "recommendation", "ledger",
    "warnings", "failures",
}  # fmt: skip
ARM = {"name", "model", "optimizer", "parameters", "seeds", "failed_jobs", "endpoints", "confusion", "cost"}
COMPARISON = {
    "a",
    "b",
    "endpoint",
    "difference",
    "low",
    "high",
    "p",
    "p_adjusted",
    "margin",
    "verdict",
    "reason",
    "patients_needed",
}


def _test_rows(folder: Path, arm: str, seed: int) -> Predictions:
    table = read_parquet(folder / "jobs" / arm / f"0-{seed}" / "predictions.parquet")
    return table.where(table.split == "test")


def _fail(folder: Path, arm: str, seed: int, reason: str = "the loss became NaN") -> None:
    path = folder / "jobs" / arm / f"0-{seed}" / "done.json"
    path.write_text(
        json.dumps({"status": "failed", "reason": reason, "arm": arm, "fold": 0, "seed": seed}), encoding="utf-8"
    )


@pytest.mark.long
def test_the_promised_fields_are_there(make_folder: Make) -> None:
    results = write_results(folder := make_folder())
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == results
    assert set(results) >= PROMISED
    assert all(set(arm) >= ARM for arm in [*results["arms"], *results["baselines"]])
    assert all(set(pair) >= COMPARISON for pair in results["comparisons"])
    assert len(results["arms"]) == 4
    assert len(results["baselines"]) == 2
    assert len(results["comparisons"]) == 6
    assert len(results["baseline_comparisons"]) == 8
    assert set(results["recommendation"]) == {"accuracy", "speed", "balanced"}
    assert results["ledger"] == {"test_openings": 1, "unplanned_openings": 0, "verified": True}
    assert results["warnings"] == []
    assert results["failures"] == []
    assert sum(results["cohort"]["split"].values()) == results["cohort"]["cases"]
    assert set(results["arms"][0]["endpoints"]["auc"]) >= {
        "estimate",
        "low",
        "high",
        "seed_sd",
        "n_patients",
        "n_cases",
    }
    assert set(results["arms"][0]["cost"]) >= {"train_seconds", "latency_ms", "peak_memory_mb"}
    assert not results["exploratory"]


@pytest.mark.long
def test_estimates_agree_with_scikit_learn(make_folder: Make) -> None:
    results = summarise(folder := make_folder())
    arm = results["arms"][2]
    tables = [_test_rows(folder, arm["name"], seed) for seed in range(3)]
    expected = {
        "auc": np.mean([roc_auc_score(t.truth, t.scores[:, 1]) for t in tables]),
        "accuracy": np.mean([accuracy_score(t.truth, t.scores.argmax(axis=1)) for t in tables]),
        "brier": np.mean([brier_score_loss(t.truth, t.scores[:, 1]) for t in tables]),
    }
    for name, value in expected.items():
        assert arm["endpoints"][name]["estimate"] == pytest.approx(value, abs=1e-12)
    counts = np.sum([confusion_matrix(t.truth, t.scores.argmax(axis=1)) for t in tables], axis=0)
    assert arm["confusion"] == counts.tolist()
    assert arm["confusion_runs"] == 3


@pytest.mark.long
def test_models_are_named_and_their_settings_kept(make_folder: Make) -> None:
    arm = summarise(make_folder(patients=60))["arms"][0]
    assert (arm["model"], arm["optimizer"]) == ("unet", "adam")
    assert arm["settings"] == {"model": {"preset": "small"}, "optimizer": {}}


@pytest.mark.long
def test_four_classes_give_a_macro_auc(make_folder: Make) -> None:
    results = summarise(folder := make_folder(classes=("low", "moderate", "high", "very high")))
    tables = [_test_rows(folder, "unet-adam", seed) for seed in range(3)]
    expected = np.mean([roc_auc_score(t.truth, t.scores, multi_class="ovr") for t in tables])
    assert results["arms"][0]["endpoints"]["auc"]["estimate"] == pytest.approx(expected, abs=1e-12)
    assert results["arms"][0]["operating_point"] is None


@pytest.mark.long
def test_operating_point_is_chosen_on_validation(make_folder: Make) -> None:
    results = summarise(folder := make_folder())
    point = results["arms"][0]["operating_point"]
    hits = []
    for seed, threshold in enumerate(point["thresholds"]):
        table = _test_rows(folder, "unet-adam", seed)
        hits.append((table.scores[:, 1] >= threshold)[table.truth == 1].mean())
    assert point["sensitivity"]["estimate"] == pytest.approx(np.mean(hits))
    held = read_parquet(folder / "jobs/unet-adam/0-0/predictions.parquet")
    held = held.where(held.split == "validation")
    assert point["thresholds"][0] in held.scores[:, 1]


@pytest.mark.long
def test_costs_are_medians_over_runs(make_folder: Make) -> None:
    cost = summarise(make_folder())["arms"][0]["cost"]
    assert cost == {"train_seconds": 19.0, "latency_ms": pytest.approx(1.8), "peak_memory_mb": 610.0, "pareto": True}


@pytest.mark.long
def test_arms_with_one_network_share_its_latency(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    for seed, latency in enumerate((9.0, 9.5, 10.0)):
        path = folder / "jobs" / "densenet-adaptive-momentum" / f"0-{seed}" / "done.json"
        path.write_text(
            json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"latency_ms": latency}), encoding="utf-8"
        )
    arms = {arm["name"]: arm["cost"]["latency_ms"] for arm in summarise(folder)["arms"]}
    assert arms["densenet-adam"] == arms["densenet-adaptive-momentum"] == pytest.approx((2.6 + 9.0) / 2)
    assert arms["unet-adam"] == pytest.approx(1.8)


@pytest.mark.long
def test_only_costs_and_recommendations_hang_on_the_clock(make_folder: Make) -> None:
    before = summarise(folder := make_folder(patients=120))
    rng = np.random.default_rng(0)
    for path in folder.glob("jobs/*/*/done.json"):
        done = json.loads(path.read_text(encoding="utf-8"))
        times = {key: done[key] * rng.uniform(0.2, 5) for key in ("train_seconds", "latency_ms", "peak_memory_mb")}
        path.write_text(json.dumps(done | times), encoding="utf-8")
    after = summarise(folder)
    for results in (before, after):
        results.pop("recommendation")
        for arm in results["arms"]:
            arm.pop("cost")
    assert before == after


@pytest.mark.long
def test_numbers_come_from_predictions_alone(make_folder: Make) -> None:
    before = summarise(folder := make_folder(patients=120))
    for path in folder.glob("jobs/*/*/history.csv"):
        path.unlink()
    after = summarise(folder)
    assert before == after


@pytest.mark.long
def test_a_failed_and_a_missing_job_are_rows_of_failures(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    _fail(folder, "unet-adam", 1)
    shutil.rmtree(folder / "jobs" / "deeplab-adam" / "0-2")
    results = summarise(folder)
    assert [(row["arm"], row["seed"], row["status"]) for row in results["failures"]] == [
        ("unet-adam", 1, "failed"),
        ("deeplab-adam", 2, "missing"),
    ]
    assert results["failures"][0]["reason"] == "the loss became NaN"
    assert any("deeplab-adam, fold 0, seed 2 is missing" in warning for warning in results["warnings"])
    assert results["arms"][0]["failed_jobs"] == 1
    assert results["arms"][0]["seeds"] == [0, 1, 2]


@pytest.mark.long
def test_an_arm_without_any_run_stays_and_is_refused(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    for seed in range(3):
        _fail(folder, "unet-adam", seed)
    results = summarise(folder)
    assert results["arms"][0]["endpoints"]["auc"]["estimate"] is None
    refused = [pair for pair in results["comparisons"] if "unet-adam" in (pair["a"], pair["b"])]
    assert len(refused) == 3
    assert all(pair["verdict"] == "refused" and pair["reason"] for pair in refused)


def test_a_run_without_test_predictions_says_so(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    for path in folder.rglob("predictions.parquet"):
        table = read_parquet(path)
        write_parquet(table.where(table.split == "validation"), path)
    results = summarise(folder)
    assert results["comparisons"] == []
    assert any("no test predictions" in warning for warning in results["warnings"])
    assert results["recommendation"]["accuracy"]["arm"] is None


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "verdict"), [(1, "single_run"), (2, "refused")])
def test_too_few_seeds_give_no_verdict(make_folder: Make, seeds: int, verdict: str) -> None:
    results = summarise(make_folder(seeds=seeds, patients=120))
    assert {pair["verdict"] for pair in results["comparisons"]} == {verdict}
    assert json.dumps(results, allow_nan=False)


@pytest.mark.long
def test_a_second_opening_makes_it_exploratory(make_folder: Make) -> None:
    folder = make_folder(patients=60)
    Ledger(folder).append(TEST_OPENED, jobs=12)
    results = summarise(folder)
    assert results["exploratory"]
    assert results["ledger"]["test_openings"] == 2
    assert "opened 2 times" in results["warnings"][0]


@pytest.mark.long
def test_without_baselines_it_warns(make_folder: Make) -> None:
    folder = make_folder(patients=120)
    shutil.rmtree(folder / "baselines")
    results = summarise(folder)
    assert results["baselines"] == []
    assert any("baselines/" in warning for warning in results["warnings"])
    assert results["recommendation"]["accuracy"]["beats_baseline"] is None


@pytest.mark.long
def test_a_write_that_fails_leaves_the_old_file(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(folder := make_folder(patients=60))
    old = (folder / "results.json").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("equipoise.atomic_write.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_results(folder)
    assert (folder / "results.json").read_bytes() == old


def test_json_safe_knows_what_json_cannot_say() -> None:
    value = {"a": float("nan"), 3: (np.float64(2.5), np.int64(1), float("inf")), "c": np.array([1.0, np.nan])}
    assert json_safe(value) == {"a": None, "3": [2.5, 1, None], "c": [1.0, None]}
