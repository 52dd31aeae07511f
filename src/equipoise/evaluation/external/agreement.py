"""Check that all arms predict the same cases with the same truth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions

_TRUTHS = ("truth_voxels", "n_ref")


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
    bad = np.zeros(len(case), dtype=bool)
    for what, differs in checks:
        rows = np.flatnonzero(differs)
        bad[position[rows]] = True
        if len(rows) and not common_cases:
            row, other = rows[0], first[position[rows[0]]]
            told_apart, remedy = "", "give every arm the same truth"
            if what == "patient":
                told_apart = f": {str(table.patient[row])!r} and {str(table.patient[other])!r}"
                remedy = (
                    "give one list of case and patient for all arms (--patients FILE), with the column of ids read as "
                    "the case (--columns case=NAME), or name the patients alike in every table"
                )
            raise PredictionError(
                f"case {str(table.case[row])!r} has another {what} in arm {str(table.arm[row])!r} than in "
                f"{str(table.arm[other])!r}{told_apart} ({len(np.unique(position[rows]))} cases differ); {remedy}, or "
                "leave such cases out (--common-cases)"
            )
    if not bad.any():
        return table, []
    note = f"{int(bad.sum())} of {len(case)} cases have different truths or patients and were left out, as requested."
    return _kept(table, ~bad[position], note)


def common(table: Predictions) -> tuple[Predictions, list[str]]:
    """Keep the test cases that every run of every arm predicted, and whose metrics are defined in some arm."""
    notes: list[str] = []
    test = table.where(table.split == "test")
    undefined = _undefined(test)
    if undefined:
        note = f"{len(undefined)} cases have a value that is not a number in every arm and were left out, as requested."
        table, notes = _kept(table, ~np.isin(table.case, sorted(undefined)), note)
        test = table.where(table.split == "test")
    job = np.stack([test.arm, test.seed.astype(str)], axis=1)
    jobs, number = np.unique(job, axis=0, return_inverse=True)
    case, position = np.unique(test.case, return_inverse=True)
    held = np.zeros((len(case), len(jobs)), dtype=bool)
    # A score that is no number is no prediction, as a row that is not there.
    scored = ~np.isnan(test.scores).any(axis=1)
    held[position[scored], number.ravel()[scored]] = True
    lost = case[~held.all(axis=1)]
    if not len(lost):
        return table, notes
    note = (
        f"{len(lost)} of {len(case)} test cases lack a prediction of some arm and were left out for all, as requested."
    )
    table, more = _kept(table, ~np.isin(table.case, lost), note)
    return table, [*notes, *more]


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


def _undefined(test: Predictions) -> set[str]:
    """Return the cases of which some metric is NaN in every row: undefined by the truth, not by an arm's failure."""
    # A case that is NaN for one arm alone is that arm's failure, and leaving it out would reward it.
    case, position = np.unique(test.case, return_inverse=True)
    undefined: set[str] = set()
    for values in test.metrics.values():
        defined = np.bincount(position, weights=np.isfinite(values), minlength=len(case))
        if defined.any():
            undefined |= set(case[defined == 0].tolist())
    return undefined


def _kept(table: Predictions, rows: NDArray[np.bool_], note: str) -> tuple[Predictions, list[str]]:
    kept = table.where(rows)
    if not (kept.split == "test").any():
        raise PredictionError("the arms have no test case in common, so nothing can be compared; give the same cases")
    return kept, [note]


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
    return [f"{number} no prediction of any arm and {'were' if len(lost) > 1 else 'was'} left out, as requested."]
