"""Which true mask belongs to which predicted one, by the names of files; nothing is measured here.

A folder of predictions beside a folder of truth is one arm; so is a folder of pairs `CASE_pred`, `CASE_label`. Where
pairs are named `ARM_CASE` and the same CASE stands behind several ARMs, each of them is an arm.
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
    """One prediction with its truth; arm "" where the folder or the caller names it."""

    arm: str
    case: str
    prediction: Path
    truth: Path


def pairs_with(predictions: Sequence[Path], truth: Path) -> tuple[list[MaskPair], list[str]]:
    """Each prediction with the true mask of its name, and the names of true masks that no prediction has."""
    true = _by_case([path for path in sorted(truth.iterdir()) if is_mask(path)] if truth.is_dir() else [truth])
    said = _by_case(predictions)
    if len(true) == len(said) == 1 and not truth.is_dir():
        case = next(iter(true))
        return [MaskPair("", case, next(iter(said.values())), truth)], []
    lost = [said[case] for case in said if case not in true]
    if lost:
        raise PredictionError(f"{lost[0]} has no true mask of its name in {truth}; add it, or remove the prediction")
    return [MaskPair("", case, said[case], true[case]) for case in said], [case for case in true if case not in said]


def pairs_among(files: Sequence[Path], *, one_arm: bool = False) -> tuple[list[MaskPair], list[str]]:
    """The pairs among files named by their ends (`_pred`, `_label` …), and notes on how names were understood.

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
    true = _truths({path.parent for path in files})
    for place, path in predicted.items():
        if place not in true:
            raise PredictionError(f"{path} has no true mask beside it; add {place[1]}_label, or name the truth")
    if not predicted:
        raise PredictionError(f"{files[0]} and the masks beside it are all truths; add the predictions, as CASE_pred")
    pairs = [MaskPair("", case, path, true[folder, case]) for (folder, case), path in sorted(predicted.items())]
    return (pairs, []) if one_arm else _arms_in_names(pairs)


def _truths(folders: set[Path]) -> dict[tuple[Path, str], Path]:
    """Folder and case → true mask, of files whose names say that they are truths."""
    found = {}
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        case, kind = _case_and_kind(path)
        if kind == "true":
            found[path.parent, case] = path
    return found


def is_truth_folder(path: Path) -> bool:
    """Whether a folder's name says that it holds true masks."""
    return path.is_dir() and path.name.lower() in _TRUTH_FOLDERS


def has_pairs(files: Sequence[Path]) -> bool:
    """Whether names in a folder speak of predictions and of truths."""
    kinds = {_case_and_kind(path)[1] for path in files}
    return {"predicted", "true"} <= kinds


def _case_and_kind(path: Path) -> tuple[str, str | None]:
    found = _ENDING.fullmatch(stem(path.name))
    if found is None or not is_mask(path):
        return stem(path.name), None
    return found[1], "predicted" if found[2] else "true"


def _by_case(files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        case = _case_and_kind(path)[0]
        if case in found:
            raise PredictionError(f"{found[case]} and {path} are both of case {case!r}; keep one file for each case")
        found[case] = path
    return found


def _arms_in_names(pairs: list[MaskPair]) -> tuple[list[MaskPair], list[str]]:
    """Arm and case from names such as UNet_case7, where names show that prefixes are arms."""
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
