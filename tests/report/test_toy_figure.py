"""A figure is added to a report from one new file, which nothing else knows of."""

import csv
from pathlib import Path

import pytest

from equipoise import cli
from equipoise.errors import EquipoiseError
from equipoise.report import write_report

TOY = Path(__file__).with_name("toy_figure.py")


@pytest.fixture
def run_folder(classification_trial, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return classification_trial.copy(tmp_path / "copy").run


def test_the_command_draws_it_on_the_page_with_its_numbers(run_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "toy_figure.py").write_text(TOY.read_text())
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", str(run_folder), "--figure", "toy_figure:cases_per_patient"]) == 0
    page = (run_folder / "report.html").read_text()
    assert '<a href="#further-figures">' in page
    assert "<h3>Cases per patient</h3>" in page
    assert (run_folder / "figures" / "cases-per-patient.svg").is_file()
    with (run_folder / "figures" / "cases-per-patient.csv").open() as file:
        numbers = {row["patient"]: int(row["cases"]) for row in csv.DictReader(file)}
    with (run_folder / "cases.csv").open() as file:
        tested = [row["patient"] for row in csv.DictReader(file) if row["part_0"] == "test"]
    assert sum(numbers.values()) == len(tested)
    assert set(numbers) == set(tested)


def test_a_report_without_figures_of_ones_own_has_no_such_section(run_folder):
    write_report(run_folder)
    assert "further-figures" not in (run_folder / "report.html").read_text()


BROKEN = """
from dataclasses import replace
from equipoise.report.figures.figure import Figure

def fails(run, results):
    raise KeyError("missing")

def text(run, results):
    return "a picture"

def taken(run, results):
    return Figure("overview", "t", "c", (), (), ())

def outside(run, results):
    return Figure("../outside", "t", "c", (), (), ())

def nothing(run, results):
    return None
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("toy_broken:fails", r"'toy_broken:fails' failed \(KeyError: 'missing'\)"),
        ("toy_broken:text", "returned str"),
        ("toy_broken:taken", "'overview', as another"),
        ("toy_broken:outside", "outside"),
        ("toy_broken:no_such", "has no 'no_such'"),
        ("no_such_module:figure", "cannot be imported"),
        ("figure", "write it as module:function"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused_before_anything_is_written(run_folder, tmp_path, name, sentence):
    (tmp_path / "toy_broken.py").write_text(BROKEN)
    before = (run_folder / "report.html").read_bytes()
    with pytest.raises(EquipoiseError, match=sentence):
        write_report(run_folder, [name], tmp_path)
    assert (run_folder / "report.html").read_bytes() == before


def test_a_figure_without_data_is_left_out(run_folder, tmp_path):
    (tmp_path / "toy_broken.py").write_text(BROKEN)
    write_report(run_folder, ["toy_broken:nothing"], tmp_path)
    assert "further-figures" not in (run_folder / "report.html").read_text()
