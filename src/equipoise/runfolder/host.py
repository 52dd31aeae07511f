"""What kind of machine this is: equal kinds compute equal bits with equal software."""

import hashlib
import platform
from pathlib import Path

_NAMES = ("model name", "cpu model", "uarch", "cpu part")
"""Fields of /proc/cpuinfo that name the model, by architecture: x86, MIPS, RISC-V, ARM."""
_FLAGS = ("flags", "features", "isa")


def host_class() -> dict[str, str]:
    """Return the processor's model and a digest of its instruction sets, for the record of a job.

    The digest is of the sorted names, because libraries choose their kernels by them and not by the model.
    """
    try:
        return host_class_of(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {"cpu": platform.processor() or platform.machine() or "unknown", "cpu_flags": "unknown"}


def host_class_of(cpuinfo: str) -> dict[str, str]:
    """Return the class from the text of /proc/cpuinfo, of its first processor.

    >>> host_class_of("model name : Xeon\\nflags : fma avx2") == host_class_of("model name : Xeon\\nflags : avx2 fma")
    True
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    name = next((fields[key] for key in _NAMES if fields.get(key)), platform.machine() or "unknown")
    flags = " ".join(sorted(next((fields[key] for key in _FLAGS if fields.get(key)), "").split()))
    return {"cpu": name, "cpu_flags": hashlib.sha256(flags.encode()).hexdigest()[:12] if flags else "unknown"}
