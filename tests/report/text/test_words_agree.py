"""Single sentences that would contradict the numbers beside them."""

import re
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from equipoise.evaluation.external.units import states_spacing
from equipoise.evaluation.predictions import Predictions
from equipoise.report.pages.assemble import all_figures
from equipoise.report.pages.page import render
from equipoise.report.results.entries import classification
from equipoise.report.summary import results_of
from equipoise.report.text.amounts import about
from equipoise.report.text.design_reasons import more_patients_needed
from equipoise.report.text.initialization import initialization
from equipoise.report.text.judgement_reasons import what_would_help
from equipoise.report.text.pair_reasons import difference, equivalent
from equipoise.report.text.run_reasons import cheapest_of_tied
from equipoise.report.text.words import interval, label_of, number, percentage
from equipoise.runfolder.read import JobRecord, read_folder
from equipoise.statistics.endpoints import described, endpoint_named

RECORDED = Path(__file__).resolve().parents[2] / "data" / "recorded-run"


@pytest.mark.parametrize(
    ("low", "high"), [(0.0004, 0.02), (-0.03, -0.00002), (1e-7, 0.5), (0.0, 0.3), (-0.1, 0.1), (-0.0003, 0.0004)]
)
def test_a_bound_reads_zero_only_where_it_is_zero(low: float, high: float) -> None:
    texts = interval(low, high).replace("−", "-").split(" to ")
    assert [float(text) == 0 for text in texts] == [low == 0, high == 0]
    assert [np.sign(float(text)) for text in texts] == [np.sign(low), np.sign(high)]


def test_a_standard_error_is_never_zero_in_print() -> None:
    assert float(number(0.000031, 4)) > 0
    assert number(1e-17) == "0.000"  # the rounding of equal numbers is 0


def test_shares_reach_their_ends_only_there() -> None:
    assert [percentage(one) for one in (0.0, 0.004, 0.43, 0.997, 1.0)] == ["0", "0.4", "43", "99.7", "100"]


def test_means_that_differ_are_told_apart() -> None:
    text = difference([0.81214, 0.81206], "", 0.95, (-0.01, 0.02))
    first, second = text.split(",")[0].split(" against ")
    assert float(first) > float(second)
    for means in ([0.5716, 0.5741], [0.81214, 0.81206], [0.8, 0.7], [0.0004, 0.0299]):
        text = difference(means, "", 0.95, (-0.02, 0.02))
        numbers = re.match(r"(\S+) against (\S+), a difference of (\S+)", text)
        assert numbers is not None
        first, second, gap = (Decimal(one) for one in numbers.groups())
        assert first - second == gap, text
    assert "together" in difference([0.8, 0.7], "", 0.95, (0.05, 0.15), family=3)


def test_an_equivalence_never_reads_as_if_it_touched_the_margin() -> None:
    text = equivalent("a", "b", "AUC", 0.9, (-0.01, 0.029996), 0.03, None)
    assert float(text.split(" to ")[1].split()[0]) < 0.03


def test_near_shares_are_no_difference() -> None:
    assert "help about equally" in what_would_help(0.86, 0.84)
    assert "more seeds would help more than more patients" in what_would_help(0.9, 0.5)
    assert "more patients would help more than more seeds" in what_would_help(0.2, 0.9)


def test_undecided_arms_are_not_called_equal() -> None:
    assert "nor that they are equivalent" in cheapest_of_tied(["a", "b"], "parameters")
    assert "are equivalent" in cheapest_of_tied(["a", "b"], "parameters", equal=True)


def test_patients_needed_are_never_rounded_down() -> None:
    for count in (1, 9, 10, 14, 96, 101, 387, 1240, 123_456):
        shown = int(about(count).replace(",", ""))
        assert count <= shown <= max(count * 1.1, count + 1)
    text = more_patients_needed(0.03, 0.4, 3, 1204, 301, None, [(640, 10)])
    assert "about 1,300 test patients (at least 310" in text
    assert "640 with 10 runs each" in text


def test_the_same_seeds_are_claimed_where_they_are_the_same() -> None:
    same = [{"name": "a", "seeds": [0, 1], "failed_jobs": 0}, {"name": "b", "seeds": [0, 1], "failed_jobs": 0}]
    assert "the same seeds in every arm" in initialization(same, "0, 1")
    failed = [same[0], same[1] | {"failed_jobs": 1}]
    other = [same[0], same[1] | {"seeds": [2, 3]}]
    assert "(1 of them failed)" in initialization(failed, "0, 1")
    assert initialization(other, "0, 1, 2, 3") == "Random, from the seeds 0, 1 of a and 2, 3 of b."


def test_one_name_for_one_endpoint() -> None:
    classes = ("low", "middle", "high")
    assert endpoint_named("auc", (), classes).label == described("auc", 3).label == "macro AUC"
    assert endpoint_named("auc", (), classes[:2]).label == "AUC"


def test_a_unit_needs_a_spacing() -> None:
    results = {"cohort": {"classes": {}}, "endpoints": {"units_stated": False}}
    assert label_of(results, "hd95_core") == "HD95 core"
    results["endpoints"]["length_unit"] = "pixels"
    assert label_of(results, "hd95") == "HD95 (pixels)"
    assert label_of(results, "volume_error_ml") == "volume error (1,000 pixels)"
    assert label_of(results, "dice") == "Dice"
    assert label_of({"cohort": {"classes": {}}, "endpoints": {}}, "hd95_core") == "HD95 (mm) core"
    assert [states_spacing(Path(name)) for name in ("a.nii.gz", "a.mha", "a.npy", "a.png")] == [
        True,
        True,
        False,
        False,
    ]


def test_no_threshold_is_chosen_among_equal_scores() -> None:
    n = 40
    case = np.array([f"c{k}" for k in range(n)])
    table = Predictions(
        case, case, np.repeat(["validation", "test"], n // 2), np.full(n, "rule"), np.zeros(n, dtype=int),
        np.zeros(n, dtype=int), np.arange(n) % 2, np.tile([0.6, 0.4], (n, 1)), ("benign", "malignant"),
    )  # fmt: skip
    entry = classification([JobRecord("rule", 0, 0, "finished", predictions=table)], 1)
    assert entry["class_rates"]["malignant"]["estimate"] == 0
    assert entry["operating_point"] is None


@pytest.mark.long
def test_a_run_that_lacks_a_file_is_nowhere_called_verified(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    (folder / "jobs" / "unet" / "0-1" / "predictions.parquet").unlink()
    run = read_folder(folder)
    results = results_of(run)
    page = render(run, results, all_figures(run, results))
    assert "NOT verified" in page
    assert "verified" not in page.replace("NOT verified", "").replace("could not be verified", "")
    assert "the same seeds in every arm" not in page
