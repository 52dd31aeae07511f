"""Check that all arms predict the same cases with the same truth."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.splits.patient_names import spelling_key
from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions

_TRUTHS = ("truth_voxels", "n_ref")
OTHER_TRUTH, OTHER_PATIENT, NO_ROW, NO_SCORE = "other_truth", "other_patient", "no_row", "no_score"
UNDEFINED, UNPREDICTED, NO_VALUE, NO_TRUTH = "undefined", "unpredicted", "no_value", "no_truth"
REASONS = (OTHER_TRUTH, OTHER_PATIENT, NO_TRUTH, NO_ROW, NO_SCORE, NO_VALUE, UNDEFINED, UNPREDICTED)
"""Why a case is left out: arms disagree on it, the reference has no truth, an arm has no row, score or value of the
compared metric of it, no arm has a value, or a row."""


class LeftOut(str):
    """A note on cases that were left out, as the caller asked; reasons: case → why, a code of `REASONS`."""

    reasons: Mapping[str, str]

    def __new__(cls, text: str, reasons: Mapping[str, str]) -> "LeftOut":
        """Return the note with its cases."""
        made = super().__new__(cls, text)
        made.reasons = reasons
        return made


def same_truths(table: Predictions, *, common_cases: bool) -> tuple[Predictions, list[str]]:
    """Refuse cases whose truth or patient differs between arms, or leave them out for all and note their number.

    For masks the number of true voxels is compared, the only trace of the truth in a table of metrics.
    """
    case, position = np.unique(table.case, return_inverse=True)
    first = np.full(len(case), -1)
    # Assigned backwards, so that the last write for each case comes from its first row: the reference of all others.
    first[position[::-1]] = np.arange(len(table))[::-1]
    checks: list[tuple[str, NDArray[np.bool_]]] = [
        ("truth", table.truth != table.truth[first[position]]),
        ("patient", table.patient != table.patient[first[position]]),
    ]
    for name, values in table.metrics.items():
        if name.startswith(_TRUTHS):
            checks.append((f"{name} (size of the truth)", ~np.isclose(values, values[first[position]], equal_nan=True)))
    reasons: dict[str, str] = {}
    refusal = None
    for what, differs in checks:
        rows = np.flatnonzero(differs)
        code = OTHER_PATIENT if what == "patient" else OTHER_TRUTH
        reasons = dict.fromkeys(table.case[rows].tolist(), code) | reasons
        if len(rows) and refusal is None:
            refusal = _refusal(table, what, int(rows[0]), int(first[position[rows[0]]]), len(np.unique(position[rows])))
    if refusal is None:
        return table, []
    bad = np.isin(table.case, sorted(reasons))
    # Without any other case the permission leads nowhere, and the disagreement is what has to be mended.
    if not (table.split[~bad] == "test").any():
        raise PredictionError(refusal)
    if not common_cases:
        raise PredictionError(f"{refusal}, or leave such cases out (--common-cases)")
    note = f"{len(reasons)} of {len(case)} cases have {_what(reasons)} in some arm and were left out, as requested."
    return table.where(~bad), [LeftOut(note, reasons)]


def _refusal(table: Predictions, what: str, row: int, other: int, cases: int) -> str:
    """Return the sentence on the first case whose `what` differs, with a remedy; row, other: of two arms."""
    ids = [str(table.patient[one]) for one in (row, other)]
    told_apart, remedy = "", "give every arm the same truth"
    if what == "patient":
        told_apart = f": {ids[0]!r} and {ids[1]!r}"
        # Reached only where an arm has both spellings, so that they may be two people.
        alike = ", which look alike" if spelling_key(ids[0]) == spelling_key(ids[1]) else ""
        told_apart += alike
        remedy = (
            "give one list of case and patient for all arms (--patients FILE), without patient= in --columns, with the "
            "column of ids read as the case (--columns case=NAME), or name the patients alike in every table"
        )
        remedy += ", as text where they begin with zeros" if alike else ""
    return (
        f"case {str(table.case[row])!r} has another {what} in arm {str(table.arm[row])!r} than in "
        f"{str(table.arm[other])!r}{told_apart} ({cases} cases differ); {remedy}"
    )


def _what(reasons: Mapping[str, str]) -> str:
    words = {OTHER_TRUTH: "another truth", OTHER_PATIENT: "another patient"}
    return " or ".join(word for code, word in words.items() if code in reasons.values())


def common(table: Predictions, judged: Collection[str] = ()) -> tuple[Predictions, list[str]]:
    """Keep the test cases that every run of every arm predicted, and whose metrics are defined in some arm.

    judged: the endpoints that the caller names. A structure that no arm has a value of costs the case only there: the
    mean over the others is what is compared else.
    """
    notes: list[str] = []
    test = table.where(table.split == "test")
    cases = len(set(test.case.tolist()))
    undefined = _undefined(test, judged)
    if undefined:
        have = "have" if len(undefined) > 1 else "has"
        note = (
            f"{len(undefined)} of {cases} test cases {have} a value that is not a number in every arm and "
            f"{'were' if len(undefined) > 1 else 'was'} left out, as requested."
        )
        table, notes = _kept(table, note, dict.fromkeys(undefined, UNDEFINED))
        test = table.where(table.split == "test")
    job = np.stack([test.arm, test.seed.astype(str)], axis=1)
    jobs, number = np.unique(job, axis=0, return_inverse=True)
    case, position = np.unique(test.case, return_inverse=True)
    held = np.zeros((len(case), len(jobs)), dtype=bool)
    # A score that is no number is no prediction, as a row that is not there.
    scored = ~np.isnan(test.scores).any(axis=1)
    held[position[scored], number.ravel()[scored]] = True
    present = np.zeros_like(held)
    present[position, number.ravel()] = True
    lost = np.flatnonzero(~held.all(axis=1))
    if not len(lost):
        return table, notes
    reasons = {str(case[k]): NO_SCORE if present[k].all() else NO_ROW for k in lost.tolist()}
    note = (
        f"{len(reasons)} of {cases} test cases lack a prediction of some arm and were left out for all, as requested."
    )
    table, more = _kept(table, note, reasons)
    return table, [*notes, *more]


def valued(table: Predictions, metric: str, cases: int | None = None) -> tuple[Predictions, list[str]]:
    """Keep the test cases of which every run of every arm has a value of the compared metric; the others are named.

    That value may lack because the arm failed, and leaving the case out then favours it: the note says so.
    cases: the number of test cases before any was left out, by default those of the table.
    """
    lacking = np.isnan(table.metrics[metric]) & (table.split == "test")
    if not lacking.any():
        return table, []
    for arm in table.arms():
        if lacking[(table.arm == arm) & (table.split == "test")].all():
            raise PredictionError(
                f"{arm} has no {metric} of any test case; fill the column in, or leave this arm out of the audit"
            )
    lost = sorted(set(table.case[lacking].tolist()))
    cases = cases or len(set(table.case[table.split == "test"].tolist()))
    arms = ", ".join(dict.fromkeys(table.arm[lacking].tolist()))
    note = (
        f"{len(lost)} of {cases} test cases {'have' if len(lost) > 1 else 'has'} no {metric} in {arms} and "
        f"{'were' if len(lost) > 1 else 'was'} left out for all, as requested; if {arms} failed there, this favours "
        "it: give the worst value in place of the empty cell."
    )
    return _kept(table, note, dict.fromkeys(lost, NO_VALUE))


def alike_means(table: Predictions) -> tuple[Predictions, list[str]]:
    """Make a mean over structures no number where it leaves out one that another arm's mean contains; note the number.

    Such means (MONAI's, over what is not NaN) are of different structures, and flatter the arm that missed one.
    """
    metrics, notes = dict(table.metrics), []
    _, position = np.unique(table.case, return_inverse=True)
    for name, means in table.metrics.items():
        parts = [values for other, values in table.metrics.items() if other.startswith(f"{name}_")]
        if not parts or not np.isnan(parts).any():
            continue
        lost = np.isnan(parts)
        defined = np.stack([np.bincount(position, ~one, position.max() + 1)[position] > 0 for one in lost])
        unlike = (lost & defined).any(axis=0) & np.isfinite(means)
        if unlike.any():
            metrics[name] = np.where(unlike, np.nan, means)
            arms = ", ".join(sorted(set(table.arm[unlike].tolist())))
            notes.append(
                f"{int((lost & defined).sum())} structures of {int(unlike.sum())} cases have no {name} in {arms} and "
                "have one in another arm: means without them cover other structures and are too optimistic, so they "
                f"were not used; compare one structure (--primary {name}_…), or give the masks."
            )
    return replace(table, metrics=metrics), notes


def disjoint(table: Predictions) -> bool:
    """Whether there are several arms and no case was predicted by two of them."""
    pairs = set(zip(table.case.tolist(), table.arm.tolist(), strict=True))
    return len(table.arms()) > 1 and len(pairs) == len({case for case, _ in pairs})


def _undefined(test: Predictions, judged: Collection[str]) -> set[str]:
    """Return the cases of which some metric is NaN in every row: undefined by the truth, not by an arm's failure."""
    # A case that is NaN for one arm alone is that arm's failure, and leaving it out would reward it.
    case, position = np.unique(test.case, return_inverse=True)
    undefined: set[str] = set()
    for name, values in test.metrics.items():
        known = np.isfinite(values)
        if name not in judged:
            means = [one for other, one in test.metrics.items() if name.startswith(f"{other}_")]
            known = known | np.isfinite(means).any(axis=0) if means else known
        defined = np.bincount(position, weights=known, minlength=len(case))
        if defined.any():
            undefined |= set(case[defined == 0].tolist())
    return undefined


def _kept(table: Predictions, note: str, reasons: Mapping[str, str]) -> tuple[Predictions, list[str]]:
    """Leave the cases of `reasons` out; PredictionError where no test case remains."""
    kept = table.where(~np.isin(table.case, sorted(reasons)))
    if not (kept.split == "test").any():
        raise PredictionError("the arms have no test case in common, so nothing can be compared; give the same cases")
    return kept, [LeftOut(note, reasons)]


def unpredicted(table: Predictions, cases: Sequence[str], *, common_cases: bool) -> list[str]:
    """Refuse truths that no arm predicted, or note their number."""
    lost = sorted(set(cases) - set(table.case.tolist()))
    if not lost:
        return []
    number = f"{len(lost)} cases of the truth have" if len(lost) > 1 else "1 case of the truth has"
    if not common_cases:
        raise PredictionError(
            f"{number} no prediction of any arm, first {lost[0]!r}; add what is lacking, or leave such cases out "
            "(--common-cases)"
        )
    text = f"{number} no prediction of any arm and {'were' if len(lost) > 1 else 'was'} left out, as requested."
    return [LeftOut(text, dict.fromkeys(lost, UNPREDICTED))]
