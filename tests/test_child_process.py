"""No child process imports a file that lies in the working folder by accident."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import equipoise
from equipoise.child_process import PYTHON, import_path

PACKAGE = Path(equipoise.__file__).parent
TRAPS = ("json", "numpy", "torch", "equipoise", "pickle")


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """A working folder with files named like modules, each of which leaves a trace where it is imported."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_working_folder_comes_last_and_only_if_it_is_on_our_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/a", "/b"])
    assert import_path() == ["/a", "/b", str(tmp_path)]
    monkeypatch.setattr(sys, "path", ["/a", "/b"])
    assert import_path() == ["/a", "/b"]


def test_every_interpreter_that_is_started_is_started_so():
    text = {file: file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}
    named = [file.name for file, content in text.items() if "sys.executable" in content]
    assert named == ["child_process.py"]


@pytest.mark.long
def test_the_sandbox_runs_none_of_them(trapped):
    from equipoise.cohorts.formats.sandbox import Sandbox
    from equipoise.errors import CohortError

    (trapped / "image.dcm").write_bytes(b"no image")
    with Sandbox() as sandbox, pytest.raises(CohortError):
        sandbox.ask("dicom", trapped / "image.dcm")
    assert not (trapped / "ran").exists()


@pytest.mark.long
def test_workers_run_none_of_them(trapped):
    from equipoise.engines.local import Workers

    with Workers(threads=1) as workers:
        results = list(workers.run("os:getcwd", [], lambda: None))
        results += list(workers.run("os.path:basename", ["a/b"], lambda: None))
    assert results == [(0, "b")]
    assert not (trapped / "ran").exists()


def test_without_the_option_the_trap_would_spring(trapped):
    environment = os.environ | {"PYTHONPATH": "", "PYTHONSAFEPATH": ""}
    for command, sprung in (([sys.executable], True), (list(PYTHON), False)):
        (trapped / "ran").unlink(missing_ok=True)
        subprocess.run([*command, "-c", "import json"], env=environment, check=False, capture_output=True)
        assert (trapped / "ran").exists() == sprung
