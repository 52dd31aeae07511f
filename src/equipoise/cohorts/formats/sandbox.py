"""A child process in which untrusted DICOM files and pictures are parsed, under limits of memory and time.

A decoder that crashes, hangs or eats memory takes the child with it and not the trial. Requests go down as one JSON
line, answers come back as one JSON line followed by the raw bytes of the arrays it names: nothing is unpickled. One
child serves many files, so that a series pays for its start (about half a second) once.

The limit of time is one of the child's own processor time, which its operating system counts and enforces: ten other
programs on the machine make a good file slower to read, not worse. Only a child that uses no processor (it sleeps, or
waits for a disk) is ended by the clock, and that limit is generous.
"""

import atexit
import json
import math
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.child_process import PYTHON, import_path
from equipoise.cohorts.formats.alarm import Alarm
from equipoise.cohorts.formats.checksums import check_size
from equipoise.cohorts.formats.limits import DEFAULT, MIB, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cores import THREADS
from equipoise.errors import CohortError

# A broken child might send a line without an end, and the parent must not grow with it.
_LONGEST_ANSWER = 64 * MIB
_ENDS_WITHIN = 10.0  # seconds from a closed pipe to the end of its process
_OUT_OF_TIME = -signal.SIGPROF if hasattr(signal, "SIGPROF") else None  # Windows has no such limit
# The list is closed so that a child taken over by a hostile file cannot name a dtype of objects: such an array would
# be made of pointers of its choice.
_DTYPES = frozenset({"|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"})
# The child takes over the parent's sys.path, so that it imports the same copy of the package, also from a source tree
# that is not installed.
_START = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "from equipoise.cohorts.formats.sandbox_child import serve;serve()"
)
Answer = tuple[Mapping[str, Any], list[NDArray[Any]]]


class Sandbox:
    """A child process that parses one file per request; use it as a context, or through `shared_sandbox`.

    A request that breaks a limit ends the child; the next request starts another.
    """

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._expired = False
        self._alarm = Alarm()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, task: str, path: str | PathLike[str], **settings: Any) -> Answer:
        """Return what the child found in one file: the facts, and the arrays.

        Raises RefusedFile for what the child refuses, and for a child that ran out of time or memory or crashed.
        """
        # The parent looks at the size before it wakes the child: a pipe or a device would block the child until the
        # clock ended it.
        check_size(path, self.limits)
        # One child answers one question at a time. Two threads would read each other's answers from the same pipe.
        with self._lock:
            self._expired, in_step = False, False
            self._alarm.set_in(self.limits.wall_seconds, self._expire)
            try:
                answer = self._exchange({"task": task, "path": str(Path(path).absolute()), "settings": settings}, path)
                in_step = True
            except (OSError, EOFError, ValueError, TypeError, AttributeError) as error:  # whatever a broken child says
                raise self._died(path, closed=isinstance(error, (EOFError, BrokenPipeError))) from error
            finally:
                self._alarm.cancel()
                if self._expired or not in_step:  # an answer left in the pipe would be taken for the next file's
                    self._stop()
        if "refused" in answer[0]:
            raise self._refusal(path, answer[0]["refused"])
        return answer

    def close(self) -> None:
        """End the child; a later request starts another."""
        with self._lock:
            self._stop()

    def _running(self) -> "subprocess.Popen[bytes]":
        if os.getpid() != self._owner:  # after a fork, the child belongs to the other process
            self._process, self._owner = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            self._stop()
            # Decoders gain nothing from threads of BLAS, while their stacks count against the limit of address space.
            quiet = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [*PYTHON, "-c", _START, json.dumps(import_path())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | quiet,
            )
            _send(self._process.stdin, {"limits": asdict(self.limits)})
        return self._process

    def _exchange(self, request: Mapping[str, Any], path: str | PathLike[str]) -> Answer:
        process = self._running()
        _send(process.stdin, request)
        answers = _opened(process.stdout)
        line = answers.readline(_LONGEST_ANSWER)
        if not line.endswith(b"\n"):
            raise EOFError
        facts = json.loads(line)
        arrays = [self._receive(answers, claim, path) for claim in facts.pop("arrays", [])]
        if facts.get("exhausted"):  # its memory is full of fragments: the next file gets a fresh child
            self._stop()
        return facts, arrays

    def _receive(self, stream: IO[bytes], claim: tuple[str, list[int]], path: str | PathLike[str]) -> NDArray[Any]:
        code, shape = claim
        size = math.prod(shape) * int(code[2:]) if code in _DTYPES else -1
        if size < 0 or min(shape, default=1) < 0 or size > self.limits.array_bytes:
            raise RefusedFile(path, "its parser answered with an impossible array", "copy the file again")
        # The bytes go straight into the array. Reading them first and converting afterwards would hold a whole series
        # twice.
        array = np.empty(shape, dtype=code)
        view = memoryview(array.reshape(-1).view(np.uint8)).cast("B")  # type: ignore[arg-type]
        filled = 0
        while filled < size:
            got = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            filled += got
        return array

    def _expire(self) -> None:
        self._expired = True
        if self._process is not None:
            self._process.kill()

    def _stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if os.getpid() != self._owner:  # a forked worker inherited this object; the child is its parent's to end
            return
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # a broken pipe: the child has gone before us
                continue
        process.kill()
        process.wait()

    def _died(self, path: str | PathLike[str], closed: bool) -> RefusedFile:
        code = self._exit_code(closed)
        if self._expired:
            waited = f"{self.limits.wall_seconds:g} s"
            reason, remedy = f"its reader gave no answer within {waited}", "raise EQUIPOISE_LIMIT_WALL_SECONDS"
        elif code == _OUT_OF_TIME:
            spent = f"{self.limits.seconds:g} s of processor time"
            reason, remedy = f"reading it took longer than {spent}", "raise EQUIPOISE_LIMIT_SECONDS"
        else:
            reason = "its decoder crashed" + ("" if code is None else f" (exit {code})")
            remedy = "raise EQUIPOISE_LIMIT_MEMORY_BYTES"
        return RefusedFile(path, reason, f"{remedy} if it is known to be good")

    def _exit_code(self, closed: bool) -> int | None:
        """Tell how the child ended, None where it still runs; `closed`: its pipe is, so that its end is near."""
        if self._process is None:
            return None
        try:  # a process closes its files a moment before it can be waited for
            return self._process.wait(_ENDS_WITHIN) if closed else self._process.poll()
        except subprocess.TimeoutExpired:
            return None

    @staticmethod
    def _refusal(path: str | PathLike[str], refused: Mapping[str, str]) -> CohortError:
        if refused.get("missing"):
            return CohortError(f"{fspath(path)} needs {refused['missing']}; {refused['remedy']}.")
        return RefusedFile(path, refused["reason"], refused["remedy"])


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise EOFError
    return stream


def _send(stream: IO[bytes] | None, message: Mapping[str, Any]) -> None:
    requests = _opened(stream)
    requests.write(json.dumps(message).encode() + b"\n")
    requests.flush()


_shared: dict[tuple[int, str, Limits], Sandbox] = {}
_sharing = threading.Lock()


def shared_sandbox(limits: Limits = DEFAULT) -> Sandbox:
    """Return this process's own sandbox for these limits, started on first use and ended with the process.

    Threads that work side by side have one each.
    """
    name = threading.current_thread().name
    # By process: a forked worker must not talk through its parent's pipes.
    key = (os.getpid(), name if name.startswith(THREADS) else "", limits)
    with _sharing:
        if key not in _shared:
            _shared[key] = Sandbox(limits)
            atexit.register(_shared[key].close)
        return _shared[key]
