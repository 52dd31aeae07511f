"""What a person sees of a running trial: rows, lines, a table on a terminal, a page."""

import io
import json

import pytest

from equipoise import cli
from equipoise.errors import EquipoiseError, Interrupted
from equipoise.live import display, follow, words
from equipoise.live.page import live_page
from equipoise.live.state import LiveReader
from equipoise.live.table import LiveTable, table

from .conftest import PATIENT


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_rows_and_lines(running, held):
    running.epochs(2)
    running.end(arm="net.2", status="failed")
    state = LiveReader(running.path).read()
    assert words.heads(state)[-2:] == ("validation AUC", "time left")
    assert words.row(state, state.jobs[0]) == ("unet", "0", "2/4", "0.500", "1.000", "0.600", "4 s")
    assert words.row(state, state.jobs[1])[-1] == "failed"
    assert words.row(state, state.jobs[2])[-1] == "8 s (waits)"
    assert words.line(state).startswith("trial: training, 6 of 16 epochs")
    assert "unet/0-0 2/4 (validation loss 1.000, AUC 0.600); 1 run failed" in words.line(state)
    kept, note = words.shown(state, 2)
    assert [job.status for job in kept] == ["running", "failed"]
    assert note == "2 more: 2 waiting"


def test_names_are_text_in_the_table(running, held):
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=100).print(table(LiveReader(running.path).read()))
    assert "net.2" in stream.getvalue()


def test_a_table_on_a_terminal_and_plain_lines_elsewhere(running, held, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    running.epochs(2)
    for tty, dumb in ((True, False), (True, True), (False, False)):
        monkeypatch.setattr("sys.stdout", Terminal() if tty else io.StringIO())
        monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
        stream = Terminal()
        with display.TrialDisplay(running.path, stream=stream) as watch:
            watch("reading the source", 0, 1)
            watch("training, epochs", 2, 16)
            watch("training, epochs", 16, 16)
        assert ("validation loss" in stream.getvalue()) is (tty and not dumb)
        assert ("\x1b" in stream.getvalue()) is not dumb
        assert "reading the source" in stream.getvalue()


def test_a_folder_that_cannot_be_read_stops_no_display(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", Terminal())
    stream = Terminal()
    with display.TrialDisplay(tmp_path, stream=stream) as watch:
        watch("training, epochs", 2, 16)
    assert "training, epochs 2/16" in stream.getvalue()


def test_a_table_gives_the_cursor_back(running, held):
    stream = Terminal()
    live = LiveTable(stream)
    live.show(LiveReader(running.path).read)
    live.show(LiveReader(running.path).read)
    live.close()
    live.close()
    assert stream.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in stream.getvalue()


def test_watching_ends_when_the_trial_does(running, held, tmp_path):
    held["held"] = None
    stream, looks = io.StringIO(), []
    page = tmp_path / "live.html"

    def wait(_seconds):
        looks.append(page.read_text())
        if len(looks) == 1:
            running.epochs(3)
        else:
            running.judged()

    before = {file.name for file in running.path.iterdir()}
    state = follow.watch(running.path, page=page, stream=stream, wait=wait, clock=lambda: 60.0 * len(looks))
    assert state.phase == "ended"
    assert "unet/0-0 3/4" in stream.getvalue()
    assert all('http-equiv="refresh"' in text for text in looks)
    assert "refresh" not in page.read_text(), "the last page asks for no other"
    assert {file.name for file in running.path.iterdir()} - before == {"results.json", "jobs"}


def test_watching_is_ended_by_the_user_and_refuses_no_time(running, held):
    def wait(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="does not affect the trial"):
        follow.watch(running.path, stream=io.StringIO(), wait=wait)
    with pytest.raises(EquipoiseError, match="--every"):
        follow.watch(running.path, every=0)


def test_the_page_names_no_patient_and_escapes_names(running, held):
    running.epochs(2, arm="net.2")
    running.end(status="failed")
    state = LiveReader(running.path).read()
    page = live_page(state, 5.0)
    assert '<meta http-equiv="refresh" content="5">' in page
    assert PATIENT not in page
    assert "Learning curves so far" in page
    assert "The test set has not been opened" in page
    assert "<script" not in page


def test_the_command_prints_one_json_object(running, held, capsys):
    running.epochs(1)
    assert cli.main(["watch", str(running.path), "--once", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["epochs"] == 1
    held["held"] = False
    assert cli.main(["watch", str(running.path), "--json", "--quiet"]) == 75, "stopped, and may be resumed"
    assert cli.main(["watch", str(running.path / "none")]) == 1
