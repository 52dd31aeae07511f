"""What this machine knows of an arm's initial weights: the cases that they were trained and selected on."""

from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.protocol import Protocol
from equipoise.report.text.words import plural
from equipoise.runfolder.evidence import sha256_of
from equipoise.runfolder.opened_cases import OpenedCases
from equipoise.runfolder.training_registry import trained_with
from equipoise.runfolder.weight_digests import digests_of


def initial_weights(protocol: Protocol, opened: OpenedCases) -> dict[str, dict[str, Any]]:
    """Return, for every arm that starts from a file, its name, its SHA-256 and what is known of it.

    test_cases: how many test cases it was trained or selected on; None where this machine does not know the weights.
    trials: names and days of the trials that made it. A file that cannot be read is refused where the arms are tried.
    """
    record: dict[str, dict[str, Any]] = {}
    for arm in protocol.arms:
        if arm.pretrained is None:
            continue
        path = protocol.folder / Path(arm.pretrained.file).expanduser()
        try:
            known = trained_with(digests_of(path).values())
        except (EquipoiseError, OSError):
            known = []
        seen = [{one for training in known for one in getattr(training, key)} for key in ("cases", "pixels", "parts")]
        record[arm.name] = {
            "file": path.name,
            "sha256": sha256_of(path),
            "test_cases": opened.shared_with(*seen) if known else None,
            "trials": sorted({f"{training.name} of {training.time[:10]}" for training in known}),
        }
    return record


def leaking_weights(protocol: Protocol, opened: OpenedCases) -> str | None:
    """Return why a run would be refused: an arm starts from weights that have seen its test cases; None where none."""
    for arm, row in initial_weights(protocol, opened).items():
        if row["test_cases"]:
            return (
                f"arm {arm!r} starts from {row['file']}, whose weights were trained or selected on "
                f"{plural(row['test_cases'], 'test case')} of this trial (by the trial {row['trials'][0]}): start from "
                "weights of other cases, or at random, or set split.allow_leaks = true and the report says so"
            )
    return None
