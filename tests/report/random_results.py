"""Random results of every kind: predictions drawn at random as a run folder in memory, judged by the real functions."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.evaluation.candidate_table import CandidateTable
from equipoise.evaluation.predictions import Predictions
from equipoise.runfolder.ledger_state import LedgerState
from equipoise.runfolder.read import JobRecord, RunFolder

ARMS = ("unet", "vnet", "swin", "dense", "deeplab")
TRUTH = "Truth: mean of the readers' ratings; a reader's opinion, not pathology."
KINDS = ("two", "three", "masks", "candidates")


@dataclass(frozen=True)
class Drawn:
    """One random trial or audit; `quality` is the arms' skill, `noise` that of each run."""

    rng: np.random.Generator
    kind: str
    audited: bool
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: int
    case: np.ndarray
    patient: np.ndarray
    truth: np.ndarray
    hard: np.ndarray
    quality: np.ndarray
    noise: float
    ends: bool


def random_run(seed: int) -> RunFolder:
    """Return the run of this number; every number is another."""
    rng = np.random.default_rng([77, seed])
    kind, audited = str(rng.choice(KINDS, p=(0.4, 0.15, 0.3, 0.15))), bool(rng.random() < 0.4)
    arms = ARMS[: rng.integers(1, 6)]
    seeds = tuple(range(int(rng.choice((1, 3, 3, 5)))))
    folds = int(rng.choice((1, 1, 3))) if kind != "candidates" else 1
    patients = int(rng.choice((8, 30, 60, 90)))
    patient = np.repeat(np.arange(patients), rng.integers(1, 3, patients))
    classes = {"two": 2, "three": 3}.get(kind, 2)
    truth = np.where(rng.random(len(patient)) < 0.9, rng.integers(0, classes, patients)[patient], 0)
    spread = rng.choice((0.0, 0.0, 0.02, 0.3, 1.0))
    drawn = Drawn(
        rng, kind, audited, arms, seeds, folds, np.array([f"c{i:04d}" for i in range(len(patient))]),
        np.array([f"p{i:03d}" for i in patient]), truth, rng.normal(size=len(patient)),
        rng.choice((0.2, 1.0, 4.0)) + spread * rng.normal(size=len(arms)), float(rng.choice((0.0, 0.02, 0.3))),
        bool(rng.random() < 0.1),
    )  # fmt: skip
    return _spoilt(drawn, _folder(drawn))


def _classes(drawn: Drawn) -> tuple[str, ...]:
    return {"two": ("benign", "malignant"), "three": ("low", "middle", "high")}.get(drawn.kind, ())


def _table(drawn: Drawn, arm: str, skill: float, fold: int, seed: int) -> Predictions:
    rng = drawn.rng
    own = np.arange(len(drawn.case)) if drawn.folds == 1 else np.flatnonzero(_fold_of(drawn) == fold)
    held = own if drawn.audited or drawn.folds > 1 else np.concatenate([own, own])
    n, classes = len(held), _classes(drawn)
    skill = skill + drawn.noise * rng.normal()
    difficulty = drawn.hard[held] + 0.6 * rng.normal(size=n)
    split = np.full(n, "test")
    case, patient = drawn.case[held], drawn.patient[held]
    if n > len(own):
        split[len(own) :] = "validation"
        case = np.concatenate([drawn.case[own], np.char.add("v", drawn.case[own])])
        patient = np.concatenate([drawn.patient[own], np.char.add("v", drawn.patient[own])])
    metrics, scores, table = {}, np.empty((n, 0)), None
    if classes:
        away = (drawn.truth[held][:, None] != np.arange(len(classes))).astype(float)
        scores = np.exp(-away * (skill + difficulty[:, None]) - 0.4 * rng.normal(size=away.shape))
        scores = scores / scores.sum(axis=1, keepdims=True)
        if drawn.ends:
            scores = np.eye(len(classes))[drawn.truth[held]]
    elif drawn.kind == "masks":
        dice = 1 / (1 + np.exp(-1.2 - 0.3 * skill - 0.5 * difficulty))
        dice[rng.random(n) < rng.choice((0.0, 0.0, 0.02, 0.1))] = 0.0
        metrics = {"dice": dice, "hd95": np.where(dice < 0.1, 374.0, 30 * (1 - dice) ** 2)}
    else:
        findings = 1 + (drawn.truth[held] > 0)
        metrics, table = {"findings": findings.astype(float)}, _candidates(drawn, arm, seed, held, findings, skill)
    return Predictions(
        case, patient, split, np.full(n, arm), np.full(n, fold), np.full(n, seed),
        drawn.truth[held] if classes else np.full(n, -1), scores, classes, metrics, table,
    )  # fmt: skip


def _fold_of(drawn: Drawn) -> np.ndarray:
    return np.unique(drawn.patient, return_inverse=True)[1] % drawn.folds


def _candidates(
    drawn: Drawn, arm: str, seed: int, held: np.ndarray, findings: np.ndarray, skill: float
) -> CandidateTable:
    rng, scans = drawn.rng, len(drawn.case)
    held, findings = held[:scans], findings[:scans]
    hits = [(i, f) for i, count in enumerate(findings) for f in range(count) if rng.random() < 0.5 + 0.1 * skill]
    false = [(i, -1) for i in rng.integers(0, scans, scans)]
    rows = sorted([*hits, *false])
    at, finding = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    score = np.clip(0.5 + 0.2 * rng.normal(size=len(rows)) + 0.1 * skill * (finding >= 0), 0, 1)
    k = len(rows)
    return CandidateTable(
        drawn.case[held][at], drawn.patient[held][at], np.full(k, "test"), np.full(k, arm), np.zeros(k, dtype=int),
        np.full(k, seed), np.arange(k), np.zeros((k, 3)), score, finding, np.zeros(k, dtype=bool),
    )  # fmt: skip


def _folder(drawn: Drawn) -> RunFolder:
    rng = drawn.rng
    jobs = tuple(
        JobRecord(
            arm, fold, seed, "finished",
            done={"parameters": 1000 * (k + 1), "train_seconds": 4.0, "latency_ms": 5.0 + k, "peak_memory_mb": 50.0},
            predictions=_table(drawn, arm, float(drawn.quality[k]), fold, seed),
        )
        for k, arm in enumerate(drawn.arms) for fold in range(drawn.folds) for seed in drawn.seeds
    )  # fmt: skip
    rules = () if drawn.audited or drawn.folds > 1 or rng.random() < 0.5 else _rules(drawn)
    verified = bool(rng.random() < 0.7)
    state = LedgerState(0, False) if drawn.audited else LedgerState(int(rng.integers(1, 3)), verified, unplanned=0)
    state = replace(state, unplanned=max(state.test_openings - 1, 0))
    sources = ({"path": "p.csv", "kind": "a table", "arms": drawn.arms, "cases": 9, "sha256": "ab"},)
    label = dict(zip(drawn.case, drawn.truth, strict=True))
    cases = tuple(
        {"case": c, "patient": p, "part_0": "test", "label": _classes(drawn)[label[c]] if _classes(drawn) else "",
         "diameter_mm": f"{5 + 20 * rng.random():.2f}", "site": str(rng.integers(3))}
        for c, p in zip(drawn.case, drawn.patient, strict=True)
    )  # fmt: skip
    return RunFolder(
        Path(os.devnull), _lock(drawn, cases), cases, jobs, rules, {}, state, (), (),
        sources if drawn.audited else (),
    )  # fmt: skip


def _rules(drawn: Drawn) -> tuple[JobRecord, ...]:
    once = replace(drawn, noise=0.0)
    size = _table(once, "size-rule", 0.7, 0, 0)
    flat = replace(
        size,
        arm=np.full(len(size), "majority-class"),
        scores=np.ones_like(size.scores) * [1, 0, 0][: len(_classes(drawn))],
    )
    rules = [size, flat] if _classes(drawn) else [size]
    return tuple(JobRecord(str(one.arm[0]), 0, 0, "finished", done={}, predictions=one) for one in rules)


def _lock(drawn: Drawn, cases: Any) -> dict[str, Any]:
    rng, classes = drawn.rng, _classes(drawn)
    primary = {"two": rng.choice(("auc", "accuracy", "brier")), "three": rng.choice(("auc", "balanced_accuracy")),
               "masks": rng.choice(("dice", "hd95")), "candidates": "cpm"}[drawn.kind]  # fmt: skip
    secondary = {"masks": ["dice", "hd95"], "candidates": ["average_precision"]}.get(drawn.kind, ["auc", "brier"])
    task = {"masks": "segmentation", "candidates": "detection"}.get(drawn.kind, "classification")
    margin = {"hd95": 3.0}.get(str(primary), 0.05) * float(rng.choice((0.2, 1.0, 4.0)))
    tested = [drawn.case[(_fold_of(drawn) == f) | (drawn.folds == 1)].tolist() for f in range(drawn.folds)]
    one_run = len(drawn.seeds) == 1
    excluded = [{"reason": "mean rating is exactly 3 (undecided)", "cases": 1089, "patients": 400}]
    stated: dict[str, Any] = {} if drawn.audited else {
        "task": task, "fingerprint": "ab" * 32, "notes": [TRUTH], "excluded": excluded if rng.random() < 0.6 else [],
        "size_attribute": "diameter_mm" if rng.random() < 0.5 else None,
    }  # fmt: skip
    return {
        "protocol_sha256": "cd" * 32, "name": "random", "question": "Which one is better?",
        "cohort": {
            "name": "drawn", "patients": len(set(drawn.patient)), "cases": len(drawn.case),
            "classes": {name: int((drawn.truth == k).sum()) for k, name in enumerate(classes)}, **stated,
        },
        "split": {"scheme": "holdout", "folds": [{"train": [], "validation": [], "test": each} for each in tested]},
        "endpoints": {
            "primary": str(primary), "secondary": [name for name in secondary if name != primary],
            "margin": margin if rng.random() < 0.7 else None, "family": "all", "alpha": 0.05,
            "positive": "malignant" if drawn.kind == "two" else None, "below_chance": True,
            "subgroups": ["site"] if rng.random() < 0.3 else [], "structures": None, "units_stated": not drawn.audited,
        },
        "arms": [{"name": arm, "model": "unet", "optimizer": "adam"} for arm in drawn.arms],
        "seeds": list(drawn.seeds), "jobs": [], "versions": {"equipoise": "0"}, "own": {}, "machine": "a machine",
        "networks": drawn.audited and one_run,
    }  # fmt: skip


def _spoilt(drawn: Drawn, run: RunFolder) -> RunFolder:
    """Return the run with what goes wrong in some: a failed or missing job, a missing value, a missing case."""
    rng, jobs = drawn.rng, list(run.jobs)
    fault, k = (
        rng.choice(("none", "none", "none", "failed", "missing", "value", "case", "copies")),
        int(rng.integers(len(jobs))),
    )
    table = jobs[k].predictions
    assert table is not None
    if fault == "failed" and not drawn.audited:
        jobs[k] = replace(jobs[k], status="failed", reason="diverged", predictions=None, done={})
    if fault == "missing" and not drawn.audited:
        jobs[k] = replace(jobs[k], status="missing", reason="its predictions are missing", predictions=None, done={})
        run = replace(run, ledger=replace(run.ledger, verified=False, problem="a file is missing"))
    if fault == "value":
        values = (
            table.scores if len(table.classes) else table.metrics["dice" if "dice" in table.metrics else "findings"]
        )
        if "findings" not in table.metrics:
            values[0] = np.nan
    if fault == "case" and len(table) > 30:
        jobs[k] = replace(jobs[k], predictions=table.where(np.arange(len(table)) > 0))
    first, second = jobs[0].predictions, jobs[min(1, len(jobs) - 1)].predictions
    if fault == "copies" and len(drawn.seeds) > 1 and drawn.folds == 1 and first is not None and second is not None:
        copied = replace(first, seed=second.seed[: len(first)], arm=second.arm[: len(first)])
        jobs[1] = replace(jobs[1], predictions=copied)
    return replace(run, jobs=tuple(jobs))
