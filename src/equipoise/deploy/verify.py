"""Verify a bundle on this machine: its files, its name, and its answers to the golden images."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from equipoise.deploy.bundle import AGAIN, CARD, PARITY, RECORD, BundleFiles
from equipoise.deploy.card_rows import as_exported
from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle
from equipoise.errors import EquipoiseError
from equipoise.report.text.model_card import bundle_card


@dataclass(frozen=True)
class Verified:
    """A bundle that held: its name, and the largest difference of a probability on its golden images."""

    bundle: str
    sha256: str
    arm: str
    trial: str
    runtime: str
    golden_difference: float
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values for --json."""
        return asdict(self)

    def text(self) -> str:
        """Return the lines that the command prints."""
        holds = f"{self.bundle} is intact: every file is as {RECORD} lists it"
        lines = [
            f"{holds}, and {self.runtime} reproduces its golden predictions within {self.golden_difference:.2g}.",
            f"It is {self.arm} of the trial {self.trial}; its name is {self.sha256}",
            *(f"Warning: {warning}" for warning in self.warnings),
            f"{RESEARCH_ONLY[0].upper()}{RESEARCH_ONLY[1:]}.",
        ]
        return "\n".join(lines)


def verify(path: str | Path, *, sha256: str | None = None, runtime: str = "onnx") -> Verified:
    """Check a bundle; sha256: the name that it must have, at least twelve digits of it.

    A bundle proves that it is whole, not who made it: whoever changes all of its files consistently makes another
    bundle, with another name. Its card is compared with its record and its proof, from which it was made. Raises
    EquipoiseError for a bundle that does not hold.
    """
    bundle = Bundle(path, runtime)
    if sha256 is not None and (len(sha256) < 12 or not bundle.sha256.startswith(sha256.lower())):
        raise EquipoiseError(
            f"{path} has the name {bundle.sha256} and not {sha256}; get the right bundle, or give at least 12 digits"
        )
    evidence = bundle.files.record["evidence"]
    unknown = _card_problem(bundle.files)
    warnings = [f"exported although {reason}: {evidence['although']}" for reason in evidence.get("overruled", ())]
    warnings += [*bundle.about_files, *unknown]
    return Verified(
        str(path), bundle.sha256, evidence["arm"], evidence["trial"], runtime, bundle.golden_difference, tuple(warnings)
    )


def card_of(record: Mapping[str, Any], parity: Mapping[str, Any]) -> bytes:
    """Return CARD.md for a record (bundle.json, with or without `files`) and parity.json."""
    # Through JSON with sorted keys, as both lie in the bundle: the card made again must be the same in every byte.
    record, parity = (json.loads(json.dumps(one, sort_keys=True)) for one in (record, parity))
    return bundle_card(record, parity).encode()


def version_here() -> str:
    """Return the version of equipoise as `export` records it."""
    try:
        return version("equipoise")
    except PackageNotFoundError:
        return "unknown"


def _card_problem(files: BundleFiles) -> list[str]:
    """Compare the card with the record; return a warning where another version made it, whose words may differ.

    Raises EquipoiseError where they contradict each other.
    """
    try:
        same = card_of(files.record, json.loads(files.files[PARITY])) == as_exported(files.files[CARD])
        maker, here = str(files.record["provenance"]["versions"]["equipoise"]), version_here()
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EquipoiseError(f"{RECORD} or {PARITY} lacks what {CARD} states ({error!r}); {AGAIN}") from error
    if same:
        return []
    if maker == here:
        raise EquipoiseError(f"{CARD} is not the card of {RECORD} and {PARITY}: one of them was changed; {AGAIN}")
    return [f"{CARD} could not be compared with {RECORD}: equipoise {maker[:40]} made it, and this is {here}"]
