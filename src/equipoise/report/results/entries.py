"""The entry of an arm or baseline in results.json: confusion, rates, operating point, calibration and cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from equipoise.evaluation.classification import Rate, class_rates, clustered_rate, confusion
from equipoise.evaluation.roc import youden_point
from equipoise.report.results.calibration import calibration
from equipoise.report.results.rows import part, run_numbers
from equipoise.runfolder.read import JobRecord
from equipoise.statistics.endpoints import SENSITIVITY, SPECIFICITY, on_curve

COSTS = ("train_seconds", "latency_ms", "peak_memory_mb")
ONE_SCORE = "one score for all cases"
"""The method of an area that needs no interval."""
SINCE = ("processor_seconds", "gradient_evaluations")
"""Costs that jobs of earlier versions did not record, which are left out of their results."""


def cost(jobs: Sequence[JobRecord], same_network: Sequence[JobRecord] = ()) -> dict[str, float | None]:
    """Return medians of costs over finished jobs; None where no job recorded the cost.

    same_network: the finished jobs of all arms with this arm's network. Latency is a property of the network and not of
    its training, so it is the median over all of them: a difference between two such arms would be timing noise.
    """
    out: dict[str, float | None] = {}
    for name in COSTS:
        measured = same_network or jobs if name == "latency_ms" else jobs
        values = [float(job.done[name]) for job in measured if _is_number(job.done.get(name))]
        out[name] = median(values) if values else None
    for name in SINCE:
        values = [float(job.done[name]) for job in jobs if _is_number(job.done.get(name))]
        out |= {name: median(values)} if values else {}
    return out


def ensemble(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what an ensemble is made: `ensemble`, the arms, and `members`, the runs of each; empty for others."""
    if not plan.get("ensemble"):
        return {}
    return {"ensemble": [str(name) for name in plan["ensemble"]], "members": int(plan.get("members", 1))}


def of_one_score(endpoints: Mapping[str, Any], jobs: Sequence[JobRecord]) -> dict[str, Any]:
    """Return a trivial rule's endpoints, the area without an interval where the rule scores all cases alike.

    Its area is 0.5 whatever the patients; an interval of a design with so many events would claim that it may differ.
    """
    test, name = part(jobs, "test"), on_curve("roc").name
    area = endpoints.get(name)
    if (
        test is None
        or not test.classes
        or not area
        or area.get("estimate") is None
        or np.ptp(test.scores, axis=0).any()
    ):
        return dict(endpoints)
    exact = {"low": area["estimate"], "high": area["estimate"], "method": ONE_SCORE, "beside": None}
    return {**endpoints, name: {**area, **exact}}


def classification(jobs: Sequence[JobRecord], positive: int | None, cases: int | None = None) -> dict[str, Any]:
    """Describe a classifier's test predictions beyond its endpoints; empty for masks, and for NaN or infinity.

    cases: how many each run must have, for a description of the same cases as that of other arms; empty for fewer.
    The confusion is summed over runs (`confusion_runs` of them); the predicted class has the highest score.
    """
    test = part(jobs, "test")
    few = cases is not None and test is not None and bool((np.bincount(run_numbers(test)) < cases).any())
    if test is None or few or not test.classes or not np.isfinite(test.scores).all():
        return {**dict.fromkeys(("confusion", "class_rates", "operating_point", "calibration")), "confusion_runs": 0}
    called, run, n = test.scores.argmax(axis=1), run_numbers(test), len(test.classes)
    # Clustered by patient and averaged over runs: summed counts would make intervals too narrow by the number of runs.
    rates = class_rates(test.truth, called, test.patient, n, run)
    return {
        "confusion": confusion(test.truth, called, n).tolist(),
        "confusion_runs": int(run.max()) + 1,
        "class_rates": {name: asdict(rate) for name, rate in zip(test.classes, rates, strict=True)},
        "operating_point": None if positive is None else _operating_point(jobs, positive),
        "calibration": calibration(jobs, test, positive),
    }


def _operating_point(jobs: Sequence[JobRecord], positive: int) -> dict[str, Any] | None:
    """Return test sensitivity and specificity at each run's own threshold, which its validation cases chose."""
    rows: list[tuple[Any, ...]] = []
    thresholds = []
    for number, job in enumerate(jobs):
        held, test = part([job], "validation"), part([job], "test")
        if held is None or test is None or len(np.unique(held.truth == positive)) < 2:
            return None
        # One score for every case: any threshold calls all of them one class, and chance would choose which.
        if np.ptp(held.scores[:, positive]) == 0:
            return None
        # Never chosen on test cases: the best threshold there makes sensitivity and specificity too good.
        threshold = youden_point(held.truth == positive, held.scores[:, positive]).threshold
        thresholds.append(threshold)
        truth, yes = test.truth == positive, test.scores[:, positive] >= threshold
        rows.append((truth, yes, test.patient, np.full(len(test), number)))
    truth, yes, patient, run = (np.concatenate(column) for column in zip(*rows, strict=True))
    return {
        "rule": "largest sensitivity + specificity on validation cases, each run its own threshold",
        "thresholds": [_finite(threshold) for threshold in thresholds],
        SENSITIVITY.name: _rate(clustered_rate(yes[truth], patient[truth], run[truth])),
        SPECIFICITY.name: _rate(clustered_rate(~yes[~truth], patient[~truth], run[~truth])),
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return asdict(rate)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
