"""How much memory a new array may take: what the machine, the container and the process's own limit leave."""

from pathlib import Path

import psutil

from equipoise.errors import EquipoiseError

_ALWAYS_BYTES = 1 << 28
"""Up to 256 MB nobody asks how much is free."""
_CGROUP = Path("/sys/fs/cgroup")


def free_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Return the bytes that are free for this process; the smallest of what machine, container and limit leave."""
    free = [int(psutil.virtual_memory().available)]
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and used is not None:
        free.append(limit - used + (_of_files(cgroup / "memory.stat") or 0))
    address_space = _left_of_address_space()
    return max(0, min([*free, *([] if address_space is None else [address_space])]))


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


def _of_files(file: Path) -> int | None:
    """Return the bytes of cached files, which the container counts as used and gives up when asked."""
    try:
        rows = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
        return int(rows["inactive_file"])
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
