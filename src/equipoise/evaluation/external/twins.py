"""Cases of different patients that are one: copies of an image, or images of one person, that count as patients.

Three rules, from certain to likely. Equal numbers in every run of every arm are one image. Numbers that are nearly
equal, more often than chance brings cases together, are copies with noise. Patients whose names are one stem with a
side, a view or a number, and whose scores agree within the stem, are images of one person (`person_names`).
"""

from dataclasses import replace

import numpy as np
from scipy.stats import rankdata

from equipoise.errors import PredictionError
from equipoise.evaluation.external.case_numbers import CaseNumbers, Floats, Ints, one_name
from equipoise.evaluation.external.person_names import joined_by_name
from equipoise.evaluation.predictions import Predictions

WIDEST = 32
"""Ranks between two cases up to which they are compared; as many copies of one image are recognised."""
FEWEST_PAIRS = 8
_MOST_TIMES = 4
SURE = 6.0
"""Standard deviations of a binomial count. Pairs depend on each other, which doubles or trebles its deviation."""


def joined_twins(table: Predictions) -> tuple[Predictions, list[str]]:
    """Give patients whose cases are one image, or whose names and scores are those of one person, one name.

    Returns the table and a note for each rule that joined any. Raises PredictionError where cases of different patients
    are nearly equal more often than chance allows, because nothing says then which of them are one.
    """
    names, notes = _equal(_numbers(table))
    table = _renamed(table, names)
    # Again: of images that have a study, a view and a number, the last is recognised first.
    for _ in range(_MOST_TIMES):
        names, more = joined_by_name(_numbers(table), set(table.patient.tolist()))
        table = _renamed(table, names)
        notes += more
        if not names:
            break
    _refuse_near(_numbers(table))
    return table, notes


def _numbers(table: Predictions) -> CaseNumbers:
    return CaseNumbers.of(table.where(table.split == "test"))


def _renamed(table: Predictions, names: dict[str, str]) -> Predictions:
    if not names:
        return table
    return replace(table, patient=np.array([names.get(one, one) for one in table.patient.tolist()]))


def _equal(numbers: CaseNumbers) -> tuple[dict[str, str], list[str]]:
    """Join patients with a case whose numbers are equal in every run; numbers that cases share by chance say nothing.

    Returns the new name of every patient that gets another, and notes.
    """
    if numbers.telling.shape[1] < 2:
        return {}, []
    group = np.unique(numbers.values, axis=0, return_inverse=True, equal_nan=False)[1].ravel()
    names = one_name(numbers.patient, group)
    if not names:
        return {}, []
    twins = [one for one in _members(group) if len(set(numbers.patient[one].tolist())) > 1]
    first = sorted(numbers.case[one].tolist() for one in twins)[0]
    note = (
        f"The cases {first[0]!r} and {first[1]!r} of different patients have the same numbers in every run of every "
        f"arm ({sum(map(len, twins))} of {len(numbers.case)} cases have such a twin): an image that occurs twice is "
        f"one patient, so {len(names)} patients were joined with others; give the true patients, or keep one of each."
    )
    return names, [note]


def _members(group: Ints) -> list[Ints]:
    """Return the cases of every group that has several."""
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    return [one for one in np.split(order, ends) if len(one) > 1]


def _refuse_near(numbers: CaseNumbers) -> None:
    """Refuse cases of different patients that lie nearer to each other, in every run, than chance brings them.

    Cases are compared by ranks, which a saturated score does not crowd. Among cases of their own, at most half of the
    pairs within 2w ranks in every run are within w, because they scatter along one line at least; copies with noise lie
    together at either width.
    """
    columns = numbers.telling
    if columns.shape[1] < 2:
        return
    ranks = np.stack([rankdata(one) for one in columns.T], axis=1)
    order = np.argsort(ranks[:, 0], kind="stable")
    widest = min(WIDEST, len(ranks) // 30)
    near = _near(ranks[order], np.unique(numbers.patient, return_inverse=True)[1].ravel()[order], 2 * widest)
    for width in (2**k for k in range(6)):
        inner, outer = int((near[:, 2] <= width).sum()), int((near[:, 2] <= 2 * width).sum())
        excess = inner - 0.5 * outer
        if width <= widest and inner >= FEWEST_PAIRS and excess > SURE * np.sqrt(0.25 * outer):
            a, b = (str(numbers.case[order[int(k)]]) for k in near[np.argmin(near[:, 2]), :2])
            raise PredictionError(
                f"{inner} pairs of cases of different patients, such as {a!r} and {b!r}, have nearly the same numbers "
                f"in every run of every arm, where chance gives at most about {outer // 2}: copies of an image, or "
                "images of one patient, would count as patients; give the true patients (a column patient, or "
                "--patients FILE)"
            )


def _near(ranks: Floats, person: Ints, reach: int) -> Floats:
    """Return (row, row, largest difference of ranks) of pairs of different persons within reach in every column.

    ranks: (cases, columns), in the order of the first column, where a pair within reach is at most so many rows apart.
    """
    pairs = [np.empty((0, 3))]
    for step in range(1, min(reach, len(ranks) - 1) + 1):
        apart = np.abs(ranks[step:] - ranks[:-step])
        # Ties are numbers that many cases share: rounded, or at an end of their range.
        counted = (apart.min(axis=1) > 0) & (apart.max(axis=1) <= reach) & (person[step:] != person[:-step])
        rows = np.flatnonzero(counted)
        pairs.append(np.stack([rows, rows + step, apart[rows].max(axis=1)], axis=1))
    return np.concatenate(pairs)
