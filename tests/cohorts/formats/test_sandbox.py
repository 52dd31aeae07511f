"""The sandbox: what goes wrong in the child stays in the child, and the next file is read."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from equipoise.cohorts.formats import sandbox as sandbox_module
from equipoise.cohorts.formats import sandbox_child
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import Sandbox, shared_sandbox

CHILD = "import sys,json,os,time;from equipoise.cohorts import sandbox_child as c;"
HOSTILE = {
    "hang": CHILD + "c._task=lambda n:(lambda p,l,**s:time.sleep(600));c.serve()",
    "crash": CHILD + "c._task=lambda n:(lambda p,l,**s:os.kill(os.getpid(),11));c.serve()",
    "memory": CHILD + "c._task=lambda n:(lambda p,l,**s:({},[c.np.ones(1<<31,'u1')]));c.serve()",
    "depth": CHILD + "f=lambda *a,**s:f(*a,**s);c._task=lambda n:f;c.serve()",
    "odd": CHILD + "c._task=lambda n:(lambda p,l,**s:1/0);c.serve()",
    "noise": CHILD
    + "c._task=lambda n:(lambda p,l,**s:(os.write(1,b'x'*99),({'a':1},[c.np.arange(3,dtype='i4')]))[1]);c.serve()",
    "half": 'import sys;sys.stdin.readline();sys.stdin.readline();print(\'{"arrays": [["|u1", [9]]]}\')',
    "liar": 'import sys;sys.stdin.readline();sys.stdin.readline();print(\'{"arrays": [["|u1", [1e0, 99999999999]]]}\')',
    "garbled": "import sys;sys.stdin.readline();sys.stdin.readline();print('{\"arrays\": 7}')",
    "no json": "import sys;sys.stdin.readline();sys.stdin.readline();print('hello')",
    "object": 'import sys;sys.stdin.readline();sys.stdin.readline();print(\'{"arrays": [["|O8", [1]]]}\')',
}


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "p.png"
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path)
    return path


def hostile(monkeypatch, name):
    start = "import json,sys;sys.path[:]=json.loads(sys.argv[1]);" + HOSTILE[name]
    monkeypatch.setattr(sandbox_module, "_START", start)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hang", "took longer than 2 s"),
        ("crash", "decoder crashed"),
        ("memory", "needs more than"),
        ("depth", "nested too deeply"),
        ("odd", r"malformed \(ZeroDivisionError: division by zero\)"),
        ("half", "decoder crashed"),
        ("garbled", "decoder crashed"),
        ("no json", "decoder crashed"),
        ("object", "impossible array"),
        ("liar", "impossible array"),
    ],
)
def test_every_failure_of_the_child_is_a_refusal_and_the_next_file_reads(monkeypatch, picture, name, reason):
    with Sandbox(Limits(seconds=2.0, memory_bytes=1024 * MIB)) as sandbox:
        with monkeypatch.context() as patch:
            hostile(patch, name)
            began = time.monotonic()
            with pytest.raises(RefusedFile, match=reason) as caught:
                sandbox.ask("picture", picture)
            assert time.monotonic() - began < 20
            assert caught.value.file == str(picture)
        sandbox.close()
        facts, (pixels,) = sandbox.ask("picture", picture)
        assert pixels.shape == (1, 3, 4)
        assert facts["format"] == "PNG"


def test_what_decoders_print_does_not_reach_the_answers(monkeypatch, picture):
    hostile(monkeypatch, "noise")
    with Sandbox() as sandbox:
        facts, (numbers,) = sandbox.ask("picture", picture)
    assert facts == {"a": 1}
    assert numbers.tolist() == [0, 1, 2]


def test_the_child_cannot_write_files(monkeypatch, picture, tmp_path):
    target = tmp_path / "written"
    code = CHILD + f"c._task=lambda n:(lambda p,l,**s:({{}},[open({str(target)!r},'wb').write(b'x'*9999)]));c.serve()"
    monkeypatch.setattr(sandbox_module, "_START", "import json,sys;sys.path[:]=json.loads(sys.argv[1]);" + code)
    with Sandbox() as sandbox, pytest.raises(RefusedFile):
        sandbox.ask("picture", picture)
    assert not target.exists() or target.stat().st_size == 0


def test_one_child_serves_many_files_and_ends_with_its_sandbox(picture):
    with Sandbox() as sandbox:
        sandbox.ask("picture", picture)
        first = sandbox._process.pid
        for _ in range(20):
            sandbox.ask("picture", picture)
        assert sandbox._process.pid == first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_an_interrupted_request_does_not_leave_its_answer_to_the_next(picture, tmp_path, monkeypatch):
    other = tmp_path / "other.png"
    Image.fromarray(np.full((2, 2), 9, np.uint8)).save(other)
    with Sandbox() as sandbox:
        sandbox.ask("picture", picture)
        with monkeypatch.context() as patch:
            patch.setattr(sandbox, "_receive", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                sandbox.ask("picture", picture)
        assert sandbox.ask("picture", other)[1][0].tolist() == [[[9, 9], [9, 9]]]


def test_a_forked_process_starts_a_child_of_its_own(picture):
    with Sandbox() as sandbox:
        sandbox.ask("picture", picture)
        ours = sandbox._process
        sandbox._owner = -1  # what a fork looks like from within
        sandbox.ask("picture", picture)
        assert sandbox._process.pid != ours.pid
        assert ours.poll() is None
        for stream in (ours.stdin, ours.stdout):
            stream.close()
        ours.wait(timeout=20)


def test_the_child_ends_by_itself_when_its_parent_cannot_end_it(picture):
    code = CHILD + "c._outlive(1);time.sleep(60)"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
    assert caught.value.returncode == -14


def test_the_shared_sandbox_is_one_per_limits():
    assert shared_sandbox() is shared_sandbox()
    assert shared_sandbox(Limits(seconds=5)) is not shared_sandbox()


def test_answers_name_a_missing_package():
    def task(path, limits):
        raise ModuleNotFoundError("no", name="pydicom")

    original = sandbox_child._task
    sandbox_child._task = lambda name: task
    try:
        found, arrays = sandbox_child.answer("dicom_header", "a.dcm", Limits(), {})
    finally:
        sandbox_child._task = original
    assert arrays == []
    assert json.dumps(found).count("pip install 'equipoise[dicom]'") == 1
