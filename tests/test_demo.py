"""The demo's numbers are those that were recorded, to the last bit, on a machine that computes alike.

    EQUIPOISE_DEMO_RUN=FOLDER pytest tests/test_demo.py    judges what `equipoise demo --out FOLDER` left
    python tests/test_demo.py FOLDER                       prints the entry for tests/data/demo.json

Record anew only after a change that is meant to move numbers, and say so in its message.
"""

import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

RECORD = Path(__file__).resolve().parent / "data" / "demo.json"
FEATURES = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")


LEFT = ("cost", "arithmetic", "warnings", "prior_openings", "exploratory", "exploratory_reasons")


def canonical(results: Any) -> Any:
    """results.json without what was measured with a clock or a gauge, and the advice that rests on it.

    Sentences are left out: their numbers stand in fields of their own, and words may become better without a number
    being another one. So are warnings, and what else this machine opened, such as the quick demo. Dates, versions and
    the machine stand in lock.json, not here. `arithmetic` is what the machine was found fast at.
    """
    if isinstance(results, list):
        return [canonical(value) for value in results if not is_sentence(value)]
    if not isinstance(results, dict):
        return results
    left = {key: canonical(value) for key, value in results.items() if key not in LEFT and not is_sentence(value)}
    if "recommendation" in left:
        left["recommendation"] = {need: left["recommendation"][need] for need in ("accuracy",)}
    return left


def is_sentence(value: Any) -> bool:
    return isinstance(value, str) and " " in value


def digest(results: Any) -> str:
    """SHA-256 of the canonical form; floats are written so that they read back to the same bits."""
    return hashlib.sha256(json.dumps(canonical(results), sort_keys=True).encode()).hexdigest()


def machine() -> dict[str, str]:
    """What the last bits of a training run depend on, apart from the code."""
    import numpy
    import scipy
    import torch

    info = Path("/proc/cpuinfo")
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line) if info.exists() else {}
    about = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set((about.get("flags") or about.get("Features") or "").split())
    return {
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "architecture": platform.machine(),
        "maker": about.get("vendor_id", "unknown"),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "features": " ".join(name for name in FEATURES if name in flags),
    }


@pytest.mark.trial
def test_the_demo_has_its_recorded_numbers() -> None:
    folder = os.environ.get("EQUIPOISE_DEMO_RUN")
    if not folder:
        pytest.skip("no run of the demo to judge: set EQUIPOISE_DEMO_RUN to a folder that `equipoise demo` left")
    results = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
    here = machine()
    recorded = [entry["sha256"] for entry in json.loads(RECORD.read_text()) if entry["machine"] == here]
    if not recorded:
        pytest.skip(f"the demo's numbers were not recorded on a machine like this one: {here}")
    assert digest(results) in recorded


def test_what_is_compared_and_what_is_not() -> None:
    arm = {"name": "a", "endpoints": {"auc": {"estimate": 0.5}}, "cost": {"latency_ms": 3.0, "pareto": True}}
    advice = {"accuracy": {"arm": "a"}, "speed": {"arm": "a"}, "balanced": {"arm": "a"}}
    results = {"arms": [arm], "recommendation": advice, "arithmetic": {"measured": 1.0}}
    slower = json.loads(json.dumps(results))
    slower["arms"][0]["cost"]["latency_ms"] = 4.0
    slower["recommendation"]["speed"]["arm"] = "b"
    slower["arithmetic"] = None
    assert digest(slower) == digest(results)
    for change in (0.5 + 2**-53, 0.4):
        other = json.loads(json.dumps(results))
        other["arms"][0]["endpoints"]["auc"]["estimate"] = change
        assert digest(other) != digest(results)
    results["recommendation"]["accuracy"]["arm"] = "b"
    assert digest(slower) != digest(results)


def test_the_record_is_complete_and_has_one_digest_per_machine() -> None:
    entries = json.loads(RECORD.read_text())
    assert all(set(entry["machine"]) == set(machine()) and len(entry["sha256"]) == 64 for entry in entries)
    machines = [json.dumps(entry["machine"], sort_keys=True) for entry in entries]
    assert len(machines) == len(set(machines)) > 0


if __name__ == "__main__":
    results = json.loads((Path(sys.argv[1]) / "results.json").read_text(encoding="utf-8"))
    print(json.dumps({"machine": machine(), "sha256": digest(results)}, indent=2))
