"""What the caller of an audit states beside the predictions, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.cohorts.identities import PSEUDONYMS
from equipoise.statistics.endpoints import PRIMARY_OF_SCORES


@dataclass(frozen=True)
class AuditSettings:
    """The options of `equipoise.audit`, which describes each: its keywords, and those of the command line."""

    primary: str = PRIMARY_OF_SCORES.name
    margin: float | None = None
    control: str | None = None
    secondary: Sequence[str] | None = None
    positive: str | None = None
    subgroups: Sequence[str] = ()
    truth: str | Path | None = None
    regions: str | Sequence[str] | Mapping[str, Sequence[int]] | None = None
    classes: Sequence[str] = ()
    metric: str | None = None
    higher_is_better: Sequence[str] = ()
    lower_is_better: Sequence[str] = ()
    patients: str | Path | Mapping[str, str] | None = None
    cases_are_patients: bool = False
    common_cases: bool = False
    columns: str | Mapping[str, Any] | None = None
    scores: str | Mapping[str, str] | None = None
    ignore: Sequence[int] = ()
    threshold: float | None = None
    images: str | Path | None = None
    training: str | Path | None = None
    allow_trained: bool = False
    below_chance: bool = False
    growing: int | None = None
    margins: Mapping[str, float] | str | None = None
    failure_values: Mapping[str, float] | Sequence[str] = ()
    ids: str = PSEUDONYMS
