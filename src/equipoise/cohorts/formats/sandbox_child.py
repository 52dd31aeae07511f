"""The child's side of `sandbox`: limit oneself, then answer one request after the other.

Runs in its own process; whatever happens here, the parent sees an answer or a closed pipe.
"""

import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile

Found = tuple[dict[str, Any], list[NDArray[Any]]]


def serve() -> None:
    """Answer requests from standard input until it closes."""
    requests, answers = sys.stdin.buffer, _private_output()
    limits = Limits(**json.loads(requests.readline())["limits"])
    limit_resources(limits)
    warnings.simplefilter("ignore")  # what matters in a warning is checked by name
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    for line in requests:
        request = json.loads(line)
        end_after(limits.seconds, 2 * limits.wall_seconds)
        facts, arrays = answer(request["task"], request["path"], limits, request["settings"])
        write(answers, facts, arrays)
        end_after(0, 0)


def end_after(processor_seconds: float, wall_seconds: float) -> None:
    """End this process once it has used `processor_seconds` (all its threads) or `wall_seconds` have passed; 0: never.

    The signals keep their default action, which ends the process wherever it is: a handler in Python would wait for
    a decoder in C to return. SIGPROF comes from the timer that counts user and system time together; RLIMIT_CPU
    would count whole seconds, and from the start of the process rather than of the request. The clock is the last
    resort, should the parent be gone and a decoder hang.
    """
    if hasattr(signal, "setitimer"):
        for kind in (signal.SIGPROF, signal.SIGALRM):  # a parent that ignores or blocks them hands that down
            signal.signal(kind, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGALRM))
        signal.setitimer(signal.ITIMER_PROF, processor_seconds)
        signal.alarm(math.ceil(wall_seconds))


def _private_output() -> IO[bytes]:
    """Return the pipe to the parent; file descriptors 1 and 2 go to nowhere, for C libraries print to them."""
    private = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return os.fdopen(private, "wb")


def limit_resources(limits: Limits) -> None:
    """Cap address space, written files and core dumps, where the operating system can."""
    try:
        import resource
    except ImportError:  # Windows has no such caps; time by the clock is still limited by the parent
        return
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        # A reader has no reason to write a file, so a hostile one that takes the decoder over cannot leave anything
        # on the disk.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def answer(task: str, path: str, limits: Limits, settings: dict[str, Any]) -> Found:
    """Return what the task finds in the file, every failure turned into a refusal."""
    try:
        return _task(task)(path, limits, **settings)
    except RefusedFile as refusal:
        return _refused(refusal.reason, refusal.remedy), []
    except ModuleNotFoundError as error:
        remedy = "install it with: pip install 'equipoise[dicom]'"
        return {"refused": {"missing": f"the package {error.name}", "remedy": remedy}}, []
    except MemoryError:
        reason = f"reading it needs more than {limits.memory_bytes} bytes of memory"
        return _refused(reason, "raise EQUIPOISE_LIMIT_MEMORY_BYTES if it is known to be good") | {
            "exhausted": True
        }, []
    except RecursionError:
        return _refused("its sequences are nested too deeply", "export it again without private sequences"), []
    except Exception as error:  # a parser of hostile bytes may raise anything
        reason = f"it is malformed ({type(error).__name__}: {_first_line(error)!r})"
        return _refused(reason, "copy or export the file again"), []


def _task(name: str) -> Callable[..., Found]:
    # The decoders are imported by the task, so that a cohort of pictures does not pay for pydicom's import.
    if name == "picture":
        from equipoise.cohorts.formats.picture_parse import parse_picture

        return parse_picture
    if name == "dicom_contours":
        from equipoise.cohorts.formats.rtstruct_parse import parse_contours

        return parse_contours
    from equipoise.cohorts.formats import dicom_parse

    return dicom_parse.parse_header if name == "dicom_header" else dicom_parse.parse_pixels


def _refused(reason: str, remedy: str) -> dict[str, Any]:
    return {"refused": {"reason": reason, "remedy": remedy}}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    # The message may quote bytes of the file, so control characters are removed before it reaches a terminal or the
    # report.
    text = lines[0] if lines else "no details"
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


def write(stream: IO[bytes], facts: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
    """Write one JSON line, then the arrays' bytes in little-endian C order."""
    arrays = [np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")) for array in arrays]
    claims = [(array.dtype.str, array.shape) for array in arrays]
    stream.write(json.dumps(facts | {"arrays": claims}).encode() + b"\n")
    for array in arrays:
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()
