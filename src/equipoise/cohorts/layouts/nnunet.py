"""nnU-Net raw folders of both versions: dataset.json, imagesTr/CASE_0000.nii.gz …, labelsTr/CASE.nii.gz."""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.file_names import is_left_behind
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.description import NAME, Labels, channels_of, labels_of, listed_file, read_description
from equipoise.cohorts.layouts.image_names import stem_and_ending
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS, patient_of
from equipoise.cohorts.layouts.volumes import Layout, make_cohort

IMAGES, MASKS = "imagesTr", "labelsTr"
_FIRST_CHANNEL = re.compile(r"(.+)_0000")
_ANY_CHANNEL = re.compile(r"(.+)_(\d{4})")
_SIDECAR_LIMITS = Limits(file_bytes=MIB)


def nnunet(
    path: str | Path, *, patient_pattern: str | None = None, on_problem: str = "stop", nonfinite: Nonfinite = "refuse"
) -> Cohort:
    """Make a segmentation cohort from an nnU-Net raw folder, the cases of its `dataset` key where it has one.

    The training cases alone are used, for test cases have no mask. Labels given as lists become overlapping regions;
    voxels of the label `ignore` are neither trained on nor judged. One file of several channels may stand for all.
    patient_pattern: a regular expression whose first group, found in a case's name, is its patient.
    on_problem: "stop" or "exclude" for cases with a missing channel or mask, another grid, or an unknown label.
    nonfinite: "refuse" or "zero", what to do with NaN and infinity in an image.
    """
    root = Path(path)
    description = read_description(root)
    channels, labels = channels_of(description, root), labels_of(description, root)
    if isinstance(description.get("dataset"), dict):
        files = _listed(description["dataset"], root)
    else:
        ending = file_ending(description, root)
        files = _below(root, ending, len(channels))
        _check_channels(root, ending, files, channels)
    entries = [
        CaseFiles(
            case, patient_of(case, patient_pattern), images, mask, codes=labels.codes,
            spacing_mm=_sidecar_spacing(images[0]), hint=_hint(labels),
        )
        for case, (images, mask) in sorted(files.items())
    ]  # fmt: skip
    notes = (*(() if patient_pattern else (UNKNOWN_PATIENTS,)), *_count_note(description, len(files)))
    known = patient_pattern is not None
    classes, regions, ignores = labels.classes, labels.regions, labels.ignores
    layout = Layout("nnunet", root, "segmentation", classes, channels, regions, notes, known, ignores)
    return make_cohort(layout, entries, on_problem, nonfinite)


def _hint(labels: Labels) -> str:
    return f'correct the labels, or name the value in "labels" of {NAME}, which has {", ".join(labels.classes)}'


def file_ending(description: Mapping[str, Any], root: Path) -> str:
    """How the files end: as the description says, else as the masks do.

    Raises RefusedFile where nothing in labelsTr ends so, or nothing is stated and the masks end in several ways.
    """
    # A dataset.json of version 1 states no ending, and files may end in .nii where .nii.gz was the rule: where all
    # masks end alike, that ending is taken.
    ending = description.get("file_ending")
    # "nii.gz" without its point ends the names as well, and would be looked for as CASE._0000nii.gz.
    if isinstance(ending, str) and ending and not ending.startswith("."):
        ending = f".{ending}"
    present = Counter(stem_and_ending(file.name)[1] for file in _files(root / MASKS))
    present.pop("", None)
    if isinstance(ending, str) and (not present or any(file.name.endswith(ending) for file in _files(root / MASKS))):
        return ending
    shown = ", ".join(f"*{ending}" for ending in sorted(present)) or "no image"
    if ending is not None:
        reason = f'its "file_ending" is {ending!r} and {MASKS} holds {shown}'
        raise RefusedFile(root / NAME, reason, 'correct "file_ending"')
    if len(present) > 1:
        raise RefusedFile(root / NAME, f'it has no "file_ending" and {MASKS} holds {shown}', 'add "file_ending"')
    if not present:
        reason = f"{MASKS} holds no mask, neither *.nii.gz nor another image"
        raise RefusedFile(root / MASKS, reason, "give the folder that holds imagesTr and labelsTr with the masks")
    return next(iter(present))


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*")) if not is_left_behind(file.name)] if folder.is_dir() else []


def _below(root: Path, ending: str, channels: int) -> dict[str, tuple[tuple[Path, ...], Path]]:
    """Return the images and the mask of every case that has a mask or a first channel."""
    masks = {file.name.removesuffix(ending) for file in _files(root / MASKS) if file.name.endswith(ending)}
    images = {
        match[1]
        for file in _files(root / IMAGES)
        if file.name.endswith(ending) and (match := _FIRST_CHANNEL.fullmatch(file.name.removesuffix(ending)))
    }
    # A mask or an image alone makes a case, so that the file it lacks is named.
    return {
        case: (_channel_files(root, case, ending, channels), root / MASKS / f"{case}{ending}")
        for case in masks | images
    }


def _check_channels(root: Path, ending: str, cases: Collection[str], channels: Sequence[str]) -> None:
    """Refuse a channel that has files and no name, which would be left out without a word; nnU-Net refuses it too."""
    for file in _files(root / IMAGES):
        match = _ANY_CHANNEL.fullmatch(file.name.removesuffix(ending)) if file.name.endswith(ending) else None
        if match and match[1] in cases and int(match[2]) >= len(channels):
            reason = f"{IMAGES} holds {file.name!r}, and it names {len(channels)} channels ({', '.join(channels)})"
            raise RefusedFile(root / NAME, reason, "name every channel, or remove the files of the other channels")


def _count_note(description: Mapping[str, Any], count: int) -> tuple[str, ...]:
    training_count = description.get("numTraining")
    if not isinstance(training_count, int) or isinstance(training_count, bool) or training_count == count:
        return ()
    return (f'{NAME} states "numTraining": {training_count}, and there are {count} cases.',)


def _channel_files(root: Path, case: str, ending: str, channels: int) -> tuple[Path, ...]:
    """Return a file for each channel; a picture that stands alone may hold all of them (red, green, blue)."""
    numbered = tuple(root / IMAGES / f"{case}_{index:04d}{ending}" for index in range(channels))
    # A picture holds red, green and blue in one file, which nnU-Net calls CASE_0000.png with three channel names. A
    # volume that stands alone lacks its other modalities.
    alone = ending.lower() in PICTURES and not any(file.exists() for file in numbered[1:])
    return numbered[:1] if alone else numbered


def _listed(dataset: Mapping[str, Any], root: Path) -> dict[str, tuple[tuple[Path, ...], Path]]:
    """Return the cases of the `dataset` key: {"case": {"images": [...], "label": ...}}."""
    cases = {}
    for case, files in dataset.items():
        images = files.get("images") if isinstance(files, dict) else None
        if not isinstance(images, Sequence) or isinstance(images, str) or not images or "label" not in files:
            reason = f'its "dataset" does not list the images and the label of {case!r}'
            raise RefusedFile(root / NAME, reason, "correct it")
        cases[case] = (tuple(listed_file(root, name) for name in images), listed_file(root, files["label"]))
    return cases


def _sidecar_spacing(image: Path) -> tuple[float, ...] | None:
    """Return the spacing in mm, (z, y, x), that nnU-Net keeps in CASE.json beside a TIFF; None without it."""
    stem, ending = stem_and_ending(image.name)
    sidecar = image.with_name(f"{stem.removesuffix('_0000')}.json")
    # The sidecar belongs to the TIFF reader of nnU-Net; other formats state their spacing themselves.
    if ending.lower() not in (".tif", ".tiff") or not sidecar.is_file():
        return None
    try:
        raw, _ = read_bytes(sidecar, _SIDECAR_LIMITS)
        content = json.loads(raw)
        spacing = tuple(float(value) for value in content["spacing"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RefusedFile(sidecar, 'it names no "spacing" of three numbers', "correct it") from error
    if len(spacing) not in (2, 3) or not all(0 < value < 1e4 for value in spacing):
        raise RefusedFile(sidecar, f"its spacing {list(spacing)} is not a valid spacing in mm", "correct it")
    return spacing
