"""Align the test rows of every arm and seed case by case, so that they can be paired.

The order depends on names only, never on the order of rows, so equal predictions give equal numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import PredictionError
from equipoise.evaluation.candidate_table import FINDINGS, CandidateTable
from equipoise.evaluation.detection import Marks
from equipoise.evaluation.predictions import Predictions
from equipoise.statistics.reasons import Reason

Rows = NDArray[np.int64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """The test cases of one fold: scores (columns, n, classes), metrics (columns, n), patient and truth (n,).

    marks: of a detector, the candidates of each column, whose scans are the cases.
    """

    number: int
    case: NDArray[np.str_]
    patient: NDArray[np.int64]
    truth: NDArray[np.int64]
    scores: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    marks: tuple[Marks, ...] = ()

    def only(self, columns: NDArray[np.bool_]) -> "Fold":
        """Return the fold with some of its columns."""
        metrics = {name: values[columns] for name, values in self.metrics.items()}
        marks = tuple(own for own, keep in zip(self.marks, columns, strict=True) if keep) if self.marks else ()
        return replace(self, scores=self.scores[columns], metrics=metrics, marks=marks)

    def of_cases(self, keep: NDArray[np.bool_]) -> "Fold":
        """Return the fold with some of its cases."""
        metrics = {name: values[:, keep] for name, values in self.metrics.items()}
        marks = tuple(own.of_scans_where(keep) for own in self.marks)
        kept = self.case[keep], self.patient[keep], self.truth[keep], self.scores[:, keep]
        return Fold(self.number, *kept, metrics, marks)


@dataclass(frozen=True)
class Panel:
    """Aligned predictions; column c of every fold belongs to `arm[c]`, `seed[c]`.

    `faults` holds the reason for every arm that cannot be paired with the others; such arms have no columns.
    `repeated` names, per arm, the seeds of each training run where several were one (see `repeated_runs`).
    """

    arm: tuple[str, ...]
    seed: tuple[int, ...]
    folds: tuple[Fold, ...]
    classes: tuple[str, ...]
    n_patients: int
    n_cases: int
    faults: dict[str, Reason] = field(default_factory=dict)
    warnings: tuple[Reason, ...] = ()
    repeated: dict[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)

    def columns(self, arm: str) -> NDArray[np.int64]:
        """Return the column numbers of one arm, in order of seed."""
        return self._places.get(arm, np.empty(0, dtype=np.int64))

    @cached_property
    def _places(self) -> dict[str, NDArray[np.int64]]:
        """The columns of each arm, found once: a family of many pairs asks for them often."""
        names = np.array(self.arm, dtype=object)
        return {arm: np.flatnonzero(names == arm) for arm in dict.fromkeys(self.arm)}


def align(predictions: Predictions, *, arms: Sequence[str] = (), common_cases: bool = False) -> Panel:
    """Align the rows of split "test"; `arms` fixes the order (else by name).

    A case that some arm lacks is a fault of that arm; with `common_cases` it is left out for all, with a warning.
    """
    rows = np.flatnonzero(predictions.split == "test")
    if not len(rows):
        raise PredictionError(
            "the predictions have no row of split 'test'; a verdict needs test predictions of every arm"
        )
    blocks = _blocks(predictions, rows)
    # By name and not by first occurrence, so that sorting the table's rows changes no number.
    order = list(arms) or sorted({arm for arm, _, _ in blocks})
    unknown = sorted({arm for arm, _, _ in blocks} - set(order))
    if unknown:
        raise PredictionError(f"the predictions hold an arm {unknown[0]!r} that is not among {', '.join(order)}")
    folds = sorted({fold for _, _, fold in blocks})
    columns, faults, warnings = _complete(blocks, order, folds)
    layouts = {fold: _Layout(predictions, {k: v for k, v in blocks.items() if k[2] == fold}) for fold in folds}
    if common_cases:
        warnings += [w for layout in layouts.values() for w in layout.keep_common(columns)]
    for (arm, seed), fold in [(column, fold) for column in columns for fold in folds]:
        lacking = layouts[fold].lacking(arm, seed)
        if lacking and arm not in faults:
            faults[arm] = lacking
    kept = [column for column in columns if column[0] not in faults]
    return _assemble(predictions, layouts, kept, faults, warnings)


def _assemble(
    predictions: Predictions,
    layouts: dict[int, "_Layout"],
    columns: list[tuple[str, int]],
    faults: dict[str, Reason],
    warnings: list[Reason],
) -> Panel:
    names = [layout.patient for layout in layouts.values()]
    patients, codes = np.unique(np.concatenate(names), return_inverse=True)
    cases = np.unique(np.concatenate([layout.case for layout in layouts.values()]))
    splits = np.split(codes, np.cumsum([len(n) for n in names])[:-1])
    folds = tuple(
        layout.fold(predictions, number, columns, patient)
        for (number, layout), patient in zip(layouts.items(), splits, strict=True)
    )
    arm, seed = tuple(a for a, _ in columns), tuple(s for _, s in columns)
    return Panel(arm, seed, folds, predictions.classes, len(patients), len(cases), faults, tuple(warnings))


def _complete(
    blocks: dict[tuple[str, int, int], Rows], order: Sequence[str], folds: list[int]
) -> tuple[list[tuple[str, int]], dict[str, Reason], list[Reason]]:
    """Return the columns that tested every fold; seeds with a missing fold (failed jobs) are named and not used."""
    columns: list[tuple[str, int]] = []
    faults: dict[str, Reason] = {}
    warnings: list[Reason] = []
    for arm in order:
        seeds = sorted({seed for name, seed, _ in blocks if name == arm})
        for seed in seeds:
            absent = [fold for fold in folds if (arm, seed, fold) not in blocks]
            if absent:
                warnings.append(Reason("missing_fold", arm=arm, seed=seed, fold=absent[0]))
            else:
                columns.append((arm, seed))
        if not any(name == arm for name, _ in columns):
            faults[arm] = Reason("no_finished_seed", arm=arm)
    return columns, faults, warnings


def _codes(values: NDArray[np.generic]) -> tuple[NDArray[np.generic], Codes]:
    """Return np.unique with inverse, sorting only the starts of runs of equal values."""
    # Rows usually come in blocks, and sorting text is slow: only the first row of each block has to be sorted.
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    names, inverse = np.unique(values[starts], return_inverse=True)
    return names, np.repeat(inverse, np.diff(np.append(starts, len(values))))


def _blocks(predictions: Predictions | CandidateTable, rows: Rows) -> dict[tuple[str, int, int], Rows]:
    """Return the row numbers of every (arm, seed, fold)."""
    whole = len(rows) == len(predictions)
    parts = [_codes(c if whole else c[rows]) for c in (predictions.arm, predictions.seed, predictions.fold)]
    (arms, arm), (seeds, seed), (folds, fold) = parts
    key = (arm * len(seeds) + seed) * len(folds) + fold
    if np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key, rows = key[order], rows[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    blocks = {}
    for start, stop in zip(starts, np.append(starts[1:], len(key)), strict=True):
        rest, f = divmod(int(key[start]), len(folds))
        a, s = divmod(rest, len(seeds))
        blocks[(str(arms[a]), int(seeds[s]), int(folds[f]))] = rows[start:stop]
    return blocks


class _Layout:
    """The cases of one fold in order of name, and the rows of every (arm, seed) in that order."""

    def __init__(self, predictions: Predictions, blocks: dict[tuple[str, int, int], Rows]) -> None:
        self._rows: dict[tuple[str, int], Rows] = {}
        self._case: dict[tuple[str, int], NDArray[np.str_]] = {}
        met: list[tuple[NDArray[np.str_], Rows, NDArray[np.str_]]] = []  # row orders so far: most blocks repeat one
        for (arm, seed, fold), rows in blocks.items():
            case = _take(predictions.case, rows)
            same = next((m for m in met if len(m[0]) == len(case) and np.array_equal(m[0], case)), None)
            if same is None:
                order = np.argsort(case, kind="stable")
                same = (case, order, case[order])
                met.append(same)
                _refuse_duplicates(same[2], arm, seed, fold)
            self._rows[arm, seed], self._case[arm, seed] = rows[same[1]], same[2]
        self.case = np.unique(np.concatenate([m[2] for m in met]))
        self._check(predictions)

    def _check(self, predictions: Predictions) -> None:
        """Take every case's patient and truth from the first column that has it; raise where another one differs."""
        # -2 marks a case that no column has shown yet; -1 already means a case without a class.
        n = len(self.case)
        self.patient = np.full(n, "", dtype=predictions.patient.dtype)
        self.truth = np.full(n, -2, dtype=np.int64)
        for (arm, seed), rows in self._rows.items():
            at = self._positions(arm, seed)
            patient, truth = predictions.patient[rows], predictions.truth[rows]
            known = self.truth[at] != -2
            for what, mine, theirs in (("truth", truth, self.truth[at]), ("patient", patient, self.patient[at])):
                differ = np.flatnonzero(known & (mine != theirs))
                if len(differ):
                    raise PredictionError(
                        f"case {self.case[at][differ[0]]!r} has another {what} in arm {arm!r}, seed {seed}, than in "
                        f"the arms before it ({len(differ)} cases differ); give every arm the same table of cases"
                    )
            self.patient[at], self.truth[at] = patient, truth

    def _positions(self, arm: str, seed: int) -> NDArray[np.int64]:
        case = self._case[arm, seed]
        return np.arange(len(case)) if len(case) == len(self.case) else np.searchsorted(self.case, case)

    def lacking(self, arm: str, seed: int) -> Reason | None:
        """Return the reason that names missing cases; None where none is missing."""
        if len(self._rows[arm, seed]) == len(self.case):
            return None
        absent = np.setdiff1d(self.case, self._case[arm, seed])
        several = sum(one == arm for one, _ in self._rows) > 1
        return Reason(
            "missing_cases",
            arm=arm,
            seed=seed if several else None,
            missing=len(absent),
            cases=len(self.case),
            first=str(absent[0]),
        )

    def keep_common(self, columns: list[tuple[str, int]]) -> list[Reason]:
        """Leave out cases that any of the columns lacks; return a warning with their number."""
        present = np.ones(len(self.case), dtype=bool)
        for arm, seed in columns:
            present &= np.isin(self.case, self._case[arm, seed]) if self.lacking(arm, seed) else True
        lost = int((~present).sum())
        if not lost:
            return []
        kept = self.case[present]
        for arm, seed in columns:
            mine = np.isin(self._case[arm, seed], kept)
            self._case[arm, seed] = self._case[arm, seed][mine]
            self._rows[arm, seed] = self._rows[arm, seed][mine]
        total = len(self.case)
        self.case, self.patient, self.truth = kept, self.patient[present], self.truth[present]
        return [Reason("cases_left_out", lost=lost, cases=total)]

    def fold(
        self, predictions: Predictions, number: int, columns: list[tuple[str, int]], patient: NDArray[np.int64]
    ) -> Fold:
        """Return the numbers of the given columns in the common order."""
        rows = [self._rows[column] for column in columns]
        n, classes = len(self.case), len(predictions.classes)
        scores = np.empty((len(rows), n, classes))
        metrics = {name: np.empty((len(rows), n)) for name in predictions.metrics}
        for c, mine in enumerate(rows):
            scores[c] = predictions.scores[mine]
            for name, values in metrics.items():
                values[c] = predictions.metrics[name][mine]
        marks = self._marks(predictions, number, columns, metrics)
        return Fold(number, self.case, patient, self.truth, scores, metrics, marks)

    def _marks(
        self,
        predictions: Predictions,
        number: int,
        columns: list[tuple[str, int]],
        metrics: dict[str, NDArray[np.float64]],
    ) -> tuple[Marks, ...]:
        """Return each column's candidates of the cases; a detector without any candidate has an empty list."""
        table = predictions.candidates
        if table is None:
            return ()
        differ = np.flatnonzero((metrics[FINDINGS] != metrics[FINDINGS][:1]).any(axis=0))
        if len(differ):
            raise PredictionError(
                f"case {str(self.case[differ[0]])!r} has another number of findings in one arm than in another "
                f"({len(differ)} cases differ); give every arm the same truth"
            )
        tested = np.flatnonzero(table.split == "test")
        blocks = _blocks(table, tested) if len(tested) else {}
        rows = [blocks.get((arm, seed, number), np.empty(0, dtype=np.int64)) for arm, seed in columns]
        return tuple(table.where(own).marks(self.case, metrics[FINDINGS][c]) for c, own in enumerate(rows))


def _take(values: NDArray[np.str_], rows: Rows) -> NDArray[np.str_]:
    """Return values[rows], as a view where the rows are consecutive."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and np.all(np.diff(rows) == 1):
        return values[rows[0] : rows[-1] + 1]
    return values[rows]


def _refuse_duplicates(case: NDArray[np.str_], arm: str, seed: int, fold: int) -> None:
    twice = np.flatnonzero(case[1:] == case[:-1])
    if len(twice):
        raise PredictionError(
            f"case {str(case[twice[0]])!r} has more than one test row in arm {arm!r}, seed {seed}, fold {fold}; "
            "keep one row for each case"
        )
