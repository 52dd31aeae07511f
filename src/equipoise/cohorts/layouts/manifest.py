"""A CSV manifest: one row per case with the paths of its files, its label, and whatever else is known of it."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import Cohort, Task
from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.folders import DESCRIPTION_LIMITS, PARTS, UNKNOWN_PATIENTS
from equipoise.cohorts.layouts.volumes import CaseFiles, Layout, make_cohort
from equipoise.errors import CohortError, ProtocolError

_OWN = frozenset({"case", "patient", "image", "mask", "label", "part", "series_uid"})


def manifest(
    path: str | Path,
    *,
    task: Task = "classification",
    classes: Sequence[str] | None = None,
    values: Sequence[int] | None = None,
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Cohort from a CSV file with a header: case, patient, image or image_<modality>…, mask, label, part, more.

    Paths are relative to the CSV file. An image may be NIfTI, a picture, a DICOM file or the folder of one DICOM
    series; a mask may be a DICOM segmentation. `patient` may be absent, then every case is its own patient and the
    report says so. `part` is train, validation or test. Further columns (site, sex, age …) become attributes.

    classes: the class names in their order, by default the labels sorted. With masks they are required,
        background first.
    values: what a mask stores for each class, by default 0, 1, 2 … (pictures often hold 0 and 255).
    on_problem: "stop" or "exclude" for cases whose files are missing, damaged, or do not fit together.
    nonfinite: "refuse" or "zero", what to do with NaN and infinity in an image.
    Errors: ProtocolError for an impossible setting, CohortError for a manifest that makes no cohort.
    """
    rows = read_table(path)
    columns = list(rows[0])
    images = image_columns(columns)
    needed = ["case", "label" if task == "classification" else "mask"]
    missing = [name for name in needed if name not in columns] + ([] if images else ["image"])
    if missing:
        raise CohortError(f"{path} has no column {missing[0]!r}, only {', '.join(columns)}; add it.")
    folder = Path(path).parent
    names = tuple(classes) if classes else _classes(rows, task, path)
    if values is not None and len(set(values)) != len(names):
        raise ProtocolError(f"cohort.values has {list(values)} for {len(names)} classes; give each class its own value")
    codes = {value: index for index, value in enumerate(values or range(len(names)))}
    entries = [_entry(row, images, folder, names, None if task == "classification" else codes, path) for row in rows]
    known = "patient" in columns
    channels = tuple(name.removeprefix("image_") for name in images) if len(images) > 1 else ()
    notes = () if known else (UNKNOWN_PATIENTS,)
    layout = Layout("manifest", folder, task, names, channels, notes=notes, patients_known=known)
    return make_cohort(layout, entries, on_problem, nonfinite)


def _classes(rows: Sequence[Mapping[str, str]], task: Task, path: str | PathLike[str]) -> tuple[str, ...]:
    if task == "classification":
        labels = sorted({row["label"] for row in rows}, key=sort_key)
        if len(labels) < 2:
            raise CohortError(f"{path} has the one label {labels[0]!r}; a comparison needs at least two classes.")
        return tuple(labels)
    raise ProtocolError('cohort.classes is missing; name the mask\'s classes, e.g. classes = ["background", "tumour"]')


def image_columns(columns: Iterable[str]) -> list[str]:
    """The columns that hold paths of images."""
    return [name for name in columns if name == "image" or name.startswith("image_")]


def _entry(
    row: Mapping[str, str],
    images: Sequence[str],
    folder: Path,
    classes: Sequence[str],
    codes: Mapping[int, int] | None,
    path: str | PathLike[str],
) -> CaseFiles:
    case = row["case"]
    if not case or not row.get("patient", case):
        raise CohortError(f"{path} has a row without a case or patient ({dict(row)}); fill it in.")
    part = PARTS.get(row.get("part", "").lower())
    if row.get("part") and part is None:
        raise CohortError(f"{path}: case {case} has the part {row['part']!r}; write train, validation or test.")
    if codes is None and row["label"] not in classes:
        raise CohortError(f"{path}: case {case} has the label {row['label']!r}; the classes are {', '.join(classes)}.")
    mask = row.get("mask", "")
    return CaseFiles(
        id=case,
        patient=row.get("patient", case),
        images=tuple(folder / (row[name] or f"(no {name})") for name in images),
        mask=folder / mask if mask else None,
        label=row["label"] if codes is None else None,
        part=part,
        attributes={key: number_or_text(value) for key, value in row.items() if key not in {*_OWN, *images}},
        codes=codes,
        series_uid=row.get("series_uid") or None,
    )


def read_table(path: str | PathLike[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, every value as text without spaces around it.

    Refuses what is no UTF-8, has no rows, repeats a column, or has rows of another length than the header.
    """
    raw, _ = read_bytes(path, DESCRIPTION_LIMITS)
    try:
        lines = list(csv.reader(io.StringIO(raw.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusedFile(path, f"it is no CSV file in UTF-8 ({error})", "save it as CSV in UTF-8") from error
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if len(lines) < 2:
        raise RefusedFile(path, "it has no rows", "give a header line and one line per case")
    header = [cell.strip() for cell in lines[0]]
    if len(set(header)) != len(header):
        raise RefusedFile(path, "it has two columns of one name", "rename one")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            reason = f"its row {number} has {len(line)} values for {len(header)} columns"
            raise RefusedFile(path, reason, "mend the row, with quotes around values that hold commas")
    return [dict(zip(header, (cell.strip() for cell in line), strict=True)) for line in lines[1:]]


def sort_key(text: str) -> tuple[bool, float, str]:
    """Numbers by their value, then texts by their letters.

    >>> sorted(["b", "10", "9", "a"], key=sort_key)
    ['9', '10', 'a', 'b']
    """
    found = number_or_text(text)
    return (False, found, text) if isinstance(found, float) else (True, 0.0, text)


def number_or_text(text: str) -> Any:
    """A number where the text is one, else the text; empty text stays empty.

    >>> number_or_text("3.5"), number_or_text("site A")
    (3.5, 'site A')
    """
    try:
        return float(text)
    except ValueError:
        return text
