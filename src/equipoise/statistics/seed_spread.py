"""The spread between training runs, stored from trial to trial, because every plan depends on it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import chdtri

from equipoise.atomic_write import write_json
from equipoise.errors import PredictionError

USUAL_SEED_SD = 0.01  # of a metric between 0 and 1, where nothing is known yet
FEWEST_ELSEWHERE = 20  # degrees of freedom from which on the spread on other cohorts is a better guess than the usual
SIMILAR_EPOCHS = 2.0
"""Trials are comparable whose numbers of epochs differ by at most this factor."""
_SCHEMA = 1


@dataclass(frozen=True)
class SeedSpread:
    """Standard deviation between training runs in addition to the variation between patients, of earlier trials, with
    its degrees of freedom (0: a guess).

    elsewhere: estimated on other cohorts than that of the plan. trials: names of the trials that it is from. run_sd:
    that of the values of runs (None: `sd`); own_sd: the part of it that is due to the patients whom each run judges
    differently, with own_df degrees of freedom (0: known). sd² is run_sd² - own_sd², or 0 where that is negative.
    """

    sd: float = USUAL_SEED_SD
    df: int = 0
    elsewhere: bool = False
    trials: tuple[str, ...] = ()
    run_sd: float | None = None
    own_sd: float = 0.0
    own_df: int = 0

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the 80 % interval of `sd`; half and double a guess.

        >>> [round(end, 4) for end in SeedSpread(0.01, 4).ends]
        [0.0072, 0.0194]
        >>> [round(end, 4) for end in SeedSpread(0.0, 4, run_sd=0.009, own_sd=0.017, own_df=13).ends]
        [0.0, 0.0061]
        """
        if self.df == 0:
            return self.sd / 2, self.sd * 2
        run, own = (self.sd if self.run_sd is None else self.run_sd) ** 2, self.own_sd**2
        # A difference of two estimated variances; Ting et al., J Stat Comput Simul 35 (1990) 135-143, without their
        # third term, which is small. Without a part due to patients it is the interval of one variance by chi-square.
        runs, patients = _ratios(self.df), _ratios(self.own_df)
        low = run - own - float(np.hypot((1 - runs[0]) * run, (patients[1] - 1) * own))
        high = run - own + float(np.hypot((runs[1] - 1) * run, (1 - patients[0]) * own))
        return float(np.sqrt(max(low, 0.0))), float(np.sqrt(max(high, 0.0)))


def _ratios(df: int) -> tuple[float, float]:
    """Return the ends of the 80 % interval of a variance as multiples of its estimate; 1 where it is known."""
    return (df / float(chdtri(df, 0.1)), df / float(chdtri(df, 0.9))) if df else (1.0, 1.0)


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

    >>> pooled = pooled_spread([SeedSpread(0.01, 4), SeedSpread(0.02, 4)])
    >>> round(pooled.sd, 4), pooled.df
    (0.0158, 8)
    """
    df = sum(spread.df for spread in seen)
    # Variances are pooled with their degrees of freedom as weights, as over the arms of one trial.
    if df == 0:
        return SeedSpread()
    trials = tuple(dict.fromkeys(name for spread in seen for name in spread.trials))
    run, own = ([(s.sd if s.run_sd is None else s.run_sd) for s in seen], [s.own_sd for s in seen])
    mean, run_sd, own_sd = (_pooled(values, seen, df) for values in ([s.sd for s in seen], run, own))
    return SeedSpread(mean, df, trials=trials, run_sd=run_sd, own_sd=own_sd, own_df=sum(s.own_df for s in seen))


def _pooled(values: Sequence[float], seen: Sequence[SeedSpread], df: int) -> float:
    """Return the root of the mean square of standard deviations, weighted by the degrees of freedom of the spreads."""
    return float(np.sqrt(sum(value**2 * spread.df for value, spread in zip(values, seen, strict=True)) / df))


def recall(path: Path, design: Design) -> SeedSpread:
    """Return the stored spread of trials of this design, pooled: on its cohort, else on many others, else the guess."""
    # An estimate of 0 from which the upper limit is not known says nothing: earlier versions stored no other numbers.
    matching = [e for e in _entries(path) if design.is_like(e) and (float(e["sd"]) > 0 or "run_sd" in e)]
    own = [e for e in matching if e["cohort"] == design.cohort]
    pooled = pooled_spread([_spread(e) for e in own or matching])
    if own:
        return pooled
    return replace(pooled, elsewhere=True) if pooled.df >= FEWEST_ELSEWHERE else SeedSpread()


def _spread(entry: Mapping[str, Any]) -> SeedSpread:
    run_sd, own_sd, own_df = entry.get("run_sd"), entry.get("own_sd") or 0.0, entry.get("own_df") or 0
    return SeedSpread(
        float(entry["sd"]),
        int(entry["df"]),
        trials=(str(entry.get("name", "")),),
        run_sd=None if run_sd is None else float(run_sd),
        own_sd=float(own_sd),
        own_df=int(own_df),
    )


def remember(path: Path, trial: str, design: Design, spread: SeedSpread) -> None:
    """Store a trial's spread (under its hash `trial`); the same trial and endpoint replace the earlier entry."""
    if spread.df < 1 or not np.isfinite(spread.sd):
        return
    kept = [e for e in _entries(path) if (e["trial"], e["endpoint"]) != (trial, design.endpoint)]
    kept.append({
        "trial": trial, "name": design.trial, "cohort": design.cohort, "endpoint": design.endpoint,
        "classes": list(design.classes), "networks": list(design.networks), "epochs": design.epochs,
        "sd": spread.sd, "df": spread.df, "run_sd": spread.run_sd, "own_sd": spread.own_sd, "own_df": spread.own_df,
    })  # fmt: skip
    write_json(path, {"schema": _SCHEMA, "spreads": kept}, shared=True)


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text())["spreads"]
        for entry in entries:
            _ = entry["trial"], entry["cohort"], entry["endpoint"], float(entry["sd"]), int(entry["df"])
            _ = [float(entry.get(name) or 0) for name in ("run_sd", "own_sd", "own_df")]
            _ = list(entry.get("classes") or ()), list(entry.get("networks") or ()), int(entry.get("epochs") or 0)
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionError(
            f"{path} is not a store of seed spreads ({error}); remove it to start a new one"
        ) from error
    return entries
