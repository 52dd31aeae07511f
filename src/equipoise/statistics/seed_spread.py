"""The spread between training runs, stored from trial to trial, because every plan depends on it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.atomic_write import write_json
from equipoise.errors import PredictionError

USUAL_SEED_SD = 0.01  # of a metric between 0 and 1, where nothing is known yet
FEWEST_ELSEWHERE = 20  # degrees of freedom from which on the spread on other cohorts is a better guess than the usual
_SCHEMA = 1


@dataclass(frozen=True)
class SeedSpread:
    """Standard deviation between training runs of earlier trials, with its degrees of freedom (0: a guess).

    elsewhere: estimated on other cohorts than that of the plan.
    """

    sd: float = USUAL_SEED_SD
    df: int = 0
    elsewhere: bool = False


def pooled_spread(seen: Sequence[SeedSpread]) -> SeedSpread:
    """Pool the spreads of earlier trials; return the usual guess where there are none.

    >>> pooled_spread([SeedSpread(0.01, 4), SeedSpread(0.02, 4)])
    SeedSpread(sd=0.015811388300841896, df=8, elsewhere=False)
    """
    df = sum(spread.df for spread in seen)
    if df == 0:
        return SeedSpread()
    return SeedSpread(float(np.sqrt(sum(s.sd**2 * s.df for s in seen) / df)), df)


def recall(path: Path, endpoint: str, cohort: str) -> SeedSpread:
    """Return the stored spread of an endpoint, pooled: on this cohort, else on many others, else the usual guess."""
    matching = [e for e in _entries(path) if e["endpoint"] == endpoint]
    own = [e for e in matching if e["cohort"] == cohort]
    pooled = pooled_spread([SeedSpread(float(e["sd"]), int(e["df"])) for e in own or matching])
    if own:
        return pooled
    return replace(pooled, elsewhere=True) if pooled.df >= FEWEST_ELSEWHERE else SeedSpread()


def remember(path: Path, trial: str, cohort: str, endpoint: str, spread: SeedSpread) -> None:
    """Store a trial's spread (under its hash); the same trial and endpoint replace the earlier entry."""
    if spread.df < 1 or not np.isfinite(spread.sd):
        return
    kept = [e for e in _entries(path) if (e["trial"], e["endpoint"]) != (trial, endpoint)]
    kept.append({"trial": trial, "cohort": cohort, "endpoint": endpoint, "sd": spread.sd, "df": spread.df})
    write_json(path, {"schema": _SCHEMA, "spreads": kept}, shared=True)


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text())["spreads"]
        for entry in entries:
            _ = entry["trial"], entry["cohort"], entry["endpoint"], float(entry["sd"]), int(entry["df"])
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionError(
            f"{path} is not a store of seed spreads ({error}); remove it to start a new one"
        ) from error
    return entries
