import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.evaluation.predictions import Predictions
from equipoise.evaluation.roc import Run
from equipoise.report.figures.calibration import calibration_figure, decision_figure
from equipoise.report.figures.comparison import forest_figure, overview_figure
from equipoise.report.figures.confusion import confusion_figure
from equipoise.report.figures.cost import cost_figure
from equipoise.report.figures.distribution import distribution_figure
from equipoise.report.figures.figure import NARROW, PANEL, WIDE, Figure, write_figures
from equipoise.report.figures.flow import Part, flow_figure
from equipoise.report.figures.learning import learning_figure
from equipoise.report.figures.roc import roc_figure
from equipoise.report.figures.svg import Drawing
from equipoise.report.figures.variance import variance_figure
from equipoise.report.results.calibration import Rows, mean_error
from equipoise.runfolder.read import JobRecord

NAMES = {"a": "a", "b": "b", "rule": "diameter rule"}


def _table(figure: Figure) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(figure.csv())))


def _entry(
    name: str, estimate: float | None = 0.9, latency: float | None = 2.0, baseline: bool = False
) -> dict[str, Any]:
    value = {"estimate": estimate, "low": 0.8, "high": 0.95, "by_seed": [{"seed": 0, "value": 0.88}]}
    return {
        "name": name, "endpoints": {"auc": value if estimate is not None else {}},
        "cost": {"latency_ms": latency, "pareto": True},
        "confusion": [[8, 2], [1, 9]], "confusion_runs": 1, "baseline": baseline,
    }  # fmt: skip


def _pair(difference: float | None = 0.01, verdict: str = "not_enough_data") -> dict[str, Any]:
    return {
        "a": "a", "b": "b", "difference": difference, "low": None if difference is None else -0.02,
        "high": None if difference is None else 0.04, "p": 0.4, "p_adjusted": 0.7, "verdict": verdict,
        "simultaneous": [None, None] if difference is None else [-0.03, 0.05], "se_patients": 0.01, "se_seeds": 0.02,
        "se_runs": 0.01,
    }  # fmt: skip


def test_overview_carries_estimates_and_runs() -> None:
    figure = overview_figure([_entry("a"), _entry("rule", 0.85, baseline=True)], NAMES, "auc", "AUC")
    assert _table(figure)[0] == {"name": "a", "estimate": "0.9", "low": "0.8", "high": "0.95", "run_1": "0.88"}
    assert "diameter rule: 0.850" in figure.panels[0].description
    assert (figure.panels[0].width, (figure.narrow or figure.panels)[0].width) == (WIDE, NARROW)


def test_a_baseline_far_off_is_said_to_be_off_the_axis() -> None:
    entries = [_entry("a"), _entry("rule", 0.85, baseline=True), _entry("lazy", 0.5, baseline=True)]
    figure = overview_figure(entries, NAMES | {"lazy": "majority class"}, "auc", "AUC")
    assert sum("off this axis" in part for part in figure.panels[0].parts) == 1


def test_the_best_baseline_is_the_lowest_where_lower_is_better() -> None:
    entries = [_entry("a"), _entry("rule", 0.82, baseline=True), _entry("lazy", 0.84, baseline=True)]
    names = NAMES | {"lazy": "lazy"}
    high, low = (overview_figure(entries, names, "auc", "loss", side).panels[0].parts for side in (True, False))
    assert [part for part in high if "reference" in part] != [part for part in low if "reference" in part]


def test_overview_without_any_result_is_drawn() -> None:
    assert "no result" in overview_figure([_entry("a", None)], NAMES, "auc", "AUC").panels[0].description


def test_forest_shades_the_margin_and_keeps_refusals() -> None:
    figure = forest_figure([_pair(), _pair(None, "refused"), _pair(0.03, "a_better")], NAMES, "AUC", 0.03)
    parts = figure.panels[0].parts
    assert sum('class="shade"' in part for part in parts) == 1
    assert sum("hollow" in part for part in parts) == 1
    assert len(_table(figure)) == 3
    assert "no verdict" in figure.panels[0].description
    without = forest_figure([_pair()], NAMES, "AUC", None)
    assert not any("shade" in part for part in without.panels[0].parts)


def test_many_differences_are_drawn_in_parts_that_fit_on_paper() -> None:
    narrow = forest_figure([_pair()] * 45, NAMES, "AUC", 0.03).narrow
    assert narrow is not None
    assert len(narrow) == 3
    assert all(drawing.height < 265 / 25.4 * 96 - 100 for drawing in narrow), "A4 without margins and heading, px"
    assert sum(drawing.description.count("against") for drawing in narrow) == 45


def test_long_names_take_two_lines_on_a_phone() -> None:
    names = {"a": "densenet-adaptive-momentum", "b": "another-very-long-name"}
    short, long = (forest_figure([_pair()], each, "AUC", 0.03).narrow for each in (NAMES, names))
    assert short is not None
    assert long is not None
    assert long[0].height > short[0].height


def _job(arm: str, chosen: int | None = 2, losses: tuple[float, ...] = (0.6, 0.4, 0.5)) -> JobRecord:
    held = np.array(losses)
    history = {"epoch": np.arange(1.0, 1 + len(held)), "train_loss": held - 0.1, "validation_loss": held}
    return JobRecord(arm, 0, 0, "finished", done={"chosen_epoch": chosen}, history=history)


def test_learning_marks_the_chosen_epoch() -> None:
    figure = learning_figure([_job("a"), _job("b", None)], ["a", "b", "c"])
    assert figure is not None
    assert len(figure.panels) == 3
    assert sum("<circle" in part for part in figure.panels[0].parts) == 1
    assert not any('class="m ' in part for part in figure.panels[1].parts)
    assert any("no run left a history" in part for part in figure.panels[2].parts)
    assert _table(figure)[1]["validation_loss"] == "0.4"


def test_learning_survives_a_divergence() -> None:
    figure = learning_figure([_job("a", None, (0.5, float("nan"), float("inf")))], ["a"])
    assert figure is not None
    assert "nan" not in figure.panels[0].inline()
    assert learning_figure([JobRecord("a", 0, 0, "missing")], ["a"]) is None


def test_confusion_shows_counts_and_rates() -> None:
    figure = confusion_figure([_entry("a")], NAMES, ["benign", "malignant"])
    assert figure is not None
    assert "benign: 80 % correct, malignant: 90 % correct" in figure.panels[0].description
    assert [row["count"] for row in _table(figure)] == ["8", "2", "1", "9"]
    assert confusion_figure([{"name": "a", "confusion": None}], NAMES, []) is None


def test_confusion_of_many_classes_shows_shares_alone() -> None:
    counts = [[9 if i == j else int(i == 0 and j == 7) for j in range(8)] for i in range(8)]
    figure = confusion_figure([_entry("a") | {"confusion": counts}], NAMES, [str(i) for i in range(8)])
    assert figure is not None
    drawn = figure.panels[0].inline()
    assert drawn.count(">100<") == 7
    assert ">90<" in drawn
    assert "%<" not in drawn
    assert "in %" in figure.caption
    assert figure.rows[7][3:] == (1, 0.1)


def test_confusion_of_an_absent_class_is_drawn() -> None:
    entry = _entry("a") | {"confusion": [[0, 0], [1, 2]]}
    figure = confusion_figure([entry], NAMES, ["a class with a very long name", "m"])
    assert figure is not None
    assert any("rotate(" in part for part in figure.panels[0].parts)


def _run(separation: float, seed: int = 0, n: int = 60) -> Run:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3 == 0
    return Run(
        truth[None], (1 / (1 + np.exp(-separation * truth - rng.normal(size=n))))[None], np.arange(n).astype(str)
    )


def test_roc_draws_band_and_rule() -> None:
    figure = roc_figure(
        {"a": [_run(2), _run(2, 1)], "b": [_run(1)]}, ("diameter rule", [_run(1.5)]), "malignant", {"a": "AUC 0.9"}
    )
    assert figure is not None
    assert len(figure.panels) == 2
    for panel in figure.panels:
        assert sum('class="area' in part for part in panel.parts) == 1
        assert sum('class="reference"' in part for part in panel.parts) == 1
    assert {row["arm"] for row in _table(figure)} == {"a", "b", "diameter rule"}


def test_roc_needs_both_classes() -> None:
    one = Run(np.ones((1, 5), dtype=bool), np.ones((1, 5)), np.arange(5).astype(str))
    assert roc_figure({"a": [one]}, None, "malignant", {}) is None
    figure = roc_figure({"a": [one], "b": [_run(1)]}, ("rule", [one]), "malignant", {})
    assert figure is not None
    assert len(figure.panels) == 1


def _rows(n: int = 200) -> Rows:
    rng = np.random.default_rng(0)
    probability = rng.random(n)
    return Rows(probability, rng.random(n) < probability, np.arange(n).astype(str), np.arange(n) % 2)


def test_calibration_states_its_bias() -> None:
    rows = _rows()
    error = mean_error(rows)
    figure = calibration_figure({"a": rows}, {"a": error}, "malignant")
    assert f"chance alone {error.by_chance:.3f}" in figure.panels[0].description
    assert sum(int(row["rows"]) for row in _table(figure)) == 200


def test_the_error_beside_pooled_bins_is_that_of_the_bins() -> None:
    """Two runs that err in opposite directions: their bins together lie on the diagonal, each run's do not."""
    rows = _rows(4000)
    probability = np.clip(rows.probability + np.where(rows.run == 1, 0.1, -0.1), 0, 1)
    rows = Rows(probability, rows.positive, rows.patient, rows.run)
    member = np.minimum((probability * 10).astype(int), 9)
    gaps = [abs(rows.positive[member == k].sum() - probability[member == k].sum()) for k in range(10)]
    error = mean_error(rows)
    words = calibration_figure({"a": rows}, {"a": error}, "malignant").panels[0].description
    assert words.startswith(f"ECE of these bins {sum(gaps) / 4000:.3f}; of one run {error.estimate:.3f};")
    one = Rows(probability, rows.positive, rows.patient, np.zeros(4000, dtype=np.int64))
    assert calibration_figure({"a": one}, {"a": error}, "m").panels[0].description.startswith("ECE 0.")


def test_net_benefit_stands_beside_the_rule() -> None:
    figure = decision_figure({"a": _rows()}, ("diameter rule", _rows()), "malignant")
    assert {row["name"] for row in _table(figure)} == {"a", "diameter rule"}
    assert "Dashed: the diameter rule." in figure.caption


def test_variance_is_split() -> None:
    figure = variance_figure([_pair()], NAMES, "More seeds would help.")
    assert figure is not None
    (row,) = _table(figure)
    shares = [float(row[f"share_of_{part}"]) for part in ("patients", "both", "runs")]
    assert shares == pytest.approx([0.2, 0.6, 0.2])
    assert figure.caption.endswith("More seeds would help.")
    unknown = _pair() | {"se_seeds": None}
    assert variance_figure([unknown], NAMES, "") is None


def test_flow_counts_what_was_left_out() -> None:
    parts = [Part(name, 10, 20, {"benign": 12, "malignant": 8}) for name in ("Train", "Validation", "Test")]
    figure = flow_figure(Part("Analysed", 30, 60, {}), parts, [("unreadable", 5, 4)], "nodule")
    assert any("65 nodules" in part for part in figure.panels[0].parts)
    assert any("Left out: 5 nodules" in part for part in figure.panels[0].parts)
    assert any("5 nodules of 4 patients: unreadable" in part for part in figure.panels[0].parts)
    assert any("12 benign" in part for part in figure.panels[0].parts)
    whole = flow_figure(Part("Analysed", 30, 60, {}), parts, [], "case")
    assert not any("Left out" in part for part in whole.panels[0].parts)


def test_cost_marks_what_nothing_dominates() -> None:
    dominated = _entry("b", 0.85, 3.0)
    dominated["cost"]["pareto"] = False
    figure = cost_figure([_entry("a"), dominated, _entry("c", latency=None)], "auc", "AUC", tied=["a", "c"])
    assert figure is not None
    assert [row["pareto"] for row in _table(figure)] == ["True", "False", "True"]
    assert [row["not_shown_worse_than_the_best"] for row in _table(figure)] == ["True", "False", "True"]
    legend, speed = figure.panels
    assert sum("hollow" in part for part in legend.parts) == sum("hollow" in part for part in speed.parts) == 1
    assert "c: " not in speed.description, "its latency is unknown"
    assert cost_figure([_entry("a", None)], "auc", "AUC") is None
    assert cost_figure([_entry("a", latency=None)], "auc", "AUC") is None


def test_cost_has_a_panel_for_every_known_cost_and_the_rule_in_each() -> None:
    arm = _entry("a")
    arm["cost"]["peak_memory_mb"], arm["parameters"] = 600.0, 25_000
    figure = cost_figure([arm], "auc", "AUC", ("size rule", 0.88))
    assert figure is not None
    assert [panel.title for panel in figure.panels[1:]] == [
        "AUC against latency of one case, ms",
        "AUC against peak memory of training, MB",
        "AUC against parameters, millions",
    ]
    assert all(any("reference" in part for part in panel.parts) for panel in figure.panels)
    (row,) = _table(figure)
    assert (row["peak_memory_mb"], row["parameters"]) == ("600", "25000")


def test_panels_have_one_width() -> None:
    figure = confusion_figure([_entry("a")], NAMES, ["benign", "malignant"])
    assert figure is not None
    assert figure.panels[0].width == PANEL


def _metric(name: str, values: list[float], runs: int = 1) -> Predictions:
    n = len(values) * runs
    case = np.array([f"case-{index}" for index in range(len(values))] * runs)
    return Predictions(
        case=case, patient=case, split=np.full(n, "test"), arm=np.full(n, "a"), fold=np.zeros(n, dtype=np.int64),
        seed=np.repeat(np.arange(runs), len(values)), truth=np.full(n, -1), scores=np.empty((n, 0)),
        metrics={name: np.array(values * runs)},
    )  # fmt: skip


def test_distribution_shows_failures_beside_the_median() -> None:
    figure = distribution_figure({"a": _metric("dice", [0.0, 0.05, 0.8, 0.9, 0.95])}, "dice", "Dice", "case")
    assert figure is not None
    assert figure.panels[0].description == "median 0.8; 2 of 5 below 0.1"
    assert sum(int(row["predictions"]) for row in _table(figure)) == 5


def test_distribution_of_distances_has_its_own_range() -> None:
    figure = distribution_figure({"a": _metric("hd95", [2.0, 4.0, 140.0])}, "hd95", "HD95 (mm)", "case")
    assert figure is not None
    assert float(_table(figure)[-1]["to"]) == 140
    assert "below" not in figure.panels[0].description
    assert distribution_figure({"a": _metric("dice", [0.5])}, "auc", "AUC", "case") is None


def test_every_run_is_drawn_so_that_no_failure_is_averaged_away() -> None:
    table = _metric("dice", [0.8, 0.9], runs=2)
    table.metrics["dice"][2] = 0.0
    figure = distribution_figure({"a": table}, "dice", "Dice", "case")
    assert figure is not None
    assert figure.panels[0].description.endswith("1 of 4 below 0.1")


def test_a_figure_named_after_an_attribute_stays_in_its_folder(tmp_path: Path) -> None:
    for name in ("subgroups-M/F", "subgroups-../../up", "subgroups-sex"):
        drawing = Drawing(10, 10, "title", "words")
        write_figures([Figure(name, "title", "caption", (drawing,), ("x",), ((1,),))], tmp_path / "figures")
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert len(names) == 6
    assert {"subgroups-sex.svg", "subgroups-sex.csv"} <= set(names)
