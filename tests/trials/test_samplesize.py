"""The command that writes a sample size for a grant: from a run folder, and from a table of another tool."""

import json
from pathlib import Path

import numpy as np
import pytest

from equipoise.cli import main
from equipoise.errors import EquipoiseError
from equipoise.trials.audit import audit
from equipoise.trials.samplesize import samplesize


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of three runs, Dice of 60 patients."""
    stream, rows = np.random.default_rng(0), ["arm,seed,case,patient,dice"]
    shared = 0.75 + 0.08 * stream.standard_normal(60)
    for arm, ahead in (("unet", 0.0), ("resnet", 0.01)):
        for seed in range(3):
            values = np.clip(shared + ahead + 0.02 * stream.standard_normal(60), 0.2, 1)
            rows += [f"{arm},{seed},c{k},p{k},{value:.4f}" for k, value in enumerate(values)]
    file = tmp_path_factory.mktemp("pilot") / "pilot.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


@pytest.mark.long
def test_a_table_gives_a_page_and_a_text(pilot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, plain = tmp_path / "grant.html", tmp_path / "grant.txt"
    for file in (page, plain):
        assert main(["samplesize", str(pilot), "--difference", "0.02", "--out", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["pilot_patients"], found["comparisons"], found["difference"]) == (60, 1, 0.02)
    assert plain.read_text(encoding="utf-8") == found["text"]
    made = page.read_text(encoding="utf-8")
    assert f"{found['needed'][0]['patients']:,} test patients are needed" in made
    assert made.count("<tr>") == 4
    assert "predictions made elsewhere (pilot.csv)" in made


def test_a_plan_without_three_runs_is_refused_before_anything_is_read() -> None:
    with pytest.raises(EquipoiseError, match="three runs"):
        samplesize(["nothing"], seeds=[2])
    with pytest.raises(EquipoiseError, match="does not exist"):
        samplesize(["nothing"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "--difference"),
        ({"difference": 3.0}, "as wide as its range"),
        ({"difference": 0.02, "power": 2.0}, "power"),
        ({"difference": 0.02, "alpha": 0.7}, "alpha"),
        ({"difference": 0.02, "seeds": [2]}, "three runs"),
        ({"difference": 0.02, "control": "vgg"}, "usable here: resnet, unet|usable here: unet, resnet"),
    ],
)
def test_what_cannot_be_planned_is_refused(pilot: Path, options: dict[str, float], words: str) -> None:
    with pytest.raises(EquipoiseError, match=words):
        samplesize([str(pilot)], **options)  # type: ignore[arg-type]


def small_pilot(file: Path, *, runs: str = "", arms: str = "", twice: bool = False) -> str:
    """Write two arms of three runs of 40 patients; copies of runs, of arms, or of all patients where asked."""
    stream = np.random.default_rng(1)
    rows = ["arm,seed,case,patient,dice"]
    shared, first = 0.7 + 0.1 * stream.standard_normal(40), {}
    for arm in "ab":
        for seed in range(3):
            values = np.clip(shared + 0.02 * stream.standard_normal(40), 0, 1)
            values = first.setdefault(arm if runs else seed if arms else (arm, seed), values)
            for suffix in ("", "x")[: 1 + twice]:
                rows += [f"{arm},{seed},c{k}{suffix},p{k}{suffix},{value:.5f}" for k, value in enumerate(values)]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(file)


def test_copies_in_a_pilot_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError, match="cannot be used for planning: .*a.*(same|one) "):
        samplesize([small_pilot(tmp_path / "runs.csv", runs="copied")], difference=0.05)
    with pytest.raises(EquipoiseError, match="cannot be used for planning: .*a and b"):
        samplesize([small_pilot(tmp_path / "arms.csv", arms="copied")], difference=0.05)


@pytest.mark.parametrize("difference", [0.0, -0.05, float("nan")])
def test_a_difference_that_is_none_is_refused_before_anything_is_read(difference: float) -> None:
    with pytest.raises(EquipoiseError, match="cannot be detected by any trial.*above 0"):
        samplesize(["nothing"], difference=difference)


@pytest.mark.long
def test_patients_who_stand_twice_are_told(tmp_path: Path) -> None:
    planned = samplesize([small_pilot(tmp_path / "twice.csv", twice=True)], difference=0.05)
    assert "40 patients were joined" in planned.warnings[0]
    assert planned.warnings[0] in planned.text.plain()
    assert planned.as_json()["warnings"] == list(planned.warnings)
    assert samplesize([small_pilot(tmp_path / "once.csv")], difference=0.05).warnings == ()


def test_a_pilot_of_exchanged_scores_is_asked_about(tmp_path: Path) -> None:
    rows = [f"{arm},{k},{k},{k % 2},{0.8 - 0.6 * (k % 2) + 0.01 * (k % 7)}" for arm in "ab" for k in range(30)]
    file = tmp_path / "scores.csv"
    file.write_text("\n".join(["arm,case,patient,truth,score", *rows]), encoding="utf-8")
    with pytest.raises(EquipoiseError, match="--below-chance"):
        samplesize([str(file)], difference=0.05)


def scores_of(folder: Path) -> list[str]:
    """Two arms' tables of scores without a truth, and the reference beside them."""
    stream = np.random.default_rng(8)
    ill = np.arange(80) % 2
    (folder / "truth.csv").write_text("\n".join(["case,truth", *(f"c{k},{one}" for k, one in enumerate(ill))]) + "\n")
    for arm, apart in (("a", 2.0), ("b", 1.4)):
        scores = 1 / (1 + np.exp(-(stream.normal(size=80) + apart * ill)))
        (folder / f"{arm}.csv").write_text(
            "\n".join(["case,prob", *(f"c{k},{p:.4f}" for k, p in enumerate(scores))]) + "\n"
        )
    return [f"{arm}={folder / arm}.csv" for arm in "ab"]


@pytest.mark.long
def test_scores_beside_a_reference_give_the_plan_of_their_audit(tmp_path: Path) -> None:
    files, truth = scores_of(tmp_path), str(tmp_path / "truth.csv")
    planned = samplesize(files, difference=0.05, truth=truth, cases_are_patients=True)
    audit(files, out=tmp_path / "out", truth=truth, cases_are_patients=True, ids="plain")
    again = samplesize([str(tmp_path / "out")], difference=0.05)
    assert planned.size.needed == again.size.needed
    assert planned.size.pilot_patients == 80


@pytest.mark.long
def test_the_mean_over_structures_is_planned_and_not_the_first_column(tmp_path: Path) -> None:
    stream = np.random.default_rng(9)
    for arm in "ab":
        rows = [f"c{k}," + ",".join(f"{one:.4f}" for one in stream.uniform(0.5, 0.9, 2)) for k in range(60)]
        (tmp_path / f"{arm}.csv").write_text("\n".join(["case,dice_x,dice_y", *rows]) + "\n")
    files = [str(tmp_path / f"{arm}.csv") for arm in "ab"]
    with pytest.raises(EquipoiseError, match=r"no column holds 'dice' .*\(--regions x,y\)"):
        samplesize(files, difference=0.05, cases_are_patients=True)
    planned = samplesize(files, difference=0.05, cases_are_patients=True, regions="x,y")
    assert "Dice" in planned.text.plain()
    one = samplesize(files, difference=0.05, cases_are_patients=True, regions="x,y", primary="dice_x")
    assert planned.size.needed != one.size.needed
