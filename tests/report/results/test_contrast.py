"""A trial beside its twin whose split divides patients."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import equipoise
from equipoise.errors import CohortError
from equipoise.report import write_report
from equipoise.report.text.contrast import contrast_table
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.paths import BY_CASE

PROTOCOL = """
[trial]
name = "both-splits"
[cohort]
source = "phantom"
cases = 150
patients = 40
size = 12
[split]
fractions = [0.5, 0.2, 0.3]
contrast = "case"
[training]
epochs = 1
seeds = [0, 1]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, in_this_process: None) -> Path:
    folder = tmp_path_factory.mktemp("contrast")
    (folder / "protocol.toml").write_text(PROTOCOL)
    equipoise.run(folder / "protocol.toml", folder / "run")
    return folder


@pytest.mark.trial
def test_one_protocol_gives_both_results_with_intervals(finished: Path) -> None:
    results = json.loads((finished / "run" / "results.json").read_text())
    found = results["contrast"]
    assert found["unit"] == "case"
    assert found["failed_jobs"] == 0
    assert 20 < found["divided_patients"] <= found["patients"] == 40
    assert found["endpoints"] == ["auc", "accuracy"]
    by_case = json.loads((finished / "run" / BY_CASE / "results.json").read_text())
    for row in found["rows"]:
        for key, source in (("as_planned", results), ("by_case", by_case)):
            entries = {entry["name"]: entry for entry in (*source["arms"], *source["baselines"])}
            value = entries[row["name"]]["endpoints"][row["endpoint"]]
            assert row[key] == {k: value[k] for k in ("estimate", "low", "high")}
            assert row[key]["low"] <= row[key]["estimate"] <= row[key]["high"]
        assert row["difference"] == pytest.approx(row["by_case"]["estimate"] - row["as_planned"]["estimate"])
    assert {row["name"] for row in found["rows"]} >= {"unet", "majority-class", "size-rule"}


@pytest.mark.trial
def test_the_page_shows_them_and_the_verdict_stays_with_the_planned_split(finished: Path) -> None:
    page = (finished / "run" / "report.html").read_text()
    assert 'id="contrast"' in page
    assert "of 40 patients would be in more than one part" in page
    assert "no patient in more than one part" in page
    assert "test set opened <b>once</b>" in page
    other = (finished / "run" / BY_CASE / "report.html").read_text()
    assert "by case, dividing patients" in other
    assert "in more than one part, as the protocol allowed" in other
    assert "as the protocol allowed" in other


@pytest.mark.trial
def test_the_report_comes_again_from_predictions_alone(finished: Path) -> None:
    before = (finished / "run" / "results.json").read_text()
    write_report(finished / "run")
    assert (finished / "run" / "results.json").read_text() == before
    for folder in (finished / "run", finished / "run" / BY_CASE):
        assert Ledger(folder).count(TEST_OPENED) == 1


@pytest.mark.long
def test_a_run_by_case_alone_is_refused_for_its_leaks(tmp_path: Path) -> None:
    file = tmp_path / "protocol.toml"
    file.write_text(PROTOCOL.replace('contrast = "case"', 'unit = "case"'))
    with pytest.raises(CohortError, match="leak across parts"):
        equipoise.run(file, tmp_path / "run")


@pytest.mark.long
def test_without_a_second_run_nothing_is_shown(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    results = write_report(folder)
    assert results["contrast"] is None
    assert contrast_table(results, {}) is None
    assert 'id="contrast"' not in (folder / "report.html").read_text()


@pytest.mark.long
def test_a_second_run_that_is_not_finished_is_shown_with_what_it_has(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder()
    monkeypatch.setattr("equipoise.report.results.results.plans_contrast", lambda *_: True)
    shutil.copytree(folder, folder / BY_CASE)
    shutil.rmtree(folder / BY_CASE / "jobs" / "unet-adam")
    results = write_report(folder)
    (row,) = [r for r in results["contrast"]["rows"] if (r["name"], r["endpoint"]) == ("unet-adam", "auc")]
    assert row["by_case"]["estimate"] is None
    assert row["difference"] is None
    assert results["contrast"]["failed_jobs"] == 3
    table = contrast_table(results, {entry["name"]: "x" for entry in (*results["arms"], *results["baselines"])})
    assert table is not None
    assert table["rows"][0][2][1] == ("–", "–")


@pytest.mark.trial
def test_a_run_of_another_plan_laid_into_its_place_is_named_and_not_shown(finished: Path, tmp_path: Path) -> None:
    """The contrast of a trial with another learning rate: its own record is whole, and it is not this trial's."""
    mine, other = Path(shutil.copytree(finished, tmp_path / "mine")), tmp_path / "other"
    other.mkdir()
    (other / "protocol.toml").write_text(PROTOCOL + "optimizer = {name = 'adam', lr = 0.1}\n")
    equipoise.run(other / "protocol.toml", other / "run")
    shutil.rmtree(mine / "run" / BY_CASE)
    shutil.copytree(other / "run" / BY_CASE, mine / "run" / BY_CASE)
    results = write_report(mine / "run")
    assert results["contrast"] is None
    assert any("folder by-case/ holds no run that this trial planned" in text for text in results["warnings"])
