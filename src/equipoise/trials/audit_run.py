"""Predictions made elsewhere as a run folder in memory.

An audit and a trial pass through the same functions this way, and cannot differ in a formula.
"""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.external import Collected
from equipoise.evaluation.external.agreement import NO_ROW, NO_TRUTH, REASONS, LeftOut
from equipoise.evaluation.external.example_images import ImagesByCase, OutlinesByCase
from equipoise.evaluation.external.other_parts import untested
from equipoise.evaluation.predictions import Predictions
from equipoise.report.text.omissions import omission_in_words
from equipoise.runfolder.ledger_state import LedgerState
from equipoise.runfolder.read import JobRecord, RunFolder
from equipoise.trials.audit_plan import AuditPlan, calls_only

_ELSEWHERE = "This is an audit of predictions made elsewhere: no ledger proves when the test set was opened"
_NO_FOLDER = Path(os.devnull)  # no file of the current folder may be read as one of the run
_NETWORKS = (
    "Every arm has one training run, so the verdicts are about these trained networks on patients like these, "
    "and not about the methods"
)


def run_of(
    table: Predictions, plan: AuditPlan, collected: Collected, notes: Sequence[str], images: str | Path | None
) -> RunFolder:
    """Return the input of results and report: the rows that are judged, with what was left out and how it was read.

    Raises PredictionError for predictions without a test row.
    """
    run = _with_left_out(_as_run(table, plan, collected, notes), collected, table, notes)
    run = run if images is None else _with_images(run, collected, Path(images))
    if run.lock["networks"] and len(run.arms()) > 1:
        run = replace(run, problems=(*run.problems, _NETWORKS))
    return run


def _as_run(table: Predictions, plan: AuditPlan, collected: Collected, notes: Sequence[str]) -> RunFolder:
    test = table.where(table.split == "test")
    if not len(test):
        raise PredictionError("the predictions have no row of split 'test'; a verdict needs test predictions of an arm")
    keys = sorted(set(zip(table.arm.tolist(), table.fold.tolist(), table.seed.tolist(), strict=True)))
    jobs = tuple(
        JobRecord(arm, fold, seed, "finished", predictions=table.where(
            (table.arm == arm) & (table.fold == fold) & (table.seed == seed)
        ))
        for arm, fold, seed in keys
    )  # fmt: skip
    label = dict(zip(test.case.tolist(), test.truth.tolist(), strict=True)) if table.classes else {}
    patient = dict(zip(test.case.tolist(), test.patient.tolist(), strict=True))
    cases = tuple(
        {
            "case": case, "patient": name, "label": table.classes[label[case]] if label else "",
            **{attribute: values.get(case, "") for attribute, values in collected.attributes.items()},
        }
        for case, name in patient.items()
    )  # fmt: skip
    lock = _lock(table, test, plan, keys, _cohort(table, patient, label)) | {
        "audit": {
            "repeated_rows": collected.repeated_rows,
            "cases_are_patients": plan.cases_are_patients,
            "common_cases": plan.common_cases,
            "untested_cases": len(untested(table)),
        }
    }
    sources = tuple(asdict(source) for source in collected.sources)
    return RunFolder(
        _NO_FOLDER, lock, cases, jobs, (), {}, LedgerState(0, False, _ELSEWHERE), tuple(notes), sources=sources,
        lists=tuple(one.record() for one in collected.lists), readings=collected.readings,
    )  # fmt: skip


def _lock(
    table: Predictions, test: Predictions, plan: AuditPlan, keys: Sequence[tuple[str, int, int]], cohort: dict[str, Any]
) -> dict[str, Any]:
    """Return the plan in the form of a trial's lock."""
    tested = [dict.fromkeys(test.case[test.fold == fold].tolist()) for fold in np.unique(test.fold)]
    return {
        "protocol_sha256": None, "name": "audit", "question": "Audit of predictions made elsewhere", "cohort": cohort,
        "split": {"scheme": "unknown", "folds": [{"train": [], "validation": [], "test": list(t)} for t in tested]},
        "endpoints": plan.endpoints, "arms": [{"name": arm} for arm in table.arms()],
        "seeds": sorted(set(table.seed.tolist())),
        "jobs": [{"arm": arm, "fold": fold, "seed": seed} for arm, fold, seed in keys],
        "versions": {"equipoise": version("equipoise"), "numpy": np.__version__, "python": platform.python_version()},
        "own": plan.own, "code_folder": str(Path.cwd()), "networks": _one_run_each(keys),
        "calls_only": bool(table.classes) and calls_only(table),
    }  # fmt: skip


def _cohort(table: Predictions, patient: dict[str, str], label: dict[str, int]) -> dict[str, Any]:
    """Return the cohort of a lock. patient, label: of every test case."""
    return {
        "name": "predictions made elsewhere", "patients": len(set(patient.values())), "cases": len(patient),
        "classes": {name: sum(one == i for one in label.values()) for i, name in enumerate(table.classes)},
    }  # fmt: skip


def _with_images(run: RunFolder, collected: Collected, folder: Path) -> RunFolder:
    truths = {case: truth for (_, case), (truth, _) in collected.masks.items()}
    pictures = ImagesByCase(folder, truths)
    run = replace(run, thumbnails=pictures, outlines=OutlinesByCase(collected.masks))
    return replace(run, problems=(*run.problems, *_pictured(run, pictures)))


def _with_left_out(run: RunFolder, collected: Collected, after: Predictions, notes: Sequence[str]) -> RunFolder:
    """Keep how many test cases were left out and why: perhaps an arm lacks those on which it fails.

    Cases of the reference that no arm predicted, and predicted ones that it has no truth for, are among them.
    """
    before = collected.predictions
    cases = {*before.case[before.split == "test"].tolist(), *collected.unpredicted}
    # Cases without a truth are in no table of predictions that have one.
    untrue = (note.reasons.items() for note in collected.notes if isinstance(note, LeftOut))
    cases |= {case for reasons in untrue for case, code in reasons if code == NO_TRUTH}
    lost = cases - set(after.case[after.split == "test"].tolist())
    if not lost:
        return run
    why: dict[str, str] = {}
    for note in notes:
        # The first reason holds: a case that was left out is not looked at again.
        why = ({**note.reasons, **why}) if isinstance(note, LeftOut) else why
    counts = Counter(why.get(case, NO_ROW) for case in lost)
    omission = {
        "cases": len(lost), "of": len(cases),
        "reasons": {code: counts[code] for code in REASONS if code in counts},
    }  # fmt: skip
    ledger = replace(run.ledger, cautions=(*run.ledger.cautions, omission_in_words(omission)))
    return replace(run, lock={**run.lock, "left_out": omission}, ledger=ledger)


def _pictured(run: RunFolder, pictures: ImagesByCase) -> list[str]:
    """Say how many cases have no image of their name."""
    cases = [str(row["case"]) for row in run.cases]
    lost = [case for case in cases if case not in set(pictures)]
    return [f"{len(lost)} of {len(cases)} cases have no image of their name, {lost[0]!r} first"] if lost else []


def _one_run_each(jobs: Sequence[tuple[str, int, int]]) -> bool:
    """Whether each of several arms has one training run: then the question is about these trained networks."""
    runs = {(arm, seed) for arm, _, seed in jobs}
    return len(runs) == len({arm for arm, _ in runs})
