import csv
import io

import numpy as np
import pytest

from equipoise.evaluation.detection import RATES, Marks, froc
from equipoise.report.figures.froc import froc_figure


def _marks(seed: int, scans: int = 30) -> Marks:
    rng, k = np.random.default_rng(seed), 13 * scans
    scan, finding = rng.integers(0, scans, k), rng.integers(-4, 2, k)
    finding = np.where(finding < 0, -1, finding)
    return Marks(scan, rng.normal(size=k) + (finding >= 0), finding, np.zeros(k, bool), np.full(scans, 2))


def test_the_table_holds_the_mean_curve_of_the_runs() -> None:
    runs = [_marks(0), _marks(1)]
    figure = froc_figure({"a": [(run, np.arange(30) // 2) for run in runs]}, {"a": "CPM 0.7 (0.6 to 0.8)"})
    rows = list(csv.DictReader(io.StringIO(figure.csv())))
    for rate in RATES:
        (row,) = [row for row in rows if float(row["false_positives_per_scan"]) == pytest.approx(rate)]
        assert float(row["sensitivity"]) == pytest.approx(np.mean([froc(run).at(rate) for run in runs]), abs=1e-5)
        assert float(row["low"]) <= float(row["sensitivity"]) <= float(row["high"])
    assert "CPM 0.7" in figure.panels[0].description
    assert sum("circle" in part for part in figure.panels[0].parts) == len(RATES)
    assert any(">⅛<" in part for part in figure.panels[0].parts)


@pytest.mark.long
def test_the_rule_is_drawn_in_every_panel() -> None:
    runs, patient = [(_marks(0), np.arange(30))], np.arange(30)
    figure = froc_figure({"a": runs, "b": runs}, {}, ("spot rule", [(_marks(5), patient)]), "slice")
    rows = list(csv.DictReader(io.StringIO(figure.csv())))
    (row,) = [r for r in rows if r["arm"] == "spot rule" and float(r["false_positives_per_scan"]) == 1]
    assert float(row["sensitivity"]) == pytest.approx(froc(_marks(5)).at(1), abs=1e-5)
    assert all(sum('class="reference"' in part for part in panel.parts) == 1 for panel in figure.panels)
    assert "Dashed: the spot rule." in figure.caption
    assert "false positives per slice" in figure.panels[1].inline()


@pytest.mark.long
def test_the_band_is_wider_where_patients_are_fewer() -> None:
    widths = []
    for patients in (80, 8):
        figure = froc_figure({"a": [(_marks(0, patients), np.arange(patients))]}, {})
        rows = list(csv.DictReader(io.StringIO(figure.csv())))
        widths.append(np.mean([float(row["high"]) - float(row["low"]) for row in rows]))
    assert widths[1] > widths[0] > 0


def test_nothing_to_find_is_no_figure() -> None:
    marks = _marks(0)
    none = Marks(marks.scan[:0], marks.score[:0], marks.finding[:0], marks.irrelevant[:0], np.zeros(30, np.int64))
    assert froc_figure({"a": [(none, np.arange(30))]}, {}) is None
    assert froc_figure({}, {}) is None
