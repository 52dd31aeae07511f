"""Verify a bundle on this machine: its files, its name, and its answers to the golden images."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from equipoise.deploy.bundle import RECORD
from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle
from equipoise.errors import EquipoiseError


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
    bundle, with another name. Raises EquipoiseError for a bundle that does not hold.
    """
    bundle = Bundle(path, runtime)
    if sha256 is not None and (len(sha256) < 12 or not bundle.sha256.startswith(sha256.lower())):
        raise EquipoiseError(
            f"{path} has the name {bundle.sha256} and not {sha256}; get the right bundle, or give at least 12 digits"
        )
    evidence = bundle.files.record["evidence"]
    warnings = [f"exported although {reason}: {evidence['although']}" for reason in evidence.get("overruled", ())]
    warnings += bundle.about_files
    return Verified(
        str(path), bundle.sha256, evidence["arm"], evidence["trial"], runtime, bundle.golden_difference, tuple(warnings)
    )
