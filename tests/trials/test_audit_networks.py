"""Two products with one run each: a verdict about these trained networks, with patients alone sampled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from equipoise.cli import main
from equipoise.errors import PredictionError
from equipoise.report.text.verdicts import answers
from equipoise.trials.audit import audit

N = 80


def dice(shift: float, seeds: int = 1, spread: float = 0.04) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    easy = rng.normal(0.8, 0.05, N)
    rows = [(arm, seed, f"c{i}", float(np.clip(easy[i] - gap + rng.normal(0, spread), 0, 1)))
            for arm, gap in (("new", 0.0), ("old", shift)) for seed in range(seeds) for i in range(N)]  # fmt: skip
    arm, seed, case, value = zip(*rows, strict=True)
    return {"arm": list(arm), "seed": list(seed), "case": list(case), "dice": list(value)}


def test_the_verdict_of_single_runs_is_the_paired_t_test_over_patients() -> None:
    table = dice(0.06)
    pair = audit(table, cases_are_patients=True, margin=0.02)["comparisons"][0]
    value = np.array(table["dice"]).reshape(2, N)
    by_scipy = ttest_rel(value[0], value[1])
    low, high = by_scipy.confidence_interval(0.95)
    assert (pair["p"], pair["low"], pair["high"]) == pytest.approx((by_scipy.pvalue, low, high), rel=1e-9)
    assert (pair["verdict"], pair["about"]) == ("a_better", "networks")
    assert pair["non_inferior"] == ["new"]
    assert pair["patients_needed"] > 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_claim_on_methods_says_what_an_audit_cannot_check(seeds: int) -> None:
    results = audit(dice(0.06, seeds), cases_are_patients=True, margin=0.02)
    assert results["comparisons"][0]["verdict"] == "a_better"
    answer = answers(results, {"new": "new", "old": "old"})[0].answer
    assert answer.endswith("cannot check that the runs of an arm are trainings of their own.") is (seeds > 1)


def test_a_difference_below_the_margin_is_equivalence_of_these_networks() -> None:
    found = audit(dice(0.0), cases_are_patients=True, margin=0.05)
    assert found["comparisons"][0]["verdict"] == "equivalent"
    assert "For these trained networks" in found["comparisons"][0]["reason"]


def test_not_inferior_is_said_where_nothing_else_is_decided() -> None:
    found = audit(dice(0.03, spread=0.15), cases_are_patients=True, margin=0.05)
    pair = found["comparisons"][0]
    assert (pair["verdict"], pair["non_inferior"]) == ("not_enough_data", ["new"])
    words = answers(found, {"new": "new", "old": "old"})[0].answer
    assert "new is non-inferior to old (margin 0.050)" in words
    assert words.startswith("For these trained networks, on patients like these: ")
    assert "no difference" in answers(found, {"new": "new", "old": "old"})[1].answer


def test_an_arm_with_runs_beside_one_without_is_no_question_about_networks() -> None:
    table = dice(0.03, seeds=3)
    one = [arm == "new" or seed == 0 for arm, seed in zip(table["arm"], table["seed"], strict=True)]
    mixed = {key: [value for value, keep in zip(values, one, strict=True) if keep] for key, values in table.items()}
    pair = audit(mixed, cases_are_patients=True)["comparisons"][0]
    assert (pair["verdict"], pair["about"]) == ("single_run", "methods")


@pytest.mark.long
def test_the_page_of_single_runs_claims_nothing_over_training_runs(tmp_path: Path) -> None:
    results = audit(dice(0.06), cases_are_patients=True, margin=0.02, out=tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "over patients and training runs" not in page
    assert "Mean of one training run" not in page
    assert any("these trained networks" in warning for warning in results["warnings"])
    assert results["variance"] is None


@pytest.mark.long
def test_a_threshold_adds_the_rates_of_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(N) % 2
    lines = ["product,exam_id,y_true,y_prob"]
    called: dict[str, list[bool]] = {"A": [], "B": []}
    for arm, skill in (("A", 0.3), ("B", 0.2)):
        for i in range(N):
            p = float(np.clip(0.5 + skill * (truth[i] - 0.5) + 0.15 * rng.normal(), 0, 1))
            called[arm].append(round(p, 4) >= 0.45)
            lines.append(f"{arm},e{i},{truth[i]},{p:.4f}")
    path = tmp_path / "readings.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    words = ["audit", str(path), "--cases-are-patients", "--threshold", "0.45", "--primary", "sensitivity"]
    assert main([*words, "--out", str(tmp_path / "out"), "--quiet", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    for arm in results["arms"]:
        own = np.array(called[arm["name"]])
        assert arm["endpoints"]["sensitivity"]["estimate"] == pytest.approx(own[truth == 1].mean())
        assert arm["endpoints"]["npv"]["estimate"] == pytest.approx((truth[~own] == 0).mean())
    assert results["endpoints"]["threshold"] == 0.45
    assert any("if its score is at least 0.45" in warning for warning in results["warnings"])


def test_a_threshold_needs_a_positive_class() -> None:
    with pytest.raises(PredictionError, match="positive class"):
        audit(dice(0.0), cases_are_patients=True, threshold=0.5)
