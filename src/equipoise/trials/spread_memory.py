"""What a finished trial leaves for the plans of later ones: its spread between training runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.errors import PredictionError
from equipoise.progress import remark
from equipoise.runfolder.cache_lock import locked
from equipoise.statistics.seed_spread import SeedSpread, remember


def keep_spread(results: Mapping[str, Any], file: Path) -> None:
    """Store this trial's spread between training runs, which makes later plans more precise.

    The trial is finished: a cache that cannot be read or written causes a remark and no error.
    """
    variance = results["variance"]
    if variance is not None and variance["seed_sd"] is not None:
        seen = SeedSpread(variance["seed_sd"], variance["seed_df"])
        try:
            # Read, changed and written back: of two trials that end at once, one would lose the other's row.
            with locked(file.parent, f"{file.stem}.lock"):
                remember(file, results["protocol_sha256"], results["cohort"]["name"], variance["endpoint"], seen)
        except (OSError, PredictionError) as error:
            remark(f"the spread between training runs could not be saved for later plans ({error})")
