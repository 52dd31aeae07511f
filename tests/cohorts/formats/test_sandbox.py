"""The sandbox: what goes wrong in the child stays in the child, and the next file is read."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

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
    "burn": CHILD + "c._task=lambda n:(lambda p,l,**s:[None for _ in iter(int,1)]);c.serve()",
    "burn in C": CHILD + "c._task=lambda n:(lambda p,l,**s:7**10**9);c.serve()",
    "burn in threads": CHILD
    + "import threading;w=lambda:7**10**9;c._task=lambda n:(lambda p,l,**s:[threading.Thread(target=w).start(),"
    "time.sleep(600)]);c.serve()",
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


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hang", "gave no answer within 3 s"),
        ("burn", "took longer than 1 s of processor time"),
        ("burn in C", "took longer than 1 s of processor time"),
        ("burn in threads", "took longer than 1 s of processor time"),
        ("crash", "decoder crashed"),
        ("memory", "needs more than"),
        ("depth", "nested too deeply"),
        ("odd", r"malformed \(ZeroDivisionError: 'division by zero'\)"),
        ("half", "decoder crashed"),
        ("garbled", "decoder crashed"),
        ("no json", "decoder crashed"),
        ("object", "impossible array"),
        ("liar", "impossible array"),
    ],
)
def test_every_failure_of_the_child_is_a_refusal_and_the_next_file_reads(monkeypatch, picture, name, reason):
    patient = Limits(memory_bytes=1024 * MIB)
    hasty = {"hang": replace(patient, wall_seconds=3.0)}
    if name.startswith("burn"):
        hasty[name] = replace(patient, seconds=1.0)
    with Sandbox(hasty.get(name, patient)) as sandbox:
        with monkeypatch.context() as patch:
            hostile(patch, name)
            with pytest.raises(RefusedFile, match=reason) as caught:
                sandbox.ask("picture", picture)
            assert caught.value.file == str(picture)
        sandbox.close()
        sandbox.limits = patient  # the next file is a good one, and this machine may be busy
        facts, (pixels,) = sandbox.ask("picture", picture)
        assert pixels.shape == (1, 3, 4)
        assert facts["format"] == "PNG"


@pytest.mark.long
def test_what_decoders_print_does_not_reach_the_answers(monkeypatch, picture):
    hostile(monkeypatch, "noise")
    with Sandbox() as sandbox:
        facts, (numbers,) = sandbox.ask("picture", picture)
    assert facts == {"a": 1}
    assert numbers.tolist() == [0, 1, 2]


@pytest.mark.long
def test_the_child_cannot_write_files(monkeypatch, picture, tmp_path):
    target = tmp_path / "written"
    code = CHILD + f"c._task=lambda n:(lambda p,l,**s:({{}},[open({str(target)!r},'wb').write(b'x'*9999)]));c.serve()"
    monkeypatch.setattr(sandbox_module, "_START", "import json,sys;sys.path[:]=json.loads(sys.argv[1]);" + code)
    with Sandbox() as sandbox, pytest.raises(RefusedFile):
        sandbox.ask("picture", picture)
    assert not target.exists() or target.stat().st_size == 0


@pytest.mark.long
def test_a_child_that_burns_the_processor_is_stopped_soon_after_its_limit(monkeypatch, picture):
    hostile(monkeypatch, "burn")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Sandbox(Limits(seconds=0.5)) as sandbox, pytest.raises(RefusedFile, match="0.5 s of processor time"):
        sandbox.ask("picture", picture)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert 0.4 < spent < 5  # its start, half a second and more of processor time, is not part of the limit


@pytest.mark.long
def test_a_child_that_does_not_run_for_a_while_is_not_refused(monkeypatch, picture):
    """What a busy machine does to it, in the extreme: stopped for longer than its limit, then let go on."""
    with Sandbox(Limits(seconds=1.0)) as sandbox:
        sandbox.ask("picture", picture)
        child = sandbox._process.pid
        os.kill(child, signal.SIGSTOP)
        threading.Timer(3.0, os.kill, (child, signal.SIGCONT)).start()
        began = time.monotonic()
        _, (pixels,) = sandbox.ask("picture", picture)
        assert time.monotonic() - began > 2
        assert pixels.shape == (1, 3, 4)
        assert sandbox._process.pid == child


@pytest.mark.long
def test_many_files_may_use_more_processor_time_than_one(monkeypatch, picture):
    """The limit is of one request: each takes 0.4 s of one second, five together twice as much as the limit."""
    code = (
        CHILD + "n=time.process_time\ndef w(p,l,**s):\n e=n()+.4\n while n()<e: pass\n return {},[]\n"
        "c._task=lambda n:w\nc.serve()"
    )
    monkeypatch.setattr(sandbox_module, "_START", "import json,sys;sys.path[:]=json.loads(sys.argv[1]);" + code)
    with Sandbox(Limits(seconds=1.0)) as sandbox:
        children = set()
        for _ in range(5):
            sandbox.ask("picture", picture)
            children.add(sandbox._process.pid)
    assert len(children) == 1


@pytest.mark.long
def test_one_child_serves_many_files_and_ends_with_its_sandbox(picture):
    with Sandbox() as sandbox:
        sandbox.ask("picture", picture)
        first = sandbox._process.pid
        for _ in range(20):
            sandbox.ask("picture", picture)
        assert sandbox._process.pid == first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@pytest.mark.long
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


@pytest.mark.long
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
        ours.wait(timeout=300)


@pytest.mark.long
def test_the_child_ends_by_itself_when_its_parent_cannot_end_it(picture):
    code = CHILD + "c.end_after(0,1);time.sleep(600)"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    assert caught.value.returncode == -signal.SIGALRM


@pytest.mark.long
def test_a_parent_that_ignores_the_signals_does_not_lift_the_limits(picture):
    code = (
        "import signal;signal.signal(signal.SIGPROF,signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGPROF]);"
        + CHILD
        + "c.end_after(0.3,0);[None for _ in iter(int,1)]"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    assert ended.returncode == -signal.SIGPROF


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
