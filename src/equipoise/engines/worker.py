"""A worker process: takes pickled calls from its own parent, runs them, answers; ends when the parent ends.

Started as `python -m equipoise.engines.worker` rather than through multiprocessing, so that a user's script needs no
`if __name__ == "__main__"`, and so that no worker outlives a parent killed in any way: the pipe closes, and a thread
that waits on it ends the process at once.
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

from equipoise.errors import EquipoiseError

HEADER = struct.Struct("<Q")


def send(stream: BinaryIO, message: object) -> None:
    """Write one message, its length first."""
    content = pickle.dumps(message)
    stream.write(HEADER.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message of our own parent or child; EOFError where the other end has gone."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)  # noqa: S301 - both ends of this pipe are the same installation


def _listen(stream: BinaryIO, calls: "queue.SimpleQueue[Any]") -> None:
    while True:
        try:
            calls.put(receive(stream))
        except EOFError:
            os._exit(1)


def main() -> None:
    """Answer calls of the form ("module:function", argument) with ("result", value) or (an error's name, its text)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever user code prints must not mix with answers
    calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        function, argument = calls.get()
        module, _, name = function.partition(":")
        try:
            value = getattr(importlib.import_module(module), name)(argument)
            send(answers, ("result", value))
        except Exception as error:
            kind = "OSError" if isinstance(error, OSError) else type(error).__name__
            plain = isinstance(error, EquipoiseError)
            send(answers, (kind, str(error) if plain else f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main()
