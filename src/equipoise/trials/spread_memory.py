"""What a finished trial leaves for the plans of later ones: its spread between training runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.store import cache_folder
from equipoise.errors import PredictionError
from equipoise.progress import remark
from equipoise.protocol import Protocol
from equipoise.runfolder.cache_lock import locked
from equipoise.statistics.seed_spread import Design, SeedSpread, remember


def design_of(protocol: Protocol, cohort: Cohort) -> Design:
    """Return what the spread between training runs of a plan depends on, by its primary endpoint."""
    networks = sorted({arm.model.name for arm in protocol.arms})
    epochs, primary = protocol.training.epochs, protocol.endpoints.primary
    return Design(cohort.name, primary, cohort.classes, tuple(networks), epochs, protocol.trial.name)


def seed_spreads() -> Path:
    """Return the file in the user's cache that stores the spread between training runs from trial to trial."""
    return cache_folder() / "seed-spreads.json"


def keep_spread(results: Mapping[str, Any], design: Design, file: Path) -> None:
    """Store this trial's spread between training runs, which makes later plans more precise.

    The trial is finished: a cache that cannot be read or written causes a remark and no error.
    """
    variance = results["variance"]
    if variance is not None and variance["seed_sd"] is not None:
        parts = {name: variance[name] for name in ("run_sd", "own_sd", "own_df") if variance.get(name) is not None}
        seen = SeedSpread(variance["seed_sd"], variance["seed_df"], **parts)
        try:
            # Read, changed and written back: of two trials that end at once, one would lose the other's row.
            with locked(file.parent, f"{file.stem}.lock"):
                remember(file, results["protocol_sha256"], replace(design, endpoint=variance["endpoint"]), seen)
        except (OSError, PredictionError) as error:
            remark(f"the spread between training runs could not be saved for later plans ({error})")
