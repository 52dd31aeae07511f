"""One writer per job: whoever begins to train a job shuts out whoever trained it before, on this machine or another.

A process that stood still (a suspended laptop, SIGSTOP, a network file system that hung) may wake hours after another
process took its job, and knows nothing of it. Two things keep it from writing then. The job's folder names the token of
the one who may write, and every writer reads it before the rename that makes a file visible. And a writer's temporary
files lie in a folder named by its token, which its successor removes: between the reading and the rename nothing is
left to rename.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.atomic_write import make_folder, write_atomic, write_json
from equipoise.errors import Superseded
from equipoise.plain_files import text_of
from equipoise.runfolder.paths import BEAT, DRAFTS_OF, WRITER, drafts_folder

_GONE = (errno.ENOENT, errno.ESTALE)
"""What a removed folder answers: on a local disk, and on a network file system that still knows its handle."""


@dataclass(frozen=True)
class Writer:
    """The right to write into a job's folder, until another process begins to train the job.

    token: 32 random hexadecimal digits, which no other writer has.
    """

    folder: Path
    token: str

    @classmethod
    def begin(cls, folder: Path) -> "Writer":
        """Take the folder over; from here on, every earlier writer is refused. Raises OSError for a full disk."""
        writer = cls(folder, secrets.token_hex(16))
        make_folder(writer._drafts)
        content = {"token": writer.token, "host": socket.gethostname(), "pid": os.getpid()}
        # `shared`, because two processes may begin at the same moment; the last rename stands.
        write_json(folder / WRITER, content, shared=True)
        for other in folder.glob(f"{DRAFTS_OF}*"):
            if other != writer._drafts:
                shutil.rmtree(other, ignore_errors=True)
        return writer

    @property
    def _drafts(self) -> Path:
        return drafts_folder(self.folder, self.token)

    def check(self) -> None:
        """Raise Superseded where another process has begun to train the job."""
        if not self._drafts.is_dir() or written_by(self.folder).get("token") != self.token:
            raise Superseded(self._sentence())

    def write(self, path: Path, write: Callable[[Path], object]) -> None:
        """Write a file of the job as `write_atomic` does; Superseded, and nothing visible, where the job has another.

        Raises OSError, or what `write` raises.
        """

        def filled(temporary: Path) -> None:
            """Fill the temporary file, then read whose the job is: the longest part lies behind."""
            write(temporary)
            self.check()

        self.check()
        try:
            write_atomic(path, filled, drafts=self._drafts)
        except OSError as error:
            if error.errno in _GONE and not self._drafts.is_dir():
                raise Superseded(self._sentence()) from error
            raise

    def beat(self) -> None:
        """Show that the work goes on, where no epoch shows it; see `last_beat`."""
        with contextlib.suppress(OSError):  # whoever was shut out learns it when it writes
            (self._drafts / BEAT).touch()

    def end(self) -> None:
        """Leave the folder without a writer: whoever was shut out stays so, because no token is theirs."""
        self.check()
        (self.folder / WRITER).unlink(missing_ok=True)
        (self._drafts / BEAT).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # hidden and empty: it harms nobody
            self._drafts.rmdir()

    def _sentence(self) -> str:
        now = written_by(self.folder)
        who = f"process {now.get('pid')} on {now.get('host')}" if now else "another process, which has ended"
        return (
            f"{self.folder} has been taken over by {who}, so this one writes nothing more there; let the other finish, "
            "then run the same command again"
        )


def last_beat(folder: Path) -> tuple[str, int]:
    """Return a sign of the process that writes into a job's folder: another one after each of its beats.

    It holds no time that clocks of two machines would have to share.
    """
    token = str(written_by(folder).get("token", ""))
    try:
        return token, (drafts_folder(folder, token) / BEAT).stat().st_mtime_ns
    except OSError:
        return token, 0


def written_by(folder: Path) -> dict[str, Any]:
    """Return token, host and pid of the process that trains the job; empty where there is none."""
    try:
        content = json.loads(text_of(folder / WRITER))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
