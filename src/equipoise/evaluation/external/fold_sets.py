"""Check that the folds of a table are folds: every case is tested equally often, and no patient lies in two of them.

Outside the fold that tests a case its networks were trained on it: a patient whose cases lie in two folds was trained
on before being tested, and a case that is tested more often than others makes the number of folds wrong.
"""

from collections import Counter, defaultdict

import numpy as np

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions


def whole_folds(table: Predictions, *, allowed: bool) -> list[str]:
    """Refuse folds that share some cases, or that divide a patient; note the latter where it is `allowed`.

    Folds dealt again and again (repeats) test every case several times, and then all of a patient's together.
    """
    test = table.where(table.split == "test")
    if len(np.unique(test.fold)) < 2:
        return []
    for arm, seed in dict.fromkeys(zip(test.arm.tolist(), test.seed.tolist(), strict=True)):
        run = test.where((test.arm == arm) & (test.seed == seed))
        _refuse_unequal(run, f"arm {arm!r}, seed {seed}")
        divided = _divided(run)
        if not divided:
            continue
        patient, (case, fold), (other, other_fold) = divided[0]
        text = (
            f"patient {patient!r} has case {case!r} in fold {fold} and case {other!r} in fold {other_fold} "
            f"({len(divided)} patients are divided like this)"
        )
        if not allowed:
            raise PredictionError(
                f"{text}: networks that tested one of them had been trained on the other; assign folds by patient, or "
                "continue anyway (--allow-trained)"
            )
        return [f"{text[0].upper()}{text[1:]}, which was allowed: the results are too optimistic for new patients."]
    return []


def _refuse_unequal(run: Predictions, where: str) -> None:
    """Refuse cases that are tested more often than others of the same run."""
    # Twice in one fold is a repeated row, which alignment names.
    rows = set(zip(run.case.tolist(), run.fold.tolist(), strict=True))
    times = Counter(case for case, _ in rows)
    often = max(times.values())
    fewest = min(times.values())
    if often == fewest:
        return
    case = min(one for one, count in times.items() if count == often)
    first, second = sorted(fold for one, fold in rows if one == case)[:2]
    raise PredictionError(
        f"case {case!r} is tested in fold {first} and in fold {second} of {where}, and other cases in {fewest} of the "
        "folds; in folds each case is tested equally often: remove it from one, or number training runs as seeds"
    )


def _divided(run: Predictions) -> list[tuple[str, tuple[str, int], tuple[str, int]]]:
    """Return patients with two cases that lie in different folds, and these cases with a fold of each."""
    folds: dict[str, set[int]] = defaultdict(set)
    owner = dict(zip(run.case.tolist(), run.patient.tolist(), strict=True))
    for case, fold in zip(run.case.tolist(), run.fold.tolist(), strict=True):
        folds[case].add(fold)
    first: dict[str, str] = {}
    divided = {}
    for case in sorted(folds):
        patient = owner[case]
        before = first.setdefault(patient, case)
        if folds[case] != folds[before] and patient not in divided:
            apart = min(folds[before] - folds[case]), min(folds[case] - folds[before])
            divided[patient] = (patient, (before, apart[0]), (case, apart[1]))
    return list(divided.values())
