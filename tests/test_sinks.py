"""Names from data are text wherever they go: no spreadsheet computes them, no terminal obeys them."""

import csv
import io

import hypothesis.strategies as st
import pytest
from hypothesis import given

from equipoise.cli import main
from equipoise.report.figures.figure import Figure
from equipoise.sinks import cell, original, printable
from equipoise.testing.phantoms.cases import phantom

HOSTILE = ["=cmd()", "@SUM(A1)", "+1+1", "-2+3", "\t=1", "\r=1", "\n=1", "\uff1dcmd", "'=x", "''=x", "-", "=1.5"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_begins_a_formula(text):
    assert str(cell(text))[0] == "'"
    assert original(cell(text)) == text


@pytest.mark.parametrize("value", ["case-1", "-1.5", "+2e3", "1.2.840", "'quoted'", "it's", "", 3, -2.5, None])
def test_what_is_harmless_stays(value):
    assert cell(value) == value
    assert value is None or isinstance(value, int | float) or original(value) == value


@pytest.mark.long
@given(st.text())
def test_every_text_comes_back(text):
    assert original(cell(text)) == text


@pytest.mark.long
@given(st.text())
def test_nothing_printed_moves_the_cursor(text):
    shown = printable(text)
    assert not any(ord(one) < 32 and one not in "\n\t" for one in shown)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_figure_and_the_cases_write_text():
    import dataclasses

    from equipoise.cohorts.splits.split import split
    from equipoise.trials.lock import cases_table

    figure = Figure("f", "t", "c", (), ("=head", "n"), (("=cmd()", -1.5), ("@x", 2)))
    assert figure.csv().splitlines() == ["'=head,n", "'=cmd(),-1.5", "'@x,2"]
    cohort = phantom(cases=60, size=12)
    first = dataclasses.replace(cohort.cases[0], id="=HYPERLINK(1)", attributes={"site": "+41"})
    cohort = dataclasses.replace(cohort, cases=(first, *cohort.cases[1:]))
    row = next(iter(csv.DictReader(io.StringIO(cases_table(cohort, split(cohort))))))
    assert (row["case"], row["site"]) == ("'=HYPERLINK(1)", "+41")


def test_an_error_cannot_clear_the_screen(capsys, tmp_path):
    assert main(["report", str(tmp_path / "\x1b[2Jrun")]) == 1
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\\x1b[2Jrun" in told
