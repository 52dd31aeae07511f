"""Every file that the user's own code executes is noted with its hash, whether or not it becomes a module."""

import hashlib
import json
import subprocess
import sys
import zipfile

import pytest

from equipoise import executed_code
from equipoise.executed_code import executed_files, unwatched

HELPER = "value = 3\n"
MAIN = """
import importlib.util, runpy, sys
from pathlib import Path

HERE = Path(__file__).parent

def by_path(file):
    spec = importlib.util.spec_from_file_location("nameless", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

by_path(HERE / "spec.py")
exec((HERE / "text.py").read_text())
exec(compile("value = 4", str(HERE / "compiled.py"), "exec"))
runpy.run_path(str(HERE / "ran.py"))
(HERE / "data.csv").read_text()
sys.path.insert(0, str(HERE / "lib.zip"))
import inzip
import json, statistics
"""
EXECUTED = ["compiled.py", "lib.zip", "main.py", "ran.py", "spec.py", "text.py"]


@pytest.fixture
def folder(tmp_path):
    for name in ("spec.py", "text.py", "compiled.py", "ran.py", "data.csv", "unused.py"):
        (tmp_path / name).write_text(HELPER)
    (tmp_path / "main.py").write_text(MAIN)
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("inzip.py", HELPER)
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("again", [False, True], ids=["from source", "from bytecode"])
def test_all_ways_to_execute_a_file_are_noted_and_no_other_file(folder, again):
    script = (
        "import importlib, json, sys\n"
        "from equipoise.executed_code import executed_files, watch\n"
        f"sys.path.append({str(folder)!r}); watch(); watch(); importlib.import_module('main')\n"
        f"open({str(folder / 'spec.py')!r}, 'w').write('changed = 1')\n"
        "print(json.dumps({file.name: digest for file, digest in executed_files().items()}))\n"
    )
    for _ in range(1 + again):
        (folder / "spec.py").write_text(HELPER)
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    noted = json.loads(ended.stdout)
    assert sorted(noted) == EXECUTED
    # As it was when it ran, and not as it is now.
    assert noted["spec.py"] == hashlib.sha256(HELPER.encode()).hexdigest()


@pytest.fixture
def heard(monkeypatch):
    """The hook, called by hand: no hook can be taken away from a process."""
    hooks = []
    monkeypatch.setattr(sys, "addaudithook", hooks.append)
    for name, value in (("_watching", False), ("_executed", {}), ("_own", {})):
        monkeypatch.setattr(executed_code, name, value)
    executed_code.watch()
    executed_code.watch()
    (hook,) = hooks
    return hook


def test_the_hook_notes_code_of_the_user_alone(folder, heard):
    run = compile("1", str(folder / "compiled.py"), "exec")
    for event, arguments in (
        ("exec", (compile("1", "<string>", "exec"),)),
        ("exec", (compile("1", json.__file__, "exec"),)),
        ("exec", (compile("1", str(folder / "gone.py"), "exec"),)),
        ("open", (str(folder / "data.csv"), "r", 0)),
        ("open", (str(folder / "__pycache__" / "x.pyc"), "r", 0)),
        ("open", (7, "r", 0)),
        ("ctypes.dlopen", (None,)),
        ("socket.connect", (None, None)),
    ):
        heard(event, arguments)
    with unwatched():
        heard("open", (str(folder / "text.py"), "r", 0))
    assert executed_files() == {}
    heard("exec", (run,))
    heard("open", (str(folder / "text.py"), "r", 0))
    heard("exec", (compile("1", str(folder / "lib.zip" / "deep" / "inzip.py"), "exec"),))
    heard("ctypes.dlopen", (str(folder / "unused.py"),))
    assert [file.name for file in executed_files()] == ["compiled.py", "lib.zip", "text.py", "unused.py"]


def test_what_an_installed_package_writes_and_runs_is_not_the_users(folder, heard):
    # As compilers of torch do; the frame is that of a function whose file lies among installed packages.
    place = str(folder / "compiled.py")
    names = {"heard": heard, "code": compile("1", place, "exec"), "place": place}
    import numpy

    exec(compile("heard('exec', (code,))", numpy.__file__, "exec"), names)
    assert executed_files() == {}
    # This package imports what a protocol names; what it reads or loads besides, as its own kernels, is not the user's.
    ours = executed_code.__file__
    exec(compile("heard('open', (place, 'r', 0)); heard('ctypes.dlopen', (place,))", ours, "exec"), names)
    assert executed_files() == {}
    exec(compile("heard('exec', (code,))", ours, "exec"), names)
    assert [file.name for file in executed_files()] == ["compiled.py"]
    executed_code._executed.clear()
    exec(compile("heard('exec', (code,))", "<string>", "exec"), names)
    assert [file.name for file in executed_files()] == ["compiled.py"]
