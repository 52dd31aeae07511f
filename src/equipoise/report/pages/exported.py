"""What the export of an arm left beside its run: how long each runtime took for one case, and pages of examples."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from equipoise.errors import ProtocolError
from equipoise.plain_files import text_of
from equipoise.runfolder.paths import example_page, runtime_timings

RUNTIMES = {
    "torch": "torch, as in the trial",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "openvino-bf16": "OpenVINO, bfloat16",
    "openvino-int8": "OpenVINO, 8-bit integers",
}
LARGEST_FILE = 1 << 16


@dataclass(frozen=True)
class RuntimeRow:
    """One arm's latencies, in the order of the runtimes: milliseconds, None where one was not exported."""

    arm: str
    job: str
    bundle: str
    threads: int
    milliseconds: tuple[float | None, ...]


@dataclass(frozen=True)
class RuntimeTable:
    """The runtimes that any arm has, in words, and a row per exported arm."""

    runtimes: tuple[str, ...]
    rows: tuple[RuntimeRow, ...]


def runtime_table(run: Path, arms: Sequence[str]) -> RuntimeTable | None:
    """Return the latencies that exports left beside a run; None where none of its arms was exported.

    What cannot be read is left out: such a file is nothing that the trial stands on.
    """
    measured = {arm: entry for arm in arms if (entry := _timings(run, arm)) is not None}
    there = [name for name in RUNTIMES if any(name in entry["ms_per_case"] for entry in measured.values())]
    if not there:
        return None
    rows = tuple(
        RuntimeRow(
            arm, entry["job"], entry["bundle"], entry["threads"], tuple(entry["ms_per_case"].get(n) for n in there)
        )
        for arm, entry in measured.items()
    )
    return RuntimeTable(tuple(RUNTIMES[name] for name in there), rows)


def _timings(run: Path, arm: str) -> dict[str, Any] | None:
    try:
        return _read(runtime_timings(run, arm))
    except ProtocolError:  # an audited arm may have a name that no folder can have; nothing was exported of it
        return None


def _read(file: Path) -> dict[str, Any] | None:
    try:
        if file.is_symlink() or file.stat().st_size > LARGEST_FILE:
            return None
        entry = json.loads(text_of(file))
        spent = {name: float(value) for name, value in entry["ms_per_case"].items() if name in RUNTIMES}
        if not all(math.isfinite(value) and value >= 0 for value in spent.values()):
            return None
        return {
            "job": str(entry["job"])[:40], "bundle": str(entry["bundle"])[:12], "threads": int(entry["threads"]),
            "ms_per_case": spent,
        }  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def page_links(run: Path, arm: str | None, cases: Sequence[str]) -> dict[str, str]:
    """Return the addresses of the pages of cases that are there, relative to the run folder."""
    if arm is None:
        return {}
    try:
        files = {case: example_page(run, arm, case) for case in cases}
    except ProtocolError:  # an audited arm may have such a name; nothing was exported of it
        return {}
    there = {case: file for case, file in files.items() if file.is_file() and not file.is_symlink()}
    return {case: quote(file.relative_to(run).as_posix()) for case, file in there.items()}
