"""Results as an object: the same dictionary, with tables, files and a view for notebooks."""

import csv
import json

import pytest

import equipoise
from equipoise import api
from equipoise.errors import EquipoiseError
from equipoise.report import handle

PAIR = {
    "a": "net", "b": "other", "endpoint": "auc", "difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.01,
    "p_adjusted": 0.02, "margin": 0.03, "verdict": "a_better", "reason": "net is better.", "decisive": [0.01, 0.19],
    "decisive_level": 0.95, "role": "primary",
}  # fmt: skip
VALUE = {"estimate": 0.8, "low": 0.7, "high": 0.9, "n_patients": 10}
SMALL = {
    "cohort": {"classes": {"x": 1, "y": 1}}, "endpoints": {"primary": "auc", "higher_is_better": True, "margin": 0.03},
    "arms": [{"name": name, "endpoints": {"auc": VALUE}, "model": "unet"} for name in ("net", "other")],
    "untuned": [], "baselines": [{"name": "size-rule", "display": "diameter rule", "endpoints": {"auc": VALUE}}],
    "comparisons": [PAIR], "baseline_comparisons": [{**PAIR, "b": "size-rule"}], "ranking": [],
    "failures": [{"arm": "=cmd()", "reason": "-1+2"}], "recommendation": {}, "warnings": [],
    "unfinished": {"jobs": 2, "ended": 0, "epochs": 0, "validation": {}},
}  # fmt: skip


def test_a_small_dictionary_has_tables_files_and_a_view(tmp_path):
    results = handle.Results(SMALL)
    assert [row["called"] for row in results.rows("endpoints")] == ["net", "other", "diameter rule"]
    assert results.comparisons[0]["low"] == 0.01, "the interval of the verdict"
    assert results.rows("baseline_comparisons")[0]["second"] == "diameter rule"
    files = {file.name for file in results.save_csv(tmp_path)}
    assert files == {"endpoints.csv", "comparisons.csv", "baseline_comparisons.csv", "cost.csv", "failures.csv"}
    assert (tmp_path / "failures.csv").read_text().splitlines()[1] == "'=cmd(),'-1+2"
    assert results._repr_html_().count("<table>") == 2
    assert results.answers[0].startswith("Unfinished")


@pytest.fixture(scope="module")
def results(reported):
    return api.results(reported)


@pytest.mark.long
def test_it_is_the_dictionary_of_results_json(results, reported):
    assert results == json.loads((reported / "results.json").read_text())
    assert json.loads(json.dumps(results)) == results
    assert results.report == reported / "report.html"
    assert results.ranking == results["ranking"]
    assert {"comparisons", "save_csv", "warnings", "frame"} <= set(dir(results))
    assert "arms" in results._ipython_key_completions_()
    with pytest.raises(AttributeError, match="did you mean 'ranking'"):
        _ = results.rankin


@pytest.mark.long
def test_rows_of_tables(results):
    rows = results.rows("endpoints")
    assert {row["kind"] for row in rows} == {"arm", "baseline"}
    assert any(row["called"] == "diameter rule" for row in rows if row["arm"] == "size-rule") or all(
        row["arm"] != "size-rule" for row in rows
    )
    pair = results.comparisons[0]
    assert [pair["low"], pair["high"]] == results["comparisons"][0]["decisive"], "the interval of the verdict"
    assert pair["words"]
    for table in results.tables:
        kinds = {tuple(row) for row in results.rows(table)}
        assert len(kinds) <= 1, "all rows of a table have the same keys"
    with pytest.raises(EquipoiseError, match="did you mean 'endpoints'"):
        results.rows("endpoint")


@pytest.mark.long
def test_a_frame_where_pandas_is(results, monkeypatch):
    def missing(name):
        raise ImportError(name)

    with monkeypatch.context() as patch:
        patch.setattr(handle, "import_module", missing)
        with pytest.raises(EquipoiseError, match="install pandas"):
            results.frame("endpoints")


@pytest.mark.long
def test_a_frame_of_pandas(results):
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = results.frame("endpoints")
    assert list(frame.columns)[:3] == ["arm", "called", "kind"]
    assert len(frame) == len(results.rows("endpoints"))


@pytest.mark.long
def test_files_that_no_spreadsheet_computes(results, tmp_path):
    poisoned = handle.Results({**results, "failures": [{"arm": "=cmd()", "reason": "-1+2"}]})
    files = poisoned.save_csv(tmp_path / "tables")
    assert {file.name for file in files} >= {"endpoints.csv", "comparisons.csv", "failures.csv"}
    with (tmp_path / "tables" / "failures.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["arm", "reason"], ["'=cmd()", "'-1+2"]]
    assert poisoned.save_csv(tmp_path / "one.csv", "cost") == [tmp_path / "one.csv"]
    (tmp_path / "file").touch()
    with pytest.raises(EquipoiseError, match="cannot be written"):
        poisoned.save_csv(tmp_path / "file" / "x.csv", "cost")


@pytest.mark.long
def test_the_view_escapes_and_begins_with_the_verdict(results):
    page = results._repr_html_()
    assert page.startswith("<div><p>")
    assert page.count("<table>") == 2
    poisoned = json.loads(json.dumps(results).replace("unet-adam", "<img src=x>"))
    assert "<img" not in handle.Results(poisoned)._repr_html_()
    assert repr(results).startswith("<equipoise results, ")


def test_what_has_no_results(tmp_path):
    with pytest.raises(EquipoiseError, match="equipoise report"):
        api.results(tmp_path)


def test_public_names_are_completed():
    assert {"run", "audit", "check", "results", "Results", "load"} <= set(dir(equipoise))
    assert equipoise.results is api.results


@pytest.mark.long
def test_an_audit_returns_the_object():
    rows = {
        "arm": ["a", "b"] * 60, "case": [f"c{n // 2}" for n in range(120)],
        "truth": ["x" if n // 2 % 3 else "y" for n in range(120)], "score": [(n * 7 % 11) / 11 for n in range(120)],
    }  # fmt: skip
    results = equipoise.audit(rows, cases_are_patients=True, positive="y", columns="score=score")
    assert isinstance(results, equipoise.Results)
    assert results.folder is None
    assert len(results.rows("endpoints")) >= 2
