"""Whether folders are classes: not where they are called as patients are, hold masks, or recur inside."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from equipoise.cohorts.formats.dicom import find_series
from equipoise.cohorts.formats.file_names import data_folders
from equipoise.cohorts.formats.reading import DICOM, read_any
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.beside import masks_beside
from equipoise.cohorts.layouts.image_names import (
    PARTS,
    image_files,
    is_image_name,
    says_mask,
    says_modality,
    stem_and_ending,
    words,
)
from equipoise.cohorts.layouts.pair_recognition import find_pairs
from equipoise.cohorts.layouts.patients import person_pattern
from equipoise.cohorts.layouts.recognised import Recognised
from equipoise.errors import CohortError
from equipoise.tasks import CLASSIFICATION, task_named

# grade1, grade2 and s01, s02 have the same form; only the word before the number tells classes from cases.
_CLASS_WORDS = frozenset({
    "class", "cls", "grade", "grading", "stage", "level", "score", "type", "category", "cat", "birads",
    "gleason", "isup", "kl",
    "who", "group", "label", "severity", "degree", "rads", "lirads", "pirads", "tirads", "fitzpatrick", "cluster",
})  # fmt: skip
"""Words whose numbers are classes."""
_CASE_WORDS = frozenset({
    "patient", "patients", "pat", "p", "pt", "subject", "subj", "sub", "s", "participant", "person", "donor",
    "volunteer", "case",
    "id", "study", "series", "scan", "exam", "session", "ses", "visit", "fold", "image", "img", "volume", "vol",
    "record",
})  # fmt: skip
"""Words whose numbers are cases."""
_UNLABELLED = frozenset(
    {"unlabeled", "unlabelled", "unannotated", "unlabeleddata", "unlabelleddata", "unsup", "nolabel"}
)
_MOST_CONSECUTIVE = 20
_MOST_UNKNOWN = 10
_LOOKED_AT = 5_000
_PROBED = 12
_READ_OF_A_FOLDER = 3
_FEW_VALUES = 8
"""No photograph or scan holds so few values, and hardly a mask more."""


# KiTS (case_00000), TotalSegmentator (s0000), UCSF-PDGM and BIDS (sub-01) keep a folder for each patient. They were
# once read as classifications of patients, and `check` found nothing wrong, so what is doubtful is asked here.
def find_classes(path: Path, user_settings: Mapping[str, Any]) -> Recognised | None:
    """Recognise a folder per class, or such folders below train, val and test; None for other folders.

    user_settings: `classes` says that these folders are classes, `task` that masks are wanted.
    Raises CohortError where folders are no classes and nothing else is to be read there.
    """
    if task_named(str(user_settings.get("task", CLASSIFICATION.name))).has_masks or {"mask", "images"} & set(
        user_settings
    ):
        return None
    parted = [child for child in data_folders(path) if child.name.lower() in PARTS]
    tops = parted if len(parted) > 1 else [path]
    filled = [child for top in tops for child in data_folders(top) if next(image_files(child), None)]
    names = sorted({child.name for child in filled})
    if "classes" in user_settings:
        filled = [child for child in filled if child.name in user_settings["classes"]]
        names = [name for name in names if name in user_settings["classes"]]
    if len(names) < 2:
        return None
    files = {child: list(itertools.islice(image_files(child), _LOOKED_AT)) for child in filled}
    beside = masks_beside([file for listed in files.values() for file in listed], path)
    if "classes" not in user_settings and _are_no_classes(path, names, files):
        return None
    given = (
        {PARTS[top.name.lower()] for top in tops if any(child.parent == top for child in filled)}
        if len(tops) > 1
        else set()
    )
    images = [file for listed in files.values() for file in _of_cases(set(listed) - set(beside))]
    pattern = person_pattern(file.relative_to(path).as_posix() for file in images)
    patients = {"patient_pattern": pattern} if pattern else {}
    known = bool(pattern) or _headers_name_patients(images)
    scheme = "given" if {"train", "test"} <= given else "holdout"
    listed = sorted(images)
    return Recognised(
        "folders", CLASSIFICATION.name, scheme, known, patients, tuple(listed[:: max(1, -(-len(listed) // _PROBED))]),
        remarks=_remarks(beside, path),
    )  # fmt: skip


def _remarks(masks: Sequence[Path], path: Path) -> tuple[str, ...]:
    if not masks:
        return ()
    return (
        f"left out: {len(masks)} masks beside their images; to read them as well:",
        f"equipoise init {quote(str(path))} --set task=segmentation",
    )


def _are_no_classes(path: Path, names: Sequence[str], files: Mapping[Path, Sequence[Path]]) -> bool:
    """Return whether the folders hold images and their masks, which another source reads.

    Raises CohortError where they are cases without masks, or masks without images.
    """
    masked = [name for name in names if says_mask(name)]
    pairs = find_pairs(path) if _any_mask(files) or masked else None
    # A mask's pattern that begins with {group} lies in folders without numbers in their names (benign, malignant of
    # BUSI): these are classes although they hold masks.
    if pairs is not None and not re.match(r"(\{part\}/|[^{]*/)?\{group\}/", str(pairs.settings["mask"])):
        return True
    if masked and len(masked) < len(names):
        raise CohortError(
            f"{path} has a folder {masked[0]}, which is not a class, and its masks match no image by name; list "
            "images and masks in a manifest.csv"
        )
    if _named_as_cases(names) or _hold_channels(files):
        shown = ", ".join(names[:3])
        classes = "[" + ", ".join(f'"{name}"' for name in names[:2]) + ", …]"
        raise CohortError(
            f"{path} has folders that look like one for each case or patient ({shown} …), not for each class, and "
            f"no masks in "
            f"them; list the cases with their labels in a manifest.csv, or if they are classes say so: "
            f"`equipoise init {quote(str(path))} --set classes='{classes}'`."
        )
    _refuse_unlabelled(path, names)
    _refuse_masks_by_content(path, files)
    return False


def _refuse_unlabelled(path: Path, names: Sequence[str]) -> None:
    """Refuse a folder of what nobody labelled, which would be a class that a network learns to tell."""
    without = [name for name in names if "".join(words(name)) in _UNLABELLED]
    if without:
        classes = "[" + ", ".join(f'"{name}"' for name in names if name not in without) + "]"
        raise CohortError(
            f"{path} has a folder {without[0]}, whose name is not that of a class; say which folders are classes: "
            f"`equipoise init {quote(str(path))} --set classes='{classes}'`."
        )


def _refuse_masks_by_content(path: Path, files: Mapping[Path, Sequence[Path]]) -> None:
    """Refuse folders of which some hold pictures and others hold what masks hold, whatever their names are."""
    # Names cannot tell all of them: a folder A of images beside a folder B of their masks was a classification "A
    # against B", which any network solves. Where all folders hold few values, such as shapes, nothing speaks of masks.
    probed = list(files)[:: max(1, -(-len(files) // _PROBED))]
    counts = {folder: _counts_of_values(files[folder]) for folder in probed}
    flat = sorted({f.name for f, n in counts.items() if n and max(n) <= _FEW_VALUES and max(n) > 1})
    rich = sorted({f.name for f, n in counts.items() if n and min(n) > _FEW_VALUES})
    if flat and rich:
        classes = "[" + ", ".join(f'"{name}"' for name in sorted({f.name for f in files})[:4]) + "]"
        raise CohortError(
            f"{path} has a folder {flat[0]} whose images hold at most {_FEW_VALUES} values, as masks do, beside "
            f"{rich[0]} with images; if they are masks, rename the folder masks and {rich[0]} images, or list both in "
            "a manifest.csv; if they are classes say so: "
            f"`equipoise init {quote(str(path))} --set classes='{classes}'`."
        )


def _counts_of_values(files: Sequence[Path]) -> list[int]:
    """Return how many values some of the pictures and volumes hold; files of DICOM are images and are not read."""
    named = [file for file in files if is_image_name(file.name) and file.suffix.lower() not in DICOM]
    counts = []
    for file in named[:: max(1, -(-len(named) // _READ_OF_A_FOLDER))]:
        with suppress(RefusedFile):  # `equipoise check` names it
            counts.append(len(np.unique(read_any(file, nonfinite="zero").array)))
    return counts


def _any_mask(files: Mapping[Path, Sequence[Path]]) -> bool:
    return any(
        says_mask(stem_and_ending(file.relative_to(folder).as_posix())[0])
        for folder, listed in files.items()
        for file in listed
    )


def _named_as_cases(names: Sequence[str]) -> bool:
    """Return whether folders are called as cases are: a word and a number that differs, or long numbers.

    >>> [_named_as_cases(names) for names in (["s01", "s02"], ["grade1", "grade2"], ["0", "1", "2"], ["1023", "4711"])]
    [True, False, False, True]
    """
    # BIDS puts these two beside its subjects; as they have no number, they would hide that all others are patients.
    names = [name for name in names if name.lower() not in ("derivatives", "sourcedata")]
    digits = [re.findall(r"\d+", name) for name in names]
    if not all(digits):
        return False
    # Grades and classes have one or two digits; four and more are an id, whatever word stands before them.
    if all(sum(map(len, numbers)) >= 4 for numbers in digits):
        return True
    kinds = {tuple(word for word in words(name) if not word.isdigit()) for name in names}
    flat = {word for each in kinds for word in each}
    if flat & _CLASS_WORDS:
        return False
    if flat & _CASE_WORDS:
        return True
    if not flat:
        # Bare numbers without a gap from 0 or 1 on are how classes are called that nobody named; a gap or many of them
        # speaks for cases.
        numbers = sorted(int(number[0]) for number in digits)
        consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] <= 1
        return not consecutive or len(numbers) > _MOST_CONSECUTIVE
    return len(kinds) == 1 and len(names) > _MOST_UNKNOWN


def _hold_channels(files: Mapping[Path, Sequence[Path]]) -> bool:
    """Return whether the same names of modalities, and nothing else, recur in every folder."""
    recurring = [
        frozenset(re.sub(r"[-_. ]+", " ", stem_and_ending(file.name)[0].replace(folder.name, "")).strip().lower()
                  for file in listed)
        for folder, listed in files.items()
    ]  # fmt: skip
    first = recurring[0]
    named = all(says_modality(name) for name in first)
    return len(recurring) > 2 and bool(first) and named and all(names == first for names in recurring)


def _of_cases(files: set[Path]) -> Iterator[Path]:
    """Return the files of pictures and volumes, and the folder of a DICOM series or its files where they are cases."""
    folders: dict[Path, list[Path]] = {}
    for file in sorted(files):
        if file.suffix.lower() in DICOM or not is_image_name(file.name):
            folders.setdefault(file.parent, []).append(file)
        else:
            yield file
    for folder, slices in folders.items():
        if len(slices) > 1 and _is_one_series(slices[:2]):
            yield folder
        else:
            yield from slices


def _is_one_series(files: Sequence[Path]) -> bool:
    try:
        series = find_series(files)
    except CohortError:
        return False
    placed = all(piece["position"] is not None for one in series for facts in one.facts for piece in facts["slices"])
    return len(series) == 1 and placed


def _headers_name_patients(images: Sequence[Path]) -> bool:
    """Return whether the DICOM headers of some of the cases name different patients."""
    # A few headers are enough for a first protocol, which must not take minutes; the cohort reads them all.
    patients = set()
    for image in images[:: max(1, -(-len(images) // _PROBED))]:
        if image.is_file() and is_image_name(image.name) and image.suffix.lower() not in DICOM:
            return False
        try:
            first = image if image.is_file() else next(image_files(image))
            patients |= {facts["patient_id"] for one in find_series([first]) for facts in one.facts}
        except RefusedFile:
            continue
    return len(patients) > 1 and "" not in patients and None not in patients
