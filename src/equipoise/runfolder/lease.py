"""A lease: a file that holds a run folder as long as its holder renews it, for file systems without locks.

Leases are numbered, and the highest number holds. A lease comes into being by a hard link of a finished file, which
fails where the name exists, also on a network disk: of two processes that take over, one gets the next number. Whoever
stood still sees a higher number, or its own file gone, and stops. Clocks of two machines are never compared: whoever
waits looks whether the file is renewed while its own clock runs.
"""

import errno
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.atomic_write import PART
from equipoise.errors import EquipoiseError, Superseded
from equipoise.plain_files import opened
from equipoise.progress import remark
from equipoise.runfolder.paths import LEASE

RENEWED_SECONDS, TAKEN_AFTER_SECONDS, LOOK_SECONDS = 20.0, 120.0, 2.0
_NUMBERED = re.compile(re.escape(LEASE) + r"-(\d{6,})")


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds, by its number and its random token."""

    folder: Path
    number: int
    token: str

    @classmethod
    @contextmanager
    def taken(
        cls,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> Iterator["Lease"]:
        """Hold the folder within the block, renewing the lease; raises EquipoiseError where another holds it.

        A lease that is not renewed within 120 s of this machine's own clock is taken over; one of a process of this
        machine that has ended, at once.
        """
        lease = cls._take(folder, clock, wait)
        ended = threading.Event()
        renewing = threading.Thread(target=lease._renew, args=(ended,), daemon=True)
        renewing.start()
        try:
            yield lease
        finally:
            ended.set()
            renewing.join()
            lease._give_back()

    @classmethod
    def _take(cls, folder: Path, clock: Callable[[], float], wait: Callable[[float], object]) -> "Lease":
        seen, since, announced = None, clock(), False
        while True:
            numbers = _numbers(folder)
            number = numbers[-1] if numbers else 0
            state = _state(folder, number)
            if state != seen and seen is not None and state is not None and state[0] == seen[0]:
                raise EquipoiseError(
                    f"{folder} is in use by another run ({_who(state[2])}, which has just renewed its lease); wait "
                    "for it, or name another folder with --out"
                )
            if state != seen:
                seen, since = state, clock()
            if state is None or _has_ended(state[2]) or clock() - since >= TAKEN_AFTER_SECONDS:
                lease = cls(folder, number + 1, secrets.token_hex(16))
                if lease._link():
                    for old in numbers:
                        _file(folder, old).unlink(missing_ok=True)
                    return lease
                continue
            if not announced:
                remark(f"{folder} is held by {_who(state[2])}; waiting up to two minutes to see whether it still runs")
                announced = True
            wait(LOOK_SECONDS)

    @property
    def file(self) -> Path:
        """The lease file."""
        return _file(self.folder, self.number)

    def check(self) -> None:
        """Raise Superseded where another process has taken the folder over."""
        state = _state(self.folder, self.number)
        if state is None or state[0] != self.token or _numbers(self.folder)[-1:] != [self.number]:
            raise Superseded(
                f"{self.folder} was taken over by another run, because this one did not renew its lease for two "
                "minutes (it was stopped, or the disk hung); let the other run finish, then run the same command again"
            )

    def _link(self) -> bool:
        """Make the lease; False where another process made one of this number first."""
        content = {"token": self.token, **_here()}
        draft = self.folder / f"{LEASE}-{self.token}{PART}"
        draft.write_text(json.dumps(content), encoding="utf-8")
        try:
            os.link(draft, self.file)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            raise EquipoiseError(
                f"the file system of {self.folder} supports neither locks nor hard links ({error.strerror}), so two "
                "runs could write to it at once; name a folder on another disk with --out"
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _renew(self, ended: threading.Event) -> None:
        """Renew the file's time until the block ends; a lease that was lost is not made again."""
        while not ended.wait(RENEWED_SECONDS):
            try:
                os.utime(self.file)
            except FileNotFoundError:
                return
            except OSError:
                continue  # a disk that hangs may come back; whoever waits decides by its own clock

    def _give_back(self) -> None:
        state = _state(self.folder, self.number)
        if state is not None and state[0] == self.token:
            self.file.unlink(missing_ok=True)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{LEASE}-{number:06d}"


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the lease files, rising; the listing is read anew each time."""
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _NUMBERED.fullmatch(path.name)))


def _state(folder: Path, number: int) -> tuple[str, int, dict[str, Any]] | None:
    """Return a lease's token, the time of its renewal, and its content; None where there is none."""
    try:
        # Opened and not only looked at: a network disk then asks its server.
        with opened(_file(folder, number)) as file:
            content, renewed = json.load(file), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        content, renewed = {}, 0
    return (str(content.get("token")), renewed, content) if isinstance(content, dict) else ("", renewed, {})


def _here() -> dict[str, Any]:
    """Return what names this process: host, pid, and the boot and process table in which the pid means something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        table = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = table = ""
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": boot, "table": table}


def _has_ended(content: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that runs no more; False where that cannot be known."""
    here = _here()
    if not here["boot"] or any(content.get(key) != here[key] for key in ("host", "boot", "table")):
        return False
    pid = content.get("pid")
    return isinstance(pid, int) and pid > 0 and not Path(f"/proc/{pid}").exists()


def _who(content: dict[str, Any]) -> str:
    return f"process {content.get('pid')} on {content.get('host')}"
