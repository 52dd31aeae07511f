"""A trial that has ended is answered from its folder, and only where nothing at all has changed."""

import json
import os

import pytest

from equipoise import cli
from equipoise.trials import finished


def test_nothing_is_answered_where_there_is_no_trial(tmp_path, monkeypatch):
    assert finished.finished_results(tmp_path / "p.toml", tmp_path / "run") is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert finished.finished_results(tmp_path / "p.toml", tmp_path / "run") is None


@pytest.fixture
def ended(classification_trial, tmp_path, monkeypatch):
    copied = classification_trial.copy(tmp_path / "copy")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(copied.cache))  # with the key of the user who wrote its results
    return copied


def spoil(name):
    return lambda run: (run / name).write_bytes((run / name).read_bytes() + b" ")


def replaced(name, old, new):
    return lambda run: (run / name).write_bytes((run / name).read_bytes().replace(old, new, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda run: (run / "report.html").unlink(),
        lambda run: (run / "results.json").unlink(),
        lambda run: next((run / "jobs").glob("*/*/predictions.parquet")).unlink(),
        lambda run: next((run / "jobs").glob("*/*/done.json")).unlink(),
        lambda run: os.utime(run / "results.json", (1, 1)),
        lambda run: (run / "baselines").rename(run / "moved"),
        spoil("cases.csv"),
        spoil("results.json"),
        replaced("report.html", b"</h1>", b" FORGED</h1>"),
        replaced("ledger.jsonl", b'"finished"', b'"finishes"'),
        replaced("protocol.toml", b"epochs = ", b"epochs = 1"),
    ],
    ids=["report", "results", "predictions", "end", "age", "rules", "cases", "numbers", "words", "ledger", "protocol"],
)
def test_a_folder_that_changed_is_not_answered(ended, change):
    assert finished.finished_results(ended.protocol, ended.run) is not None
    change(ended.run)
    assert finished.finished_results(ended.protocol, ended.run) is None


def test_another_protocol_code_or_version_is_not_answered(ended, monkeypatch):
    results = finished.finished_results(ended.protocol, ended.run)
    assert results == json.loads((ended.run / "results.json").read_text())
    with monkeypatch.context() as patch:
        patch.setattr(finished, "version", lambda _name: "9.9")
        assert finished.finished_results(ended.protocol, ended.run) is None
    with monkeypatch.context() as patch:
        patch.setattr(finished, "_hash_of", lambda *_: "0")
        assert finished.finished_results(ended.protocol, ended.run) is None
    ended.protocol.write_text(ended.protocol.read_text() + "\n# another\n")
    assert finished.finished_results(ended.protocol, ended.run) is None


def test_the_command_answers_without_training_anything(ended, capsys, monkeypatch):
    monkeypatch.setattr("equipoise.trials.run.run", lambda *_, **__: pytest.fail("it was run again"))
    before = {file: file.stat().st_mtime_ns for file in ended.run.rglob("*")}
    assert cli.main(["run", str(ended.protocol), "--out", str(ended.run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1
    assert {file: file.stat().st_mtime_ns for file in ended.run.rglob("*")} == before
