"""No child process imports a file that lies in the working folder by accident."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import equipoise
from equipoise.child_process import FOLDERS, PYTHON, import_environment, import_path

PACKAGE = Path(equipoise.__file__).parent
TRAPS = ("json", "numpy", "torch", "equipoise", "pickle", "sitecustomize", "usercustomize", "struct", "numbers")


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """A working folder with files named like modules, each of which leaves a trace where it is imported."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_working_folder_comes_last_and_only_if_it_is_on_our_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ours = str(PACKAGE.parent)
    monkeypatch.setattr(sys, "path", ["", "/a", ours, "/b"])
    assert import_path() == [ours, "/a", "/b", str(tmp_path)]
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/a", ours])
    assert import_path() == [ours, "/a", str(tmp_path)]
    monkeypatch.setattr(sys, "path", ["/a", "/b"])
    assert import_path() == ["/a", "/b"]
    monkeypatch.setenv("PYTHONPATH", "/b")
    monkeypatch.setenv(FOLDERS, "/c")
    assert import_environment() == {"PYTHONPATH": "/b", FOLDERS: os.pathsep.join(["/c", "/a"])}


def test_every_interpreter_that_is_started_is_started_so():
    text = {file: file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}
    named = [file.name for file, content in text.items() if "sys.executable" in content]
    assert named == ["child_process.py"]


PROGRAM = """
import sys
from pathlib import Path
from equipoise.engines.local import Workers
from equipoise.lookup import imported

folder = Path(sys.argv[1])
imported("nets:Net", "model", folder)
with Workers(threads=1) as workers:
    print(list(workers.run("json:dumps", [1], lambda: None)), list(workers.run("numpy:ndim", [-2], lambda: None)))
    print(list(workers.run("nets:answer", [1], lambda: None)))
"""


@pytest.mark.long
def test_a_folder_of_a_protocol_gives_its_own_modules_and_none_in_place_of_pythons(trapped, tmp_path_factory):
    (trapped / "nets.py").write_text("import json\nimport beside\nNet = json.dumps\nanswer = beside.answer\n")
    (trapped / "beside.py").write_text("def answer(one):\n    import struct, numpy\n    return one + 1\n")
    program = tmp_path_factory.mktemp("program") / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    environment.pop("PYTHONSAFEPATH", None)
    ended = subprocess.run(
        [sys.executable, "-P", str(program), str(trapped)], cwd=trapped, env=environment, capture_output=True, text=True
    )
    assert ended.stdout == "[(0, '1')] [(0, 0)]\n[(0, 2)]\n", ended.stderr
    assert not (trapped / "ran").exists()
    assert "this runs your own code: module nets (model 'nets:Net') in" in ended.stderr
    assert ended.stderr.count("this runs your own code") == 1, "workers do not repeat it"


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
