"""An audit gives the numbers of a trial, and refuses in one sentence what cannot be judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from equipoise.cli import main
from equipoise.errors import PredictionError, ProtocolError
from equipoise.evaluation.external.tables import read_table
from equipoise.statistics import judge
from equipoise.trials.audit import audit


@pytest.fixture
def table() -> dict[str, Any]:
    """Two arms of three seeds on 120 patients, as columns."""
    rng = np.random.default_rng(5)
    truth = np.arange(120) % 2
    columns: dict[str, list[Any]] = {key: [] for key in ("arm", "seed", "case", "patient", "truth", "score_b")}
    for arm, skill in (("good", 2.0), ("<b>poor", 0.8)):
        for seed in range(3):
            score = 1 / (1 + np.exp(-(skill * (truth - 0.5) + rng.normal(size=120))))
            for key, values in (
                ("arm", [arm] * 120), ("seed", [seed] * 120), ("case", [f"{i:03d}" for i in range(120)]),
                ("patient", [f"{i:03d}" for i in range(120)]), ("truth", np.array(["a", "b"])[truth].tolist()),
                ("score_b", score.tolist()),
            ):  # fmt: skip
                columns[key] += values
    return {key: np.array(values) for key, values in columns.items()} | {"score_a": 1 - np.array(columns["score_b"])}


def ordered(table: dict[str, Any]) -> dict[str, Any]:
    """The second class is the positive one."""
    return {key: table[key] for key in ("arm", "seed", "case", "patient", "truth", "score_a", "score_b")}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_and_memory_agree_with_the_trial(table: dict[str, Any], tmp_path: Path, kind: str) -> None:
    arrow, path = pa.table(ordered(table)), tmp_path / f"predictions.{kind}"
    pyarrow.csv.write_csv(arrow, path) if kind == "csv" else pq.write_table(arrow, path)
    found = audit(path)
    assert found["sources"][0]["kind"] == f"table of predictions ({'CSV' if kind == 'csv' else 'Parquet'})"
    for same in (audit(arrow), audit(ordered(table))):
        assert {**same, "sources": None} == {**found, "sources": None}
    pair = judge(read_table(path), primary="auc", margin=None, arms=["good", "<b>poor"]).comparisons[0]
    assert found["comparisons"][0]["difference"] == pytest.approx(pair.difference, abs=0)
    assert found["exploratory"]
    assert not found["ledger"]["verified"]


@pytest.mark.long
def test_report_says_what_it_is_and_escapes(table: dict[str, Any], tmp_path: Path) -> None:
    results = audit(ordered(table), out=tmp_path / "audit")
    page = (tmp_path / "audit/report.html").read_text(encoding="utf-8")
    assert "made elsewhere" in page
    assert "no ledger" in page
    assert "&lt;b&gt;poor" in page
    assert "<b>poor" not in page
    assert json.loads((tmp_path / "audit/results.json").read_text(encoding="utf-8")) == results


def changed(table: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {**ordered(table), **columns}


def said(results: dict[str, Any]) -> str:
    """Everything the results say in words."""
    reasons = [pair["reason"] for pair in results["comparisons"]]
    cells = [cell["reason"] for arm in results["arms"] for cell in arm["endpoints"].values()]
    return " ".join(map(str, [*results["warnings"], *reasons, *cells]))


@pytest.mark.long
def test_patients_must_be_known_or_stated(table: dict[str, Any], tmp_path: Path) -> None:
    bare = {key: values for key, values in ordered(table).items() if key != "patient"}
    with pytest.raises(PredictionError, match="no column 'patient'"):
        audit(bare)
    assert any("a different patient" in one for one in audit(bare, cases_are_patients=True)["warnings"])
    path = tmp_path / "patients.csv"
    path.write_text("case,patient\n" + "".join(f"{i:03d},p{i // 2}\n" for i in range(120)), encoding="utf-8")
    paired = audit(bare, patients=path)
    assert paired["cohort"]["patients"] == 60
    mapping = {f"{i:03d}": f"p{i // 2}" for i in range(120)}
    assert [one["path"] for one in paired["lists"]] == [str(path)]
    assert {**paired, "lists": []} == audit(bare, patients=mapping)
    with pytest.raises(
        PredictionError, match="119 of 120 cases of the table are not in the list of patients, .001. first"
    ):
        audit(bare, patients={"000": "p0"})


def test_trained_cases_are_refused_or_said(table: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    path.write_text("case\n007\nelsewhere\n", encoding="utf-8")
    with pytest.raises(PredictionError, match="'007'"):
        audit(ordered(table), training=path)
    assert "which was allowed" in said(audit(ordered(table), training=path, allow_trained=True))


@pytest.mark.long
def test_a_missing_case_refuses_the_verdict_or_is_left_out(table: dict[str, Any]) -> None:
    short = {key: values[1:] for key, values in ordered(table).items()}
    found = audit(short)
    assert found["comparisons"][0]["verdict"] == "refused"
    assert "first '000'" in found["comparisons"][0]["reason"]
    common = audit(short, common_cases=True)
    assert "1 of 120 test cases lack a prediction" in said(common)
    keep = ordered(table)["case"] != "000"
    clean = audit({key: values[keep] for key, values in ordered(table).items()})
    assert common["comparisons"] == clean["comparisons"]
    assert common["arms"] == clean["arms"]


def test_different_truths_are_refused_or_left_out(table: dict[str, Any]) -> None:
    truth = ordered(table)["truth"].copy()
    truth[5] = "a" if truth[5] == "b" else "b"
    with pytest.raises(PredictionError, match="case '005' has another truth"):
        audit(changed(table, truth=truth))
    assert "1 of 120 cases have another truth in some" in said(audit(changed(table, truth=truth), common_cases=True))


def test_foreign_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x", encoding="utf-8")
    for name in ("x.txt", "absent.csv"):
        with pytest.raises(PredictionError, match=name):
            audit(tmp_path / name)


@pytest.mark.long
def test_an_endpoint_of_ones_own_is_computed_from_predictions_made_elsewhere(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def misses(truth, scores):\n    return ((truth == 1) & (scores[:, 1] < 0.5)).mean()\n"
    (tmp_path / "own_for_audit.py").write_text(source + "misses.higher_is_better = False\n")
    monkeypatch.chdir(tmp_path)
    found = audit(ordered(table), "own_for_audit:misses", margin=0.1)
    assert found["endpoints"]["higher_is_better"] is False
    truth, score = table["truth"] == "b", table["score_b"]
    wanted = [((truth & (score < 0.5))[(table["arm"] == "good") & (table["seed"] == s)]).mean() for s in range(3)]
    assert found["arms"][0]["endpoints"]["own_for_audit:misses"]["estimate"] == pytest.approx(np.mean(wanted))
    with pytest.raises(ProtocolError, match="own_for_audit has no 'mises'"):
        audit(ordered(table), "own_for_audit:mises")


def scores(table: dict[str, Any], rows: Any, value: float) -> dict[str, Any]:
    new = ordered(table)["score_b"].copy()
    new[rows] = value
    return changed(table, score_b=new)


@pytest.mark.long
def test_scores_that_are_not_numbers_refuse_the_arm_by_name(table: dict[str, Any], tmp_path: Path) -> None:
    found = audit(scores(table, 3, float("nan")), out=tmp_path / "nan")
    assert found["comparisons"][0]["verdict"] == "refused"
    assert "good, seed 0: a score of case '003' is missing or no number" in said(found)
    assert found["arms"][0]["endpoints"]["auc"]["estimate"] is None
    assert found["arms"][1]["endpoints"]["auc"]["estimate"] is not None
    assert found["arms"][0]["confusion"] is None  # the largest of scores one of which is unknown is unknown
    assert found["arms"][1]["confusion"] is not None


@pytest.mark.long
def test_infinite_scores_are_refused_and_drawn_nowhere(table: dict[str, Any], tmp_path: Path) -> None:
    found = audit(scores(table, slice(0, 4), float("inf")), out=tmp_path)
    assert found["arms"][0]["endpoints"]["auc"]["estimate"] is None
    drawn = (tmp_path / "figures/roc.csv").read_text(encoding="utf-8")
    assert "poor" in drawn
    assert "good" not in drawn


def test_a_dice_in_percent_is_asked_about_and_a_single_one_beyond_its_range_is_refused() -> None:
    table = {"arm": ["a", "b"] * 12, "case": np.repeat(np.arange(12), 2).astype(str), "dice": np.linspace(60, 95, 24)}
    with pytest.raises(PredictionError, match=r"'dice' of arm 'a' .*\(--scores percent\), or divide them by 100"):
        audit(table, cases_are_patients=True)
    shares = audit(table, cases_are_patients=True, scores="percent")["arms"][0]["endpoints"]["dice"]["estimate"]
    assert shares == pytest.approx(np.linspace(60, 95, 24)[::2].mean() / 100, abs=1e-12)
    beyond = audit(table | {"dice": [1.2, *np.linspace(0.6, 0.95, 23)]}, cases_are_patients=True)
    assert "dice of case '0' lies outside 0 to 1, the range of Dice" in said(beyond)
    assert beyond["arms"][0]["endpoints"]["dice"]["estimate"] is None


@pytest.mark.long
def test_scores_outside_0_to_1_are_ranked_but_are_no_probabilities(table: dict[str, Any], tmp_path: Path) -> None:
    found = audit(scores(table, slice(0, 9), 4.5), out=tmp_path / "outside")
    assert found["comparisons"][0]["verdict"] != "refused"
    assert "lies outside 0 to 1" in found["arms"][0]["endpoints"]["brier"]["reason"]
    assert found["arms"][0]["calibration"] is None
    assert found["arms"][1]["calibration"] is not None


@pytest.mark.long
def test_one_class_only(table: dict[str, Any], tmp_path: Path) -> None:
    only = ordered(table)["truth"] == "b"
    found = audit({key: values[only] for key, values in ordered(table).items()}, out=tmp_path / "one")
    assert found["comparisons"][0]["verdict"] == "refused"
    assert "needs both classes" in said(found)


@pytest.mark.long
def test_constant_scores(table: dict[str, Any], tmp_path: Path) -> None:
    flat = {"score_a": np.full(720, 0.5), "score_b": np.full(720, 0.5)}
    found = audit(changed(table, **flat), out=tmp_path / "flat")
    assert found["comparisons"][0]["verdict"] in ("refused", "not_enough_data")
    assert "the same score" in said(found)


def test_duplicate_rows(table: dict[str, Any]) -> None:
    twice = {key: np.concatenate([values, values[:1]]) for key, values in ordered(table).items()}
    note = "Row 721 of the table repeats row 1 in every column and was left out."
    results = audit(twice)
    assert results["assumptions"].pop(0) == note
    assert results == audit(ordered(table))
    twice["score_a"][-1], twice["score_b"][-1] = 0.25, 0.75
    with pytest.raises(PredictionError, match="case '000' in the rows 1 and 721, which differ"):
        audit(twice)


@pytest.mark.long
@pytest.mark.parametrize(
    ("seeds", "verdict", "words"), [(1, "a_better", "For these trained networks"), (2, "refused", "fewer than 3")]
)
def test_too_few_runs(table: dict[str, Any], tmp_path: Path, seeds: int, verdict: str, words: str) -> None:
    few = ordered(table)["seed"] < seeds
    found = audit({key: values[few] for key, values in ordered(table).items()}, out=tmp_path / "few")
    assert found["comparisons"][0]["verdict"] == verdict
    assert words in said(found)


@pytest.mark.long
def test_fewer_than_ten_patients_with_an_event(table: dict[str, Any], tmp_path: Path) -> None:
    case = ordered(table)["case"].astype(int)
    few = (ordered(table)["truth"] == "a") | (case < 12)
    found = audit({key: values[few] for key, values in ordered(table).items()}, out=tmp_path / "few")
    assert found["comparisons"][0]["verdict"] == "refused"
    assert "6 patients" in said(found)
    assert found["arms"][0]["endpoints"]["auc"]["low"] is not None


@pytest.mark.long
def test_perfect_separation(table: dict[str, Any], tmp_path: Path) -> None:
    perfect = np.where(ordered(table)["truth"] == "b", 0.9, 0.1)
    found = audit(changed(table, score_b=perfect, score_a=1 - perfect), out=tmp_path / "perfect")
    assert found["comparisons"][0]["verdict"] == "refused"
    assert found["comparisons"][0]["reason"]
    assert found["arms"][0]["endpoints"]["auc"]["estimate"] == 1


def test_a_metric_of_ones_own_needs_its_direction(table: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    own = {"arm": ["a", "b"] * 40, "case": np.repeat(np.arange(40).astype(str), 2), "loss": rng.random(80)}
    own["loss"][1::2] += 1
    with pytest.raises(PredictionError, match="larger 'loss' is better"):
        audit(own, cases_are_patients=True)
    for lower in (True, False):
        stated = {"lower_is_better": ["loss"]} if lower else {"higher_is_better": ["loss"]}
        found = audit(own, cases_are_patients=True, **stated)
        assert found["endpoints"]["higher_is_better"] is not lower
        assert found["endpoints"]["primary"] == "loss"


def test_validation_rows_choose_operating_points(table: dict[str, Any]) -> None:
    split = np.where(ordered(table)["case"].astype(int) < 12, "val", "test")
    found = audit(changed(table, split=split))
    assert found["arms"][0]["operating_point"]["thresholds"]
    assert found["cohort"]["split"] == {"train": 0, "validation": 0, "test": 108}
    with pytest.raises(PredictionError, match="split 'unseen'"):
        audit(changed(table, split=np.full(720, "unseen")))


@pytest.mark.long
def test_subgroups_are_columns_of_the_table(table: dict[str, Any]) -> None:
    site = np.where(ordered(table)["case"].astype(int) < 60, "A", "B")
    found = audit(changed(table, site=site), subgroups=["site"])
    assert [group["value"] for group in found["subgroups"][0]["groups"]] == ["A", "B"]
    assert any("site" in note and "not used" in note for note in audit(changed(table, site=site))["assumptions"])
    with pytest.raises(PredictionError, match="'site' that is not a number"):
        audit(changed(table, site=np.where(site == "A", "1", "B")))


def test_arms_may_be_a_mapping_or_stated_in_the_path(table: dict[str, Any], tmp_path: Path) -> None:
    one = {key: values[:120] for key, values in ordered(table).items() if key != "arm"}
    pyarrow.csv.write_csv(pa.table(one), tmp_path / "p.csv")
    path = tmp_path / "p.csv"
    mapped, stated = audit({"x": path, "y": path}), audit([f"x={path}", f"y={path}"])
    assert mapped == stated
    assert [arm["name"] for arm in mapped["arms"]] == ["x", "y"]


@pytest.mark.long
def test_the_command_offers_what_the_function_does(table: dict[str, Any], tmp_path: Path) -> None:
    short = {key: values[1:] for key, values in ordered(table).items() if key != "patient"}
    pyarrow.csv.write_csv(pa.table(short), tmp_path / "p.csv")
    out = tmp_path / "out"
    (tmp_path / "t.csv").write_text("case\n007\n", encoding="utf-8")
    options = ["--cases-are-patients", "--common-cases", "--allow-trained", "--training", str(tmp_path / "t.csv")]
    command = ["audit", str(tmp_path / "p.csv"), "--out", str(out), "--quiet", "--margin", "0.1", "--control", "good"]
    assert main([*command, *options, "--positive", "b", "--secondary", "accuracy"]) == 0
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert found["endpoints"]["family"] == "good"
    assert found["endpoints"]["secondary"] == ["accuracy"]
    for words in ("a different patient", "lack a prediction", "which was allowed"):
        assert words in said(found)
    assert (
        (out / "cases.csv").read_text(encoding="utf-8").startswith("arm,fold,seed,case,patient,truth,score_a,score_b")
    )
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".csv"}


@pytest.mark.parametrize(
    "options", [[], ["--cases-are-patients", "--metric", "loss"], ["--cases-are-patients", "--regions", "="]]
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    (tmp_path / "p.csv").write_text("a.png,0.1\nb.png,0.2\n", encoding="utf-8")
    assert main(["audit", str(tmp_path / "p.csv"), "--out", str(tmp_path / "out"), "--quiet", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("equipoise: ")
    assert error.count("\n") == 1
