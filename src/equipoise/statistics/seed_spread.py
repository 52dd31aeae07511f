"""The spread between training runs, stored from trial to trial, because every plan depends on it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.atomic_write import write_json
from equipoise.errors import PredictionError

USUAL_SEED_SD = 0.01  # of a metric between 0 and 1, where nothing is known yet
FEWEST_ELSEWHERE = 20  # degrees of freedom from which on the spread on other cohorts is a better guess than the usual
SIMILAR_EPOCHS = 2.0
"""Trials are comparable whose numbers of epochs differ by at most this factor."""
_SCHEMA = 1


@dataclass(frozen=True)
class SeedSpread:
    """Standard deviation between training runs of earlier trials, with its degrees of freedom (0: a guess).

    elsewhere: estimated on other cohorts than that of the plan. trials: names of the trials that it is from.
    """

    sd: float = USUAL_SEED_SD
    df: int = 0
    elsewhere: bool = False
    trials: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """What the spread between training runs depends on: a trial of another design says nothing of a plan's.

    cohort, endpoint, classes: names. networks: of the arms, sorted, each once. epochs: of training. trial: its name.
    """

    cohort: str
    endpoint: str
    classes: tuple[str, ...]
    networks: tuple[str, ...]
    epochs: int
    trial: str = ""

    def is_like(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a stored entry is of this design, on this cohort or another.

        Entries of earlier versions, which do not say what was trained, are of none.
        """
        if any(entry.get(name) is None for name in ("classes", "networks", "epochs")):
            return False
        same = entry["endpoint"] == self.endpoint
        same &= (tuple(entry["classes"]), tuple(entry["networks"])) == (self.classes, self.networks)
        fewer, more = sorted((int(entry["epochs"]), self.epochs))
        return same and more <= SIMILAR_EPOCHS * fewer


def pooled_spread(seen: Sequence[SeedSpread]) -> SeedSpread:
    """Pool the spreads of earlier trials; return the usual guess where there are none.

    >>> pooled_spread([SeedSpread(0.01, 4), SeedSpread(0.02, 4)])
    SeedSpread(sd=0.015811388300841896, df=8, elsewhere=False, trials=())
    """
    df = sum(spread.df for spread in seen)
    # Variances are pooled with their degrees of freedom as weights, as over the arms of one trial.
    if df == 0:
        return SeedSpread()
    trials = tuple(dict.fromkeys(name for spread in seen for name in spread.trials))
    return SeedSpread(float(np.sqrt(sum(s.sd**2 * s.df for s in seen) / df)), df, trials=trials)


def recall(path: Path, design: Design) -> SeedSpread:
    """Return the stored spread of trials of this design, pooled: on its cohort, else on many others, else the guess."""
    matching = [e for e in _entries(path) if design.is_like(e)]
    own = [e for e in matching if e["cohort"] == design.cohort]
    pooled = pooled_spread([_spread(e) for e in own or matching])
    if own:
        return pooled
    return replace(pooled, elsewhere=True) if pooled.df >= FEWEST_ELSEWHERE else SeedSpread()


def _spread(entry: Mapping[str, Any]) -> SeedSpread:
    return SeedSpread(float(entry["sd"]), int(entry["df"]), trials=(str(entry.get("name", "")),))


def remember(path: Path, trial: str, design: Design, spread: SeedSpread) -> None:
    """Store a trial's spread (under its hash `trial`); the same trial and endpoint replace the earlier entry."""
    if spread.df < 1 or not np.isfinite(spread.sd):
        return
    kept = [e for e in _entries(path) if (e["trial"], e["endpoint"]) != (trial, design.endpoint)]
    kept.append({
        "trial": trial, "name": design.trial, "cohort": design.cohort, "endpoint": design.endpoint,
        "classes": list(design.classes), "networks": list(design.networks), "epochs": design.epochs,
        "sd": spread.sd, "df": spread.df,
    })  # fmt: skip
    write_json(path, {"schema": _SCHEMA, "spreads": kept}, shared=True)


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text())["spreads"]
        for entry in entries:
            _ = entry["trial"], entry["cohort"], entry["endpoint"], float(entry["sd"]), int(entry["df"])
            _ = list(entry.get("classes") or ()), list(entry.get("networks") or ()), int(entry.get("epochs") or 0)
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionError(
            f"{path} is not a store of seed spreads ({error}); remove it to start a new one"
        ) from error
    return entries
