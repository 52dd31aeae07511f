"""The field's common folder layouts: nnU-Net raw, Medical Segmentation Decathlon, and a folder per class."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import Cohort, Task
from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import MIB, Limits
from equipoise.cohorts.formats.pictures import SUFFIXES
from equipoise.cohorts.formats.reading import DICOM, VOLUMES, is_image, suffix_of
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.volumes import CaseFiles, Layout, make_cohort
from equipoise.errors import CohortError, ProtocolError

DESCRIPTION_LIMITS = Limits(file_bytes=64 * MIB)
PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
IMAGES = (*sorted(SUFFIXES), *sorted(VOLUMES.keys() - {".hdr", ".hdr.gz"}), *sorted(DICOM))
"""How the names of images end, in a folder per class."""
UNKNOWN_PATIENTS = (
    "The source states no patients: every case counts as a patient of its own, which hides leaks between "
    "cases of one person; give patient_pattern where the file names tell."
)


def nnunet(
    path: str | Path, *, patient_pattern: str | None = None, on_problem: str = "stop", nonfinite: Nonfinite = "refuse"
) -> Cohort:
    """Segmentation cohort from an nnU-Net raw folder: dataset.json, imagesTr/CASE_0000.nii.gz …, labelsTr/CASE.nii.gz.

    The training cases alone are used, for test cases have no mask. Labels given as lists become overlapping regions.
    patient_pattern: a regular expression whose first group, found in a case's name, is its patient.
    on_problem: "stop" or "exclude" for cases with a missing channel or mask, another grid, or an unknown label.
    nonfinite: "refuse" or "zero", what to do with NaN and infinity in an image.
    """
    root = Path(path)
    description = read_description(root)
    channels = _numbered(description, "channel_names" if "channel_names" in description else "modality", root)
    classes, codes, regions = _labels(description, root)
    ending = str(description.get("file_ending", ".nii.gz"))
    entries = []
    for mask in sorted((root / "labelsTr").glob(f"*{ending}")):
        case = mask.name.removesuffix(ending)
        images = tuple(root / "imagesTr" / f"{case}_{index:04d}{ending}" for index in range(len(channels)))
        entries.append(CaseFiles(case, patient_of(case, patient_pattern), images, mask, codes=codes))
    masked = {entry.id for entry in entries}
    for image in sorted((root / "imagesTr").glob(f"*_0000{ending}")):
        case = image.name.removesuffix(f"_0000{ending}")
        if case not in masked:
            entries.append(
                CaseFiles(case, patient_of(case, patient_pattern), (image,), root / "labelsTr" / f"{case}{ending}")
            )
    layout = _layout("nnunet", root, "segmentation", classes, channels, regions, patient_pattern)
    return make_cohort(layout, sorted(entries, key=lambda entry: entry.id), on_problem, nonfinite)


def decathlon(
    path: str | Path, *, patient_pattern: str | None = None, on_problem: str = "stop", nonfinite: Nonfinite = "refuse"
) -> Cohort:
    """Segmentation cohort from a Medical Segmentation Decathlon task: dataset.json lists images (4D) and labels.

    Settings and errors as for `nnunet`; the listed training cases alone are used.
    """
    root = Path(path)
    description = read_description(root)
    channels = _numbered(description, "modality", root)
    classes, codes, regions = _labels(description, root)
    entries = []
    for number, pair in enumerate(_listed(description, root)):
        image, mask = _inside(root, pair.get("image")), _inside(root, pair.get("label"))
        case = image.name.removesuffix(suffix_of(image)) or f"case-{number}"
        entries.append(CaseFiles(case, patient_of(case, patient_pattern), (image,), mask, codes=codes))
    layout = _layout("decathlon", root, "segmentation", classes, channels, regions, patient_pattern)
    return make_cohort(layout, entries, on_problem, nonfinite)


def folders(
    path: str | Path,
    *,
    patient_pattern: str | None = None,
    classes: list[str] | None = None,
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Classification cohort from a folder per class, or from train, val and test folders of such folders.

    classes: the folders to use, in the order of the classes; by default all, in the order of their names.
    patient_pattern, on_problem, nonfinite: as for `nnunet`; the pattern is searched in the path below `path`.
    """
    root = Path(path)
    if not root.is_dir():
        raise CohortError(f"{root} is not a folder; give the folder that holds one folder per class.")
    below = sorted(child for child in root.iterdir() if child.is_dir())
    parted = [child for child in below if child.name.lower() in PARTS]
    tops = parted if len(parted) > 1 else [root]
    names = classes or sorted({child.name for top in tops for child in top.iterdir() if child.is_dir()})
    if len(names) < 2:
        raise CohortError(f"{root} holds {len(names)} class folders; give a folder with at least two.")
    entries = [
        CaseFiles(
            id=(relative := file.relative_to(root).as_posix()),
            patient=patient_of(relative, patient_pattern),
            images=(file,),
            label=name,
            part=PARTS[top.name.lower()] if top is not root else None,
        )
        for top in tops
        for name in names
        for file in sorted((top / name).rglob("*"))
        if is_image(file)
    ]
    return make_cohort(
        _layout("folders", root, "classification", tuple(names), (), {}, patient_pattern),
        entries,
        on_problem,
        nonfinite,
    )


def patient_of(case: str, pattern: str | None) -> str:
    """The first group of the pattern where it is found in a case's name, the name itself without a pattern.

    >>> patient_of("sub-07_ses-2", r"(sub-\\d+)")
    'sub-07'
    """
    if pattern is None:
        return case
    try:
        found = re.search(pattern, case)
    except re.error as error:
        raise ProtocolError(f"cohort.patient_pattern is no regular expression ({error}); mend it") from error
    if found is None or not found.groups():
        raise CohortError(
            f"cohort.patient_pattern {pattern!r} finds no group in {case!r}; give one that fits every case."
        )
    return found[1]


def _layout(
    name: str,
    root: Path,
    task: Task,
    classes: tuple[str, ...],
    channels: tuple[str, ...],
    regions: Mapping[str, tuple[int, ...]],
    pattern: str | None,
) -> Layout:
    notes = () if pattern else (UNKNOWN_PATIENTS,)
    return Layout(name, root, task, classes, channels, regions, notes, patients_known=pattern is not None)


def read_description(root: Path) -> dict[str, Any]:
    """The `dataset.json` of a folder, as a JSON object."""
    path = root / "dataset.json"
    raw, _ = read_bytes(path, DESCRIPTION_LIMITS)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RefusedFile(path, "it is no JSON", "mend it, or write it again") from error
    if not isinstance(found, dict):
        raise RefusedFile(path, "it is no JSON object", "mend it, or write it again")
    return found


def _numbered(description: Mapping[str, Any], key: str, root: Path) -> tuple[str, ...]:
    """Names under the numbers "0", "1" … as a tuple."""
    named = description.get(key)
    if not isinstance(named, dict) or sorted(named) != sorted(map(str, range(len(named)))) or not named:
        raise RefusedFile(root / "dataset.json", f'its "{key}" does not number the channels from "0"', "mend it")
    return tuple(str(named[str(index)]) for index in range(len(named)))


def _labels(
    description: Mapping[str, Any], root: Path
) -> tuple[tuple[str, ...], dict[int, int], dict[str, tuple[int, ...]]]:
    """Classes, stored value → class, and regions; both spellings are read: {"0": "organ"} and {"organ": 0}."""
    given = description.get("labels")
    bad = RefusedFile(root / "dataset.json", 'its "labels" do not name whole numbers', "mend it")
    if not isinstance(given, dict):
        raise bad
    pairs = [(value, key) if key.isdigit() and isinstance(value, str) else (key, value) for key, value in given.items()]
    names: dict[int, str] = {0: "background"}
    groups: dict[str, tuple[int, ...]] = {}
    try:
        for name, value in pairs:
            if isinstance(value, list):
                groups[str(name)] = tuple(int(part) for part in value)
            elif str(name).lower() != "ignore":
                names[int(value)] = str(name)
    except (TypeError, ValueError) as error:
        raise bad from error
    values = sorted({*names, *(part for group in groups.values() for part in group)})
    codes = {value: index for index, value in enumerate(values)}
    if len(values) < 2 or values[0] < 0:
        raise bad
    classes = tuple(names.get(value, f"label {value}") for value in values)
    return classes, codes, {name: tuple(codes[part] for part in group) for name, group in groups.items()}


def _listed(description: Mapping[str, Any], root: Path) -> list[Mapping[str, Any]]:
    listed = description.get("training")
    if not isinstance(listed, list) or not all(isinstance(pair, dict) for pair in listed):
        raise RefusedFile(root / "dataset.json", 'its "training" lists no images and labels', "mend it")
    return listed


def _inside(root: Path, name: Any) -> Path:
    """A listed file, which must lie below the folder: a description from elsewhere may not point at other files."""
    path = root / str(name)
    if not isinstance(name, str) or not path.resolve().is_relative_to(root.resolve()):
        raise RefusedFile(root / "dataset.json", f"it lists {name!r}, which is no file below its folder", "mend it")
    return path
