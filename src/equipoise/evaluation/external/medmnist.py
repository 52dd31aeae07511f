"""Read result files of MedMNIST's own Evaluator: scores per image, with the truth in the data set's .npz.

The file's name is `<flag><_size>_<split>_[AUC]0.979_[ACC]0.950@<run>.csv`. The AUC and accuracy in it, if present, are
computed again, which detects scores that belong to another truth or have another order.
Reference: Yang et al., "MedMNIST v2", Scientific Data 2023.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.monai import numbers, score_columns
from equipoise.evaluation.external.reading import Columns, Reading
from equipoise.evaluation.external.table_file import text_rows

KIND = "MedMNIST evaluator CSV"
_NAME = re.compile(r"([a-z0-9]*mnist[a-z0-9]*)(?:_(\d+))?_(train|val|test)(.*)\.csv", re.IGNORECASE)
_METRIC = re.compile(r"\[(AUC|ACC)\](\d\.\d+)")


@dataclass(frozen=True)
class FileName:
    """The parts of a result file's name; `metrics` holds AUC and ACC if the name has them."""

    flag: str
    split: str
    metrics: dict[str, float]
    run: str


def file_name(path: Path) -> FileName | None:
    """Parse a result file's name; None where it does not follow MedMNIST's rule.

    >>> file_name(Path("bloodmnist_64_test_[AUC]0.998_[ACC]0.959@resnet18_1.csv"))
    FileName(flag='bloodmnist_64', split='test', metrics={'AUC': 0.998, 'ACC': 0.959}, run='resnet18_1')
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    flag, size, split, rest = match.groups()
    metrics = {name: float(value) for name, value in _METRIC.findall(rest)}
    return FileName(f"{flag}_{size}" if size else flag, split.lower(), metrics, rest.rpartition("@")[2])


def read_scores(path: Path, options: AuditOptions) -> Reading:
    """Read scores and truth of one result file; cases are named `test-000000` …, as in the cohort `medmnist`."""
    name = file_name(path)
    if name is None:
        raise PredictionError(f"{path} is not named as MedMNIST names its results; rename it to FLAG_test@RUN.csv")
    if name.split != "test":
        raise PredictionError(f"{path} holds scores of the part {name.split!r}; a verdict needs those of 'test'")
    truth = _truth(path, options.truth, name)
    rows, digest = text_rows(path)
    values = numbers([row[1:] for row in rows], path)
    place = numbers([row[:1] for row in rows], path)[:, 0]
    order = np.argsort(place, kind="stable")
    if not np.array_equal(place[order], np.arange(len(truth))):
        raise PredictionError(
            f"{path} has {len(rows)} rows and {options.truth} the labels of {len(truth)} {name.split} images; give the "
            "data set that was scored"
        )
    scores = score_columns(values[order], options.classes, path)
    classes = [column.removeprefix("score_") for column in scores]
    if truth.max() >= len(classes):
        raise PredictionError(f"{path} has scores of {len(classes)} classes, the truth a label {truth.max()}; add them")
    _check(path, name, truth, np.stack(list(scores.values()), axis=1))
    columns: Columns = {"case": np.array([f"{name.split}-{index:06d}" for index in range(len(truth))])}
    columns |= {"truth": np.array(classes)[truth], **scores}
    return Reading(str(path), KIND, columns, (), digest)


def _truth(path: Path, file: Path | None, name: FileName) -> NDArray[np.int64]:
    if file is None or file.suffix != ".npz":
        raise PredictionError(f"{path} holds scores without the truth; give the MedMNIST file {name.flag}.npz as truth")
    labels = ArrayFile(file)[f"{name.split}_labels"]
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise PredictionError(
            f"{file} has {labels.shape[1]} labels per image, and an audit compares one at a time; save a table with "
            "the columns case, truth and score_<class> for one of them"
        )
    if labels.dtype.kind not in "bui" or not labels.size:
        raise PredictionError(f"{file} has no whole numbers as {name.split}_labels; download it again")
    return labels.reshape(-1).astype(np.int64)


def _check(path: Path, name: FileName, truth: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
    """Refuse scores whose AUC or accuracy with this truth is not the one in the file's name (three decimals)."""
    # Just above half a unit of the third decimal, the largest error of rounding.
    two = scores.shape[1] == 2
    called = scores[:, 1] > 0.5 if two else scores.argmax(axis=1)
    computed = {"ACC": float(np.mean(called == truth))}
    positives = [1] if two else range(scores.shape[1])
    if len(np.unique(truth)) == scores.shape[1]:
        computed["AUC"] = float(np.mean([_auc(truth == index, scores[:, index]) for index in positives]))
    for what, value in computed.items():
        named = name.metrics.get(what)
        if named is not None and abs(named - value) > 0.00051:
            raise PredictionError(
                f"{path}: its name says {what} {named:.3f}, and beside this truth it is {value:.3f}; give the data set "
                "that was scored, or rename the file if its name is wrong"
            )


def _auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata  # a third of a second that every command would pay

    n, ranks = int(positive.sum()), rankdata(score)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))
