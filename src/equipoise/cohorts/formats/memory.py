"""How much memory a new array may take: what the machine, the container and the process's own limit leave."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from equipoise.errors import EquipoiseError

_ALWAYS_BYTES = 1 << 28
"""Up to 256 MB nobody asks how much is free."""
_CGROUP, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_FORMS = (("memory.max", "memory.current", "inactive_file"), (
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
))  # fmt: skip
"""Files of the ceiling and of what is used, and the row of cached files, in the second and in the first version."""


def free_memory_bytes(cgroup: Path = _CGROUP, own: Path = _OWN) -> int:
    """Return the bytes that are free for this process; the smallest of what machine, container and limit leave.

    cgroup: where the system mounts its control groups; own: the list of those of this process.
    """
    free = [int(psutil.virtual_memory().available), *_left_of_groups(cgroup, own)]
    address_space = _left_of_address_space()
    return max(0, min([*free, *([] if address_space is None else [address_space])]))


def _left_of_groups(cgroup: Path, own: Path) -> Iterator[int]:
    """Yield what the ceiling of each control group leaves, of both versions: every group above binds as well."""
    # A container sees its own group as the root; a job of Slurm or a scope of systemd is somewhere below.
    try:
        rows = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:
        rows = []
    paths = {row[1]: row[2].strip("/") for row in rows if len(row) == 3}
    for root, names, path in (
        (cgroup, _FORMS[0], paths.get("", "")), (cgroup / "memory", _FORMS[1], paths.get("memory", "")),
    ):  # fmt: skip
        place = Path(path)
        for group in (place, *place.parents):
            limit, used = (_number(root / group / name) for name in names[:2])
            if limit is not None and used is not None:
                yield limit - used + (_of_files(root / group / "memory.stat", names[2]) or 0)


def _left_of_address_space() -> int | None:
    """Return what `ulimit -v` leaves; None without such a limit."""
    try:
        import resource  # here, because Windows has none
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft - int(psutil.Process().memory_info().vms)


def _number(file: Path) -> int | None:
    """Read a number; None where the file is missing or says "max"."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _of_files(file: Path, row: str) -> int | None:
    """Return the bytes of cached files, which the container counts as used and gives up when asked."""
    try:
        rows = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
        return int(rows[row])
    except (OSError, ValueError, KeyError):
        return None


def refuse_beyond_memory(needed: int, file: str) -> None:
    """Raise EquipoiseError where reading a file needs more memory than is free; small files are not asked about.

    No fault of the file: it is not a problem of one case, which could be left out, but ends what was begun.
    """
    if needed < _ALWAYS_BYTES:
        return
    free = free_memory_bytes()
    if needed > free:
        raise EquipoiseError(
            f"{file} needs about {needed / 1e9:.1f} GB of memory to be read, and {free / 1e9:.1f} GB are free; end "
            "other programs, use a machine with more, or leave the file out"
        )
