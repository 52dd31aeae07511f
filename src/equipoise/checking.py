"""What can be known before anything is trained: cases, leaks, problems, and what the trial could show."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.cohorts import Case, Cohort
from equipoise.cohorts.cohort import Problem
from equipoise.cohorts.leakage import find_leaks
from equipoise.cohorts.split import Fold
from equipoise.engines import local
from equipoise.errors import EquipoiseError
from equipoise.progress import Watch, silent
from equipoise.protocol import Protocol
from equipoise.statistics import planning
from equipoise.statistics.planning import Plan
from equipoise.training.forecast import Forecast
from equipoise.training.staging import samples_of
from equipoise.trial import Trial, plan, try_arms

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Checked:
    """Everything that `equipoise check` prints."""

    protocol: str
    cohort: Cohort
    folds: Sequence[Fold]
    cases: list[dict[str, Any]]
    leaks: list[dict[str, str]]
    problems: list[Problem]
    detectable: Plan | None
    refusal: str | None
    forecasts: list[Forecast]
    jobs: int
    threads: int

    @property
    def may_run(self) -> bool:
        """Whether a run would be honest: no leak across parts, no problem that stops it."""
        return not self.leaks and not self.problems

    @property
    def seconds(self) -> float:
        """Predicted time of all jobs on this machine."""
        per_job = sum(forecast.seconds for forecast in self.forecasts) / len(self.forecasts)
        return per_job * self.jobs / max(1, min(self.jobs, local.available_cores() // self.threads))

    @property
    def memory_mb(self) -> float:
        """Predicted memory of the jobs that run side by side."""
        side_by_side = max(1, min(self.jobs, local.available_cores() // self.threads))
        return side_by_side * max(forecast.memory_mb for forecast in self.forecasts)

    def sizes(self) -> dict[str, dict[str, int]]:
        """Patients and cases of each part in the first fold."""
        patients = self.cohort.patients
        parts = {part: getattr(self.folds[0], part) for part in PARTS}
        return {
            part: {"patients": len(set(patients[indices])), "cases": len(indices), **self.cohort.class_counts(indices)}
            for part, indices in parts.items()
        }

    def as_json(self) -> dict[str, Any]:
        """The public form."""
        found = {"refused": self.refusal} if self.detectable is None else asdict(self.detectable)
        return {
            "cases": self.cases,
            "leaks": self.leaks,
            "problems": [asdict(problem) for problem in self.problems],
            "split": {"folds": len(self.folds), **self.sizes()},
            "detectable_difference": found,
            "predicted": {"seconds": round(self.seconds, 1), "memory_mb": round(self.memory_mb, 1)},
        }

    def text(self) -> str:
        """The same for people."""
        lines = [f"{self.cohort.name}: {len(set(self.cohort.patients.tolist()))} patients, {len(self.cohort)} cases"]
        for part, counts in self.sizes().items():
            classes = ", ".join(f"{n} {name}" for name, n in list(counts.items())[2:])
            lines.append(f"  {part}: {counts['patients']} patients, {counts['cases']} cases ({classes})")
        if self.cohort.excluded:
            lines.append(f"  left out: {len(self.cohort.excluded)} cases")
        lines += [f"leak: {leak['kind']}: {leak['a']} and {leak['b']}" for leak in self.leaks]
        lines += [f"problem: {p.case} ({p.file}): {p.problem}; {p.remedy}" for p in self.problems]
        lines += [self.refusal or ""] if self.detectable is None else list(self.detectable.sentences)
        minutes = self.seconds / 60
        lines.append(f"predicted: about {minutes:.1f} minutes and {self.memory_mb:.0f} MB for {self.jobs} jobs")
        return "\n".join(lines)


def check(protocol: Protocol | str | Path, *, watch: Watch = silent) -> Checked:
    """Read the cohort and try the arms; nothing is trained or written."""
    trial = plan(protocol, "unused")
    cases = []
    for number, case in enumerate(trial.cohort.cases, start=1):
        cases.append(_described(case, trial.cohort))
        watch("reading cases", number, len(trial.cohort))
    detectable, refusal = _detectable(trial)
    training = trial.protocol.training
    first = samples_of(trial.cohort, trial.folds[0].train[: training.batch_size], trial.pipeline)
    asked = [(job, first, len(trial.folds[0].train)) for job in trial.jobs[: len(trial.protocol.arms)]]
    with local.Workers(training.threads) as workers:
        try_arms(trial, workers)
        found = workers.run("equipoise.training.preflight:forecast", asked, lambda: None)
        forecasts = [_forecast(result) for _, result in found]
    return Checked(
        protocol=trial.protocol.trial.name,
        cohort=trial.cohort,
        folds=trial.folds,
        cases=cases,
        leaks=[vars(leak) for leak in find_leaks(trial.cohort, trial.folds)],
        problems=list(trial.cohort.problems),
        detectable=detectable,
        refusal=refusal,
        forecasts=forecasts,
        jobs=len(trial.jobs),
        threads=training.threads,
    )


def _forecast(result: Any) -> Forecast:
    if isinstance(result, local.Failure):
        raise EquipoiseError(f"the cost of an arm cannot be predicted ({result}); give the machine more memory")
    forecast: Forecast = result
    return forecast


def _described(case: Case, cohort: Cohort) -> dict[str, Any]:
    image = case.read()
    row: dict[str, Any] = {
        "case": case.id,
        "patient": case.patient,
        "shape": list(image.array.shape),
        "spacing_mm": list(image.spacing_mm),
    }
    if case.label is not None:
        row["label"] = cohort.classes[case.label]
    if image.mask is not None:
        values, counts = np.unique(image.mask, return_counts=True)
        row["label_voxels"] = {str(int(value)): int(count) for value, count in zip(values, counts, strict=True)}
    return row | {"sha256": dict(case.sha256)}


def _detectable(trial: Trial) -> tuple[Plan | None, str | None]:
    """What the first fold's test set can show; or the sentence that says why nothing can be planned."""
    test, cohort = trial.folds[0].test, trial.cohort
    arms = len(trial.protocol.arms)
    endpoints = trial.protocol.endpoints
    pairs = arms * (arms - 1) // 2 if endpoints.family == "all" else arms - 1
    try:
        return planning.plan(
            len(set(cohort.patients[test])),
            cohort.class_counts(test),
            len(trial.protocol.training.seeds),
            endpoint=endpoints.primary,
            margin=endpoints.margin,
            comparisons=max(1, pairs),
            alpha=endpoints.alpha,
        ), None
    except EquipoiseError as error:
        return None, str(error)
