"""Check the form of lock.json and done.json, which anybody may have edited: what a report reads has its type."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from equipoise.errors import LedgerError
from equipoise.runfolder.paths import LONGEST, component

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=LONGEST)]
_Count = Annotated[int, Field(ge=0, le=2**62)]
_Number = Annotated[float, Field(ge=0, lt=1e12)]
_Seed = Annotated[int, Field(ge=-(2**62), le=2**62)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Excluded(_Form):
    reason: str
    cases: _Count
    patients: _Count


class _Cohort(_Form):
    classes: dict[str, _Count]
    class_names: list[str] = []
    name: str = ""
    task: str | None = None
    patients: _Count | None = None
    cases: _Count | None = None
    regions: list[str] = []
    channels: list[str] = []
    excluded: list[_Excluded] = []
    notes: list[str] = []
    patients_known: bool = True
    patients_guessed: bool = False
    size_attribute: str | None = None


class _Fold(_Form):
    train: list[str]
    validation: list[str]
    test: list[str]


class _Split(_Form):
    folds: Annotated[list[_Fold], Field(min_length=1)]
    scheme: str = "holdout"
    unit: str = "patient"


class _Endpoints(_Form):
    primary: str
    secondary: list[str]
    margin: Annotated[float, Field(gt=0, lt=1e12)] | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    family: str = "all"
    positive: str | None = None
    subgroups: list[str] = []
    looks: list[_Count] = []
    length_unit: Literal["pixels", "voxels", ""] = ""


class _ShortTraining(_Form):
    updates: _Count
    fewest: _Count


class _Named(_Form):
    name: str


class _Pretrained(_Form):
    file: str


class _Arm(_Form):
    name: _Name
    model: str | _Named | None = None
    optimizer: str | _Named | None = None
    pretrained: _Pretrained | None = None
    freeze: list[str] = []
    ensemble: list[_Name] = []
    members: Annotated[int, Field(ge=1, le=10**6)] = 1


class _Job(_Form):
    arm: _Name
    fold: _Count
    seed: _Seed


class _Own(_Form):
    pooled: bool
    higher_is_better: bool
    sha256: str | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""


class _Leak(_Form):
    a: str
    b: str
    kind: str
    shared: str = ""


class _InitialWeights(_Form):
    file: str
    sha256: str | None = None
    test_cases: _Count | None = None
    trials: list[str] = []


class _PriorTraining(_Form):
    name: str
    day: str
    test_cases: _Count


class _PriorSeeds(_Form):
    name: str
    day: str
    seeds: list[_Seed]
    same: bool


class _Lock(_Form):
    schema_: Annotated[int, Field(alias="schema")] = 1
    protocol_sha256: str
    question: str
    name: str
    cohort: _Cohort
    split: _Split
    endpoints: _Endpoints
    arms: Annotated[list[_Arm], Field(min_length=1)]
    seeds: Annotated[list[_Seed], Field(min_length=1)]
    jobs: list[_Job]
    own: dict[str, _Own] = {}
    code: dict[str, str | None] = {}
    modules: dict[str, str] = {}
    leaks: list[_Leak] = []
    not_leaks: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    telling: list[str] = []
    initial_weights: dict[str, _InitialWeights] = {}
    prior_trainings: list[_PriorTraining] = []
    prior_seeds: list[_PriorSeeds] = []
    unrecorded: str = ""
    short_training: _ShortTraining | None = None
    gradient_evaluations: dict[str, _Number] = {}
    versions: dict[str, str] = {}
    tuning: dict[str, Any] | None = None
    shared_seeds: bool = False


class _Done(_Form):
    status: str
    reason: str | None = None
    epochs: _Count | None = None
    chosen_epoch: _Count | None = None
    stopped_epoch: _Count | None = None
    updates: _Count | None = None
    gradient_evaluations: _Number | None = None
    parameters: _Count | None = None
    warnings: list[str] = []
    late_modules: dict[str, str] = {}
    environment: dict[str, str | int | float | None] = {}


def check_done(path: Path, done: Mapping[str, Any]) -> None:
    """Raise LedgerError, which names the place, where a value of done.json has another type than a job writes."""
    try:
        _Done.model_validate(done)
    except ValidationError as error:
        raise LedgerError(f"{path} is not readable: {_first_fault(error)}; delete it and resume the run") from error


def check_lock(path: Path, lock: Mapping[str, Any]) -> None:
    """Raise LedgerError, which names the place, where a value of lock.json has another type than a trial writes.

    ProtocolError where the name of a job could lead out of the run folder.
    """
    for job in lock["jobs"] if isinstance(lock["jobs"], list) else ():
        component(str(job.get("arm") if isinstance(job, dict) else job), "an arm")
    try:
        parsed = _Lock.model_validate(lock)
    except ValidationError as error:
        raise LedgerError(f"{path} was changed: {_first_fault(error)}; restore it, or run the trial again") from error
    folds = len(parsed.split.folds)
    wrong = next((job for job in parsed.jobs if job.fold >= folds), None)
    if wrong is not None:
        raise LedgerError(f"{path} was changed: it has a job of fold {wrong.fold}, and {folds} folds; restore it")


def _first_fault(error: ValidationError) -> str:
    """Say where the first value of the wrong form stands, and what is wrong with it."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"at {place[:80]!r}, {first['msg'].lower()}"
