from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.report import summarise
from equipoise.report.text.tables import (
    endpoint_table,
    estimate_table,
    grouped_failures,
    rate_table,
    sentences,
    statistics_table,
)
from equipoise.report.text.words import typographic

Make = Callable[..., Path]
NAMES = {
    "unet-adam": "U-Net", "deeplab-adam": "DeepLab", "densenet-adam": "DenseNet",
    "densenet-adaptive-momentum": "DenseNet, paper", "size-rule": "diameter rule", "majority-class": "majority class",
}  # fmt: skip


@pytest.mark.long
def test_endpoints_stand_in_one_order_for_all(make_folder: Make) -> None:
    table = endpoint_table(summarise(make_folder(patients=120)), NAMES)
    assert table["heads"] == ["AUC", "accuracy", "Brier score", "average precision (prevalence 0.51)"]
    assert [name for name, _, _ in table["rows"]][:2] == ["U-Net", "DeepLab"]
    assert {is_baseline for _, is_baseline, _ in table["rows"][-2:]} == {True}
    assert all(len(cells) == 4 for _, _, cells in table["rows"])


@pytest.mark.long
def test_an_endpoint_without_a_value_gives_its_reason(make_folder: Make) -> None:
    results = summarise(make_folder(patients=60))
    results["arms"][0]["endpoints"]["auc"] = {"estimate": None, "reason": "one class only"}
    assert endpoint_table(results, NAMES)["rows"][0][2][0] == ("–", "one class only")


@pytest.mark.long
def test_rates_name_the_classes_and_the_operating_point(make_folder: Make) -> None:
    results = summarise(make_folder(patients=120))
    table = rate_table(results, NAMES)
    assert table is not None
    assert table["classes"] == ["benign", "malignant"]
    assert table["points"]
    rate = results["arms"][0]["class_rates"]["malignant"]
    assert table["rows"][0][2][1][0] == f"{100 * rate['estimate']:.0f} %"
    for entry in (*results["arms"], *results["baselines"]):
        entry["class_rates"] = None
    assert rate_table(results, NAMES) is None


def test_a_common_cause_is_read_once() -> None:
    rows: list[dict[str, Any]] = [
        {"arm": "a", "fold": 0, "seed": seed, "status": "failed", "reason": "NaN"} for seed in (0, 2)
    ]
    rows.append({"arm": "a", "fold": 0, "seed": 1, "status": "missing", "reason": None})
    found = grouped_failures({"failures": rows, "cohort": {"folds": 1}})
    assert [(row["runs"], row["status"]) for row in found] == [("seed 0 and seed 2", "failed"), ("seed 1", "missing")]
    assert grouped_failures({"failures": rows[:1], "cohort": {"folds": 5}})[0]["runs"] == "fold 0 seed 0"


@pytest.mark.long
def test_every_number_of_a_verdict_is_there(make_folder: Make) -> None:
    results = summarise(make_folder(patients=120))
    table = statistics_table(results, NAMES)
    assert table is not None
    assert len(table["rows"]) == 14
    name, cells = table["rows"][0]
    assert name == "U-Net − DeepLab"
    assert len(cells) == len(table["heads"])
    pair = results["comparisons"][0]
    assert cells[0] == f"{pair['difference']:+.4f}".replace("-", "−")
    assert "8 degrees of freedom" in table["spread"]
    # Near the ends of the range the interval of equivalence may be the wider one, which a reader takes for an error.
    assert "90 %, equivalence" in table["heads"]
    assert "may then be wider than the interval of 95 %" in table["equivalence"]


@pytest.mark.long
def test_refused_comparisons_have_no_numbers(make_folder: Make) -> None:
    results = summarise(make_folder(patients=60))
    for pair in (*results["comparisons"], *results["baseline_comparisons"]):
        pair["difference"] = None
    assert statistics_table(results, NAMES) is None


@pytest.mark.long
def test_sentences_stand_beside_their_numbers(make_folder: Make) -> None:
    results = summarise(make_folder(patients=120))
    found = sentences(results, "comparisons")
    assert len(found) == 6
    assert all(pair["sentence"] == typographic(pair["reason"]) for pair in found)


@pytest.mark.long
def test_the_numbers_behind_an_estimate_name_their_method(make_folder: Make) -> None:
    rows = dict(estimate_table(summarise(make_folder(patients=300)), NAMES))
    mean, runs, spread, error, freedom, found, second, counts = rows["U-Net"]
    assert len(runs.split(", ")) == 3
    assert float(mean) == pytest.approx(np.mean([float(run) for run in runs.split(", ")]), abs=1e-3)
    assert float(error) > 0 < float(freedom)
    assert float(spread) >= 0
    assert found.endswith("(logit)")
    assert second.endswith("(Newcombe 5 with design effect)")
    assert counts.startswith("90 / ")


@pytest.mark.long
def test_a_rule_of_one_score_has_no_interval_and_equivalence_shows_its_own_p(make_folder: Make) -> None:
    results = summarise(make_folder(patients=120))
    rule = next(one for one in results["baselines"] if one["name"] == "majority-class")["endpoints"]["auc"]
    assert (rule["estimate"], rule["low"], rule["high"]) == (0.5, 0.5, 0.5)
    cells = {name: cells for name, _, cells in endpoint_table(results, NAMES)["rows"]}
    assert cells["majority class"][0] == ("0.500", "one score for all cases")
    assert " to " in cells["diameter rule"][0][1]
    details = dict(estimate_table(results, NAMES))
    assert details["majority class"][5] == "one score for all cases"
    pair = results["comparisons"][0] | {"verdict": "equivalent", "p": 0.25, "p_equivalence": 0.0123}
    (row,) = sentences(results | {"comparisons": [pair]}, "comparisons")
    assert row["words"] == "equivalent within the margin (p of equivalence 0.012)"
