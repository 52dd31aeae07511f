"""A slice of an optimizer study: two data sets, one network, three optimizers, in pieces."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import tomlkit

from equipoise import cli
from equipoise.errors import CohortError, EquipoiseError, Interrupted, LedgerError
from equipoise.runfolder.ledger import Ledger
from equipoise.trials import study as studying
from equipoise.trials.study import run_study

pytestmark = pytest.mark.usefixtures("in_this_process")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STUDY = """
[study]
name = "small"
question = "Which optimizer is best?"
[[study.cohorts]]
name = "first"
cohort = {source = "phantom", cases = 130, size = 16}
[[study.cohorts]]
name = "second"
cohort = {source = "phantom", cases = 140, size = 16, seed = 3}
[[study.models]]
name = "net"
model = "nets_for_study:Net"
[[study.optimizers]]
name = "adam"
optimizer = "adam"
[[study.optimizers]]
name = "agreement"
optimizer = "adaptive_momentum"
[[study.optimizers]]
name = "wild"
optimizer = {name = "sgd", lr = 1e12}
space = {optimizer.lr = {log = [1e-2, 1e12]}}
[split]
fractions = [0.6, 0.15, 0.25]
[training]
epochs = 2
seeds = [0, 1]
[tuning]
draws = 2
[endpoints]
secondary = ["nll"]
"""
OWN = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, out_channels))
"""


def write(folder: Path, text: str = STUDY) -> Path:
    (folder / "nets_for_study.py").write_text(OWN)
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, in_this_process):
    """The study, stopped after its first trial and gone on with."""
    folder = tmp_path_factory.mktemp("study")
    file, out = write(folder), folder / "out"
    real, begun = studying.carry_out, []

    def stops(trial, leaks, **settings):
        if begun:
            raise KeyboardInterrupt
        begun.append(trial)
        return real(trial, leaks, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studying, "carry_out", stops)
        with pytest.raises(Interrupted, match="the same command resumes"):
            run_study(file, out)
    first = (out / "first" / "net" / "ledger.jsonl").read_bytes()
    results = run_study(file, out)
    assert (out / "first" / "net" / "ledger.jsonl").read_bytes() == first, "a finished trial is not begun again"
    return file, out, results


@pytest.mark.trial
def test_every_trial_is_an_ordinary_run_folder(finished):
    _, out, results = finished
    for cohort in ("first", "second"):
        folder = out / cohort / "net"
        assert {"lock.json", "ledger.jsonl", "results.json", "report.html", "jobs"} <= {
            p.name for p in folder.iterdir()
        }
        assert Ledger(folder).count("test opened") == 1
    assert [row["status"] for row in results["trials"]] == ["finished", "finished"]
    assert json.loads((out / "study.json").read_text()) == results


@pytest.mark.trial
def test_divergences_are_counted_and_are_losses(finished):
    _, _, results = finished
    wild = next(row for row in results["failures"] if row["optimizer"] == "wild")
    assert (wild["untuned_failed"], wild["untuned_runs"], wild["draws"]) == (4, 4, 4)
    assert wild["draws_failed"] > 0
    ranks = {row["optimizer"]: row["rank"] for row in results["ranks"]["untuned"]["nll"]["arms"]}
    assert ranks["wild"] == 3.0
    (row,) = [row for row in results["profiles"]["untuned"] if row["optimizer"] == "wild"]
    assert row["reached"] == 0


@pytest.mark.trial
def test_the_page_and_the_tables_say_so(finished):
    _, out, _ = finished
    page, tables = (out / "study.html").read_text(), (out / "tables.md").read_text()
    assert "Which optimizer is best?" in page
    assert 'href="first/net/report.html"' in page
    assert "http" not in page.replace("http-equiv", "")
    assert "| wild |" in tables
    for name in ("ranks-tuned", "ranks-untuned", "tuning-ranks", "profiles-tuned", "profiles-untuned"):
        assert (out / "figures" / f"{name}.svg").is_file()
        assert (out / "figures" / f"{name}.csv").is_file()


@pytest.mark.trial
def test_one_command_regenerates_everything_from_the_predictions(finished, tmp_path, capsys):
    _, out, results = finished
    copy = shutil.copytree(out, tmp_path / "copy")
    for left in [*copy.rglob("results.json"), *copy.rglob("*.html"), copy / "study.json", copy / "tables.md"]:
        left.unlink()
    assert cli.main(["report", str(copy)]) == 0
    assert json.loads((copy / "study.json").read_text()) == results
    assert (copy / "tables.md").read_text() == (out / "tables.md").read_text()
    assert f"report: {copy / 'study.html'}" in capsys.readouterr().out


@pytest.mark.trial
def test_running_a_finished_study_again_changes_nothing(finished, capsys):
    file, out, results = finished
    assert cli.main(["run", str(file), "--out", str(out), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == results


@pytest.mark.trial
def test_an_unfinished_study_is_reported_with_what_it_has(finished, tmp_path):
    _, out, _ = finished
    copy = shutil.copytree(out, tmp_path / "copy")
    shutil.rmtree(copy / "second")
    assert cli.main(["report", str(copy), "--json"]) == 0
    results = json.loads((copy / "study.json").read_text())
    assert results["trials"][1]["status"] == "missing"
    assert "the same command goes on" in (copy / "study.html").read_text()


@pytest.mark.trial
def test_a_trial_in_the_midst_of_training_is_a_row_with_its_reason(finished, tmp_path):
    _, out, _ = finished
    copy = shutil.copytree(out, tmp_path / "copy")
    folder = next(path.parent for path in copy.glob("second/*/lock.json"))
    ledger = folder / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[: next(i for i, line in enumerate(lines) if '"test opened"' in line)]))
    for left in [*folder.glob("jobs/*/*/predictions.parquet"), folder / "results.json", folder / "report.html"]:
        left.unlink()
    assert cli.main(["report", str(copy), "--json"]) == 0
    row = json.loads((copy / "study.json").read_text())["trials"][1]
    assert (row["status"], row["reason"]) == ("missing", "not finished: the same command goes on with it")


@pytest.mark.trial
def test_another_study_is_refused(finished, tmp_path):
    _, out, _ = finished
    other = write(tmp_path, STUDY.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(LedgerError, match="belongs to another study"):
        run_study(other, out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("keep me")
    with pytest.raises(EquipoiseError, match="is not empty and holds no study"):
        run_study(other, tmp_path / "full")


def test_missing_data_are_told_before_the_first_trial(tmp_path):
    text = STUDY.replace(
        'source = "phantom", cases = 140, size = 16, seed = 3', 'source = "medmnist", path = "away.npz"'
    )
    with pytest.raises(CohortError, match="the data of cohort 'second' are not at .*away.npz; download them, correct"):
        run_study(write(tmp_path, text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_trial_that_could_not_be_run_stops_the_study_before_the_first(tmp_path):
    text = STUDY.replace("size = 16, seed = 3}", 'size = 16, seed = 3}\nendpoints = {primary = "aucc"}')
    with pytest.raises(EquipoiseError, match="endpoint 'aucc' is unknown"):
        run_study(write(tmp_path, text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.trial
def test_check_tells_what_every_trial_and_the_whole_study_would_take(finished, capsys):
    file, _, _ = finished
    assert cli.main(["check", str(file), "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["cohort"], row["model"]) for row in found["trials"]] == [("first", "net"), ("second", "net")]
    assert found["predicted"]["seconds"] == pytest.approx(
        sum(row["predicted"]["seconds"] for row in found["trials"]), abs=0.2
    )
    assert cli.main(["check", str(file), "--quiet", "--page", "page.html"]) == 1
    assert "--page describes the cohort of one trial" in capsys.readouterr().err


@pytest.mark.trial
def test_a_slice_of_the_optimizer_study_runs_on_real_annotations(tmp_path):
    """The example with one data set, one network and two optimizers, few training cases and one epoch."""
    values = tomllib.loads((EXAMPLES / "optimizers.toml").read_text(encoding="utf-8"))
    values["study"]["cohorts"] = values["study"]["cohorts"][:1]
    values["study"]["models"] = values["study"]["models"][1:2]
    values["study"]["optimizers"] = [one for one in values["study"]["optimizers"] if one["name"] in ("sgd", "paper")]
    values["split"]["fractions"] = [0.06, 0.04, 0.9]
    values["training"] |= {"epochs": 1, "seeds": [0, 1]}
    values["tuning"]["draws"] = 1
    (tmp_path / "slice.toml").write_text(tomlkit.dumps(values))
    results = run_study(tmp_path / "slice.toml", tmp_path / "out")
    assert [row["status"] for row in results["trials"]] == ["finished"]
    assert {value["optimizer"] for value in results["values"]} == {"sgd", "paper"}
    assert all(value["runs"] == 2 for value in results["values"])
    assert (tmp_path / "out" / "lidc-contours" / "deeplab" / "figures" / "rates.svg").is_file()
