"""Pair predicted masks with true ones by the names of their files.

A folder of predictions with a folder of truths is one arm; so is a folder of pairs `CASE_pred`, `CASE_label`. Where
pairs are named `ARM_CASE` and the same CASE follows several ARMs, each ARM is an arm.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from equipoise.errors import PredictionError
from equipoise.evaluation.external.mask_file import is_mask, read_mask
from equipoise.evaluation.external.reading import stem

_PREDICTED = ("pred", "preds", "prediction", "predicted", "predictions", "output", "trans")
_TRUE = ("label", "labels", "gt", "truth", "true", "groundtruth", "ref", "reference", "seg", "mask")
_ENDING = re.compile(rf"(.*?)[_.-](?:({'|'.join(_PREDICTED)})|({'|'.join(_TRUE)}))", re.IGNORECASE)
_TRUTH_FOLDERS = {"truth", "truths", "gt", "groundtruth", "ground_truth", "labels", "labelsts", "labelstr", "reference"}


@dataclass(frozen=True)
class MaskPair:
    """One prediction with its truth; arm is "" where the folder or the caller names it."""

    arm: str
    case: str
    prediction: Path
    truth: Path


def pairs_with(predictions: Sequence[Path], truth: Path) -> tuple[list[MaskPair], list[str]]:
    """Pair each prediction with the true mask of its name; also return the names of true masks without a prediction."""
    true = _by_case([path for path in sorted(truth.iterdir()) if is_mask(path)] if truth.is_dir() else [truth])
    predicted = _by_case(predictions)
    if len(true) == len(predicted) == 1 and not truth.is_dir():
        case = next(iter(true))
        return [MaskPair("", case, next(iter(predicted.values())), truth)], []
    lost = [predicted[case] for case in predicted if case not in true]
    if lost:
        raise PredictionError(f"{lost[0]} has no true mask of its name in {truth}; add it, or remove the prediction")
    return [MaskPair("", case, predicted[case], true[case]) for case in predicted], [
        case for case in true if case not in predicted
    ]


def pairs_among(files: Sequence[Path], *, one_arm: bool = False) -> tuple[list[MaskPair], list[str]]:
    """Pair files by the endings of their names (`_pred`, `_label` …); notes explain how names were read.

    one_arm: the caller has named the arm, so names of files are names of cases.
    """
    predicted: dict[tuple[Path, str], Path] = {}
    for path in files:
        case, kind = _case_and_kind(path)
        if kind is None:
            raise PredictionError(
                f"{path} is a mask without a truth; name its folder of true masks, or call pairs CASE_pred and "
                "CASE_label"
            )
        if (path.parent, case) in predicted and kind == "predicted":
            raise PredictionError(f"{predicted[path.parent, case]} and {path} are both of case {case!r}; keep one")
        if kind == "predicted":
            predicted[path.parent, case] = path
    # Truths are searched in the folders, not among `files`: a caller may name the predictions alone.
    true = _truths({path.parent for path in files})
    for place, path in predicted.items():
        if place not in true:
            raise PredictionError(f"{path} has no true mask beside it; add {place[1]}_label, or name the truth")
    if not predicted:
        raise PredictionError(f"{files[0]} and the masks beside it are all truths; add the predictions, as CASE_pred")
    pairs = [MaskPair("", case, path, true[folder, case]) for (folder, case), path in sorted(predicted.items())]
    return (pairs, []) if one_arm else _arms_in_names(pairs)


def _truths(folders: set[Path]) -> dict[tuple[Path, str], Path]:
    """Map (folder, case) to the true mask, for files with a name of a truth."""
    truths = {}
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        case, kind = _case_and_kind(path)
        if kind == "true":
            truths[path.parent, case] = path
    return truths


def is_truth_folder(path: Path) -> bool:
    """Whether a folder has a name of true masks."""
    return path.is_dir() and path.name.lower() in _TRUTH_FOLDERS


def has_pairs(files: Sequence[Path]) -> bool:
    """Whether a folder holds names of predictions and of truths."""
    kinds = {_case_and_kind(path)[1] for path in files}
    return {"predicted", "true"} <= kinds


def _case_and_kind(path: Path) -> tuple[str, str | None]:
    match = _ENDING.fullmatch(stem(path.name))
    if match is None or not is_mask(path):
        return stem(path.name), None
    return match[1], "predicted" if match[2] else "true"


def _by_case(files: Sequence[Path]) -> dict[str, Path]:
    file_of: dict[str, Path] = {}
    for path in files:
        case = _case_and_kind(path)[0]
        if case in file_of:
            raise PredictionError(f"{file_of[case]} and {path} are both of case {case!r}; keep one file for each case")
        file_of[case] = path
    return file_of


def _arms_in_names(pairs: list[MaskPair]) -> tuple[list[MaskPair], list[str]]:
    """Split names such as UNet_case7 into arm and case, where the names show that prefixes are arms."""
    # A prefix before "_" may as well belong to the case (liver_001): only equal truths behind equal rests show that
    # several arms predicted one case.
    split = [pair.case.partition("_") for pair in pairs]
    cases = [rest for _, _, rest in split]
    if len(pairs) < 2 or len(set(cases)) == len(cases):
        return pairs, []
    truths = [_content(pair.truth) for pair in pairs]
    if "" in cases and len(set(truths)) > 1:  # plain names and several truths: cases of one arm
        return pairs, []
    named, apart = [], []
    for pair, (arm, _, rest) in zip(pairs, split, strict=True):
        own = [truth for truth, case in zip(truths, cases, strict=True) if case == rest]
        shared = len(own) > 1 and len(set(own)) == 1
        apart += [rest] if len(set(own)) > 1 else []
        named.append(replace(pair, arm=arm, case=(rest or "case") if shared else pair.case))
    notes = ["The names of the mask pairs were read as ARM_CASE; where that is wrong, state the arm (arm=folder)."]
    if apart:
        notes.append(
            f"{cases.count(apart[0])} pairs are named {apart[0]} and have different truths, so they were taken for "
            "different cases."
        )
    return named, notes


def _content(path: Path) -> str:
    mask = read_mask(path)
    return hashlib.sha256(repr((mask.voxels.shape, mask.channels)).encode() + mask.voxels.tobytes()).hexdigest()
