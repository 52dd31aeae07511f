"""Unsound layers of an arm are found in processes that may crash, routed around, recorded and told."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from equipoise.engines import local
from equipoise.errors import EquipoiseError, Interrupted, LedgerError, ProtocolError
from equipoise.protocol import Arm, TrainingSection
from equipoise.report.text.reasons import sentence
from equipoise.runfolder.job import Job
from equipoise.runfolder.read import read_lock
from equipoise.statistics.reasons import Reason
from equipoise.trials import sound_layers
from equipoise.trials.plan import plan, read
from equipoise.trials.run import run
from equipoise.trials.sound_layers import agreed, unsound_layers, with_routes

PROTOCOL = """
[trial]
name = "kernels"
[cohort]
source = "phantom"
cases = 60
patients = 60
size = 12
[training]
epochs = 1
batch_size = 16
precision = "{precision}"
seeds = [0]
"""
ARM = """
[[arms]]
name = "{name}"
model = {{name = "broken_layers:Net", broken = "{name}"}}
optimizer = {{name = "sgd", lr = 0.1}}
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A function that plans a trial of arms with these broken layers."""
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    shutil.copy(Path(__file__).parents[1] / "training" / "loop" / "broken_layers.py", tmp_path)

    def write(*names, precision="float32"):
        text = PROTOCOL.format(precision=precision) + "".join(ARM.format(name=name) for name in names)
        (tmp_path / "protocol.toml").write_text(text)
        return plan(*read(tmp_path / "protocol.toml"), tmp_path / "run")

    return write


def entry(layer="middle", arm="net", route="contiguous"):
    row = {"layer": layer, "fault": "it is wrong", "route": route}
    return {"arm": arm, "model": {"name": "unet"}, "precision": "float32", "layers": [row]}


@pytest.mark.slow
def test_every_planted_fault_is_found_and_routed_around(planted):
    names = ("Garbage", "Unrepeatable", "OnePercent", "WrongGradient", "Crashing")
    trial = planted(*names)
    with local.Workers(1) as workers:
        entries = unsound_layers(trial, workers)
    found = {one["arm"]: one["layers"] for one in entries}
    assert {arm: (rows[0]["layer"], rows[0]["route"]) for arm, rows in found.items()} == dict.fromkeys(
        names, ("middle", "contiguous")
    )
    assert "segmentation fault" in found["Crashing"][0]["fault"]
    jobs = with_routes(trial, entries).jobs
    assert all(job.routes == {"float32": (("middle", "contiguous"),)} for job in jobs)


@pytest.mark.slow
def test_what_is_sound_nowhere_is_refused_with_arm_and_layer(planted):
    with local.Workers(1) as workers, pytest.raises(EquipoiseError, match="arm 'Nowhere': the layer 'middle'"):
        unsound_layers(planted("Nowhere", "Garbage"), workers)


@pytest.mark.slow
def test_a_trial_with_a_crashing_layer_runs_and_says_so(planted, tmp_path):
    planted("Crashing", "OnePercent")
    results = run(tmp_path / "protocol.toml", tmp_path / "run")
    assert not results["failures"]
    recorded = read_lock(tmp_path / "run")["unsound_layers"]
    assert {one["arm"] for one in recorded} == {"Crashing", "OnePercent"}
    assert results["arithmetic"]["unsound_layers"] == recorded
    assert any("computes the layer middle of OnePercent wrongly in float32" in text for text in results["warnings"])
    assert "ran as contiguous" in (tmp_path / "run" / "report.html").read_text()
    assert run(tmp_path / "protocol.toml", tmp_path / "run")["arithmetic"] == results["arithmetic"]


def crashed(request, *lines, kind=local.DIED, text="the worker crashed (x)"):
    request["log"].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return sound_layers._after_crash(request, local.Failure(kind, text))


@pytest.fixture
def request_(tmp_path):
    job = SimpleNamespace(arm=SimpleNamespace(name="net"))
    return {"job": job, "verdicts": {"a": ""}, "log": tmp_path / "log"}


def test_a_crash_counts_against_what_was_tried(request_):
    after = crashed(request_, {"tried": "b", "fault": ""}, {"trying": "c", "stage": "answer"})
    assert after["verdicts"] == {"a": "", "b": "", "c": "it ends the process: the worker crashed (x)"}
    after = crashed(request_, {"trying": "c", "stage": "answer"}, {"trying": "c", "stage": "reference"})
    assert after["verdicts"]["c"] == ""


def test_a_crash_of_the_networks_own_pass_is_traced_safely_once(request_):
    after = crashed(request_, {"tracing": "k", "layer": "encoder.0"})
    assert after["safely"]
    with pytest.raises(ProtocolError, match=r"arm 'net': the worker crashed \(x\) in its layer 'encoder.0'"):
        crashed(after, {"tracing": "k", "layer": "encoder.0"})


def test_a_kill_is_an_interruption_and_an_error_is_told(request_):
    with pytest.raises(Interrupted, match="arm 'net': the worker was killed"):
        crashed(request_, kind=local.KILLED, text="the worker was killed (SIGKILL)")
    with pytest.raises(ProtocolError, match="arm 'net': ValueError: x"):
        crashed(request_, kind="ValueError", text="ValueError: x")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_arms_with_the_same_fault_are_all_named(tmp_path, order):
    requests = [
        {"job": SimpleNamespace(arm=SimpleNamespace(name=name)), "log": tmp_path / name, "verdicts": {}}
        for name in ("sign", "adam")
    ]
    outcomes = [(number, local.Failure("ProtocolError", "model 'x' has no setting 'y'")) for number in order]
    workers = SimpleNamespace(run=lambda _function, _requests, _tick: outcomes)
    with pytest.raises(ProtocolError, match="^arms 'sign' and 'adam': model 'x' has no setting 'y'$"):
        sound_layers._tried(workers, requests)


def test_a_resumed_trial_keeps_its_routes_and_refuses_a_worse_machine(tmp_path):
    assert agreed([entry()], [], tmp_path) == [entry()]
    assert agreed([entry()], [entry(route="float64")], tmp_path) == [entry()]
    with pytest.raises(LedgerError, match="computes arm 'net' correctly, and this machine does not"):
        agreed([entry()], [entry(), entry("other")], tmp_path)


def test_the_cache_is_read_and_a_broken_one_is_a_remark(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    known = sound_layers._Known(1)
    known.keep({"shared": ["a"], "verdicts": {"a": "it is wrong", "own": ""}})
    known.write()
    assert sound_layers._Known(1).verdicts == {"a": "it is wrong"}
    known.file.write_text("[1")
    assert sound_layers._Known(1).verdicts == {}
    known.file.write_text('{"a": 1}')
    assert sound_layers._Known(1).verdicts == {}
    monkeypatch.setenv("EQUIPOISE_CACHE", "/proc/not/writable")
    known = sound_layers._Known(1)
    known.keep({"shared": ["a"], "verdicts": {"a": ""}})
    known.write()
    assert "could not be cached for later trials" in caplog.text


def test_what_own_code_shows_of_a_layer_holds_for_that_code_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text("class Net: pass")
    arms = {name: Arm.model_validate({"name": "a", "model": name}) for name in ("unet", "mine:Net")}
    places = (tmp_path, tmp_path, tmp_path)
    training = TrainingSection(epochs=1, batch_size=2)
    own, built_in = (
        Job(arms[name], 0, 0, *places, "classification", ("x", "y"), 1, 2, training, {}, "auc")
        for name in ("mine:Net", "unet")
    )
    code = sound_layers._code_of(own)
    known = sound_layers._Known(1, code)
    known.keep({"shared": ["a"], "verdicts": {"a": "it is wrong"}})
    known.write()
    assert sound_layers._Known(1, sound_layers._code_of(built_in)).verdicts == {}
    assert sound_layers._Known(1, code).verdicts == {"a": "it is wrong"}
    (tmp_path / "mine.py").write_text("class Net: changed = True")
    assert sound_layers._Known(1, sound_layers._code_of(own)).verdicts == {}


def test_other_machines_have_other_verdicts(monkeypatch):
    here = sound_layers.machine_key(1)
    assert sound_layers.machine_key(2) != here
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert sound_layers.machine_key(1) != here


def test_the_report_says_which_layers_ran_another_way():
    rows = (("encoder.0", "its answer is not finite", "contiguous"), ("last", "its answer is not finite", "float64"))
    text = sentence(Reason("unsound_layers", arm="net", precision="bfloat16", layers=rows))
    assert text == (
        "This machine's build of torch computes the layer encoder.0 of net wrongly in bfloat16 (its answer is not "
        "finite); it ran as contiguous, and 1 other layer for similar reasons."
    )
