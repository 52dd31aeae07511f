"""A worker process: it runs pickled calls of its own parent, sends back their results, and ends with the parent.

It is started as `python -m equipoise.engines.worker` and not through multiprocessing, so that a user's script needs no
`if __name__ == "__main__"`, and so that no worker outlives a parent that was killed in any way: the pipe closes, and a
thread that waits on it ends the process at once.
"""

import importlib
import os
import pickle
import queue
import signal
import struct
import sys
import threading
from typing import Any, BinaryIO

from equipoise.child_process import take_folders
from equipoise.errors import EquipoiseError, in_one_line

HEADER = struct.Struct("<Q")


def send(stream: BinaryIO, message: object) -> None:
    """Write one message, its length first."""
    content = pickle.dumps(message)
    stream.write(HEADER.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message of the process's own parent or child; EOFError where the other end has closed."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)  # noqa: S301 - both ends of this pipe are the same installation


def _listen(stream: BinaryIO, calls: "queue.SimpleQueue[Any]") -> None:
    """Queue the parent's calls, and end this process when the parent's end of the pipe closes."""
    # In a thread, because the main thread may be inside a call for hours; os._exit, because sys.exit would end this
    # thread alone.
    while True:
        try:
            calls.put(receive(stream))
        except EOFError:
            os._exit(1)


def main() -> None:
    """Answer calls of the form ("module:function", argument) with ("result", value) or (an error's name, its text)."""
    take_folders()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    # The pipe moves to a new descriptor and stdout becomes stderr: output of user code, of C libraries too, would
    # otherwise mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        function, argument = calls.get()
        module, _, name = function.partition(":")
        try:
            value = getattr(importlib.import_module(module), name)(argument)
            send(answers, ("result", value))
        except Exception as error:
            # As text: an exception of a user's class might not unpickle in the parent, which lacks that module.
            kind = "OSError" if isinstance(error, OSError) else type(error).__name__
            plain = isinstance(error, EquipoiseError)
            send(answers, (kind, str(error) if plain else in_one_line(f"{type(error).__name__}: {error}")))


if __name__ == "__main__":
    main()
