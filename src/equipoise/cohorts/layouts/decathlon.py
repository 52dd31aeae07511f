"""Data sets that a dataset.json lists case by case: Medical Segmentation Decathlon tasks, and MONAI's datalists."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import IGNORED, Cohort
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.class_labels import class_names
from equipoise.cohorts.layouts.description import NAME, Labels, channels_of, labels_of, listed_file, read_description
from equipoise.cohorts.layouts.image_names import stem_and_ending
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS, patient_of
from equipoise.cohorts.layouts.structure_names import codes_of
from equipoise.cohorts.layouts.volumes import Layout, make_cohort
from equipoise.errors import ProtocolError
from equipoise.tasks import SEGMENTATION, task_named

_LISTS = {"training": "train", "validation": "validation"}


def decathlon(
    path: str | Path,
    *,
    task: str = SEGMENTATION.name,
    classes: Sequence[str] | None = None,
    values: Sequence[int] | None = None,
    patient_pattern: str | None = None,
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Make a cohort from the cases that a dataset.json lists: a Decathlon task, or a MONAI datalist.

    An image is one file (4D: a channel each) or a list of files, a channel each. A label is a mask, or in
    classification the class itself. What the description leaves out is taken from the files (channels) or the protocol
    (classes).
    classes, values: as for `manifest`, where the description has no "labels".
    patient_pattern, on_problem, nonfinite: as for `nnunet`. The listed training and validation cases are used.
    """
    root = Path(path)
    description = read_description(root)
    pairs = list(listed_cases(description, root))
    # A MONAI datalist (Auto3DSeg) names no modality; the files tell how many channels there are.
    channels = channels_of(description, root) if {"modality", "channel_names"} & set(description) else ()
    if not task_named(task).has_masks:
        labels = Labels(tuple(classes or class_names([str(pair.get("label", "")) for _, pair in pairs], NAME)), {})
    elif "labels" in description:
        labels = labels_of(description, root)
        _check_stated(labels, classes, values, root)
    else:
        labels = _stated(classes, values)
    parted, names = len({part for part, _ in pairs}) > 1, _case_names(root, [pair for _, pair in pairs])
    entries = [
        _entry(root, case, pair, task, labels, part if parted else None, patient_pattern)
        for case, (part, pair) in zip(names, pairs, strict=True)
    ]
    notes = () if patient_pattern else (UNKNOWN_PATIENTS,)
    known = patient_pattern is not None
    layout = Layout("decathlon", root, task, labels.classes, channels, labels.regions, notes, known, labels.ignores)
    return make_cohort(layout, entries, on_problem, nonfinite)


def listed_cases(description: Mapping[str, Any], root: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return part and entry of every listed training and validation case."""
    if not isinstance(description.get("training"), list):
        raise RefusedFile(root / NAME, 'its "training" lists no images and labels', "correct it")
    for name, part in _LISTS.items():
        for pair in description.get(name) or []:
            if not isinstance(pair, dict) or "image" not in pair:
                raise RefusedFile(root / NAME, f'its "{name}" lists no images and labels', "correct it")
            yield part, pair


def images_of(root: Path, pair: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the files of a listed image."""
    listed = pair["image"] if isinstance(pair["image"], list) else [pair["image"]]
    return tuple(listed_file(root, name) for name in listed)


def _case_names(root: Path, pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the first images without their endings; with their folders where names alone recur."""
    files = [images_of(root, pair)[0] for pair in pairs]
    short = [stem_and_ending(file.name)[0] for file in files]
    if len(set(short)) == len(short):
        return short
    return [stem_and_ending(file.relative_to(root).as_posix())[0] for file in files]


def _entry(
    root: Path, case: str, pair: Mapping[str, Any], task: str, labels: Labels, part: str | None, pattern: str | None
) -> CaseFiles:
    images = images_of(root, pair)
    is_class = not task_named(task).has_masks
    mask = pair.get("label")
    mask = mask[0] if isinstance(mask, list) and len(mask) == 1 else mask
    if is_class and str(mask) not in labels.classes:
        reason = f"the label {mask!r} of {case!r} is none of {', '.join(labels.classes)}"
        raise RefusedFile(root / NAME, reason, "correct it, or name all classes in cohort.classes")
    return CaseFiles(
        case,
        patient_of(case, pattern),
        images,
        None if is_class or mask is None else listed_file(root, mask),
        label=str(mask) if is_class else None,
        part=part,
        # The folds of Auto3DSeg divide scans and not patients, so they are an attribute and never a part.
        attributes={"fold": pair["fold"]} if "fold" in pair else {},
        codes=None if is_class else labels.codes,
        hint=f'correct the labels, or name the value in "labels" of {NAME}',
    )


def _check_stated(labels: Labels, classes: Sequence[str] | None, values: Sequence[int] | None, root: Path) -> None:
    """Refuse classes or values of the protocol that are not those of the description, which are the ones read."""
    own = [value for value, index in sorted(labels.codes.items(), key=lambda code: code[1]) if index != IGNORED]
    for key, given, read in (("classes", classes, list(labels.classes)), ("values", values, own)):
        if given is not None and list(given) != read:
            raise ProtocolError(
                f'cohort.{key} is {list(given)}, and the "labels" of {root / NAME} say {read}; leave cohort.classes '
                'and cohort.values out, or remove "labels" from the description'
            )


def _stated(classes: Sequence[str] | None, values: Sequence[int] | None) -> Labels:
    if not classes:
        raise ProtocolError(
            'cohort.classes is missing, because the description has no "labels"; name the mask\'s classes, e.g. '
            'classes = ["background", "tumour"]'
        )
    return Labels(tuple(classes), codes_of(values, classes))
