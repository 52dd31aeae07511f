"""A table as a manifest: one row per case with the paths of its files, its label, and whatever else is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from equipoise.cohorts.cohort import Cohort
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.class_labels import class_names, class_of, is_missing
from equipoise.cohorts.layouts.columns import Columns, bare, columns_of, without_label
from equipoise.cohorts.layouts.image_names import PARTS
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS, patient_of
from equipoise.cohorts.layouts.structure_names import Codes, codes_of
from equipoise.cohorts.layouts.tables import number_or_text, read_table
from equipoise.cohorts.layouts.volumes import Layout, make_cohort
from equipoise.errors import CohortError, ProtocolError
from equipoise.tasks import CLASSIFICATION, task_named

IMAGE = "{image}"
"""What `files` puts a row's value in place of."""
# HAM10000 states lesions and no patients. Its lesions keep their images together in a split, but the report must not
# call them patients.
LESIONS = "The source states lesions and no patients: several lesions of one person may lie in different parts."


def manifest(
    path: str | Path,
    *,
    task: str = CLASSIFICATION.name,
    columns: Mapping[str, Any] | None = None,
    files: str = IMAGE,
    classes: Sequence[str] | None = None,
    values: Sequence[Any] | None = None,
    patient_pattern: str | None = None,
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
) -> Cohort:
    """Make a cohort from a table with a header: case, patient, image or image_<modality>…, mask, label, part, more.

    Paths are relative to the table. An image may be NIfTI, a picture, a DICOM file or the folder of one DICOM
    series; a mask may be a DICOM segmentation. `patient` may be absent, then every case is its own patient and the
    report says so. `part` is train, validation or test. Further columns (site, sex, age …) become attributes.

    columns: role → column, where a column has no name that tells its role; the roles are case, patient, image (one
        column, or channel → column), mask, label (one column, or a list of columns that hold 1 for their own class),
        part and series_uid (which series of an image's folder is meant).
    files: where the image of a row lies, "{image}" standing for what the row says, such as "train/{image}.png"; a
        star stands for anything that leaves one file.
    classes: the class names in their order, by default the labels sorted. With masks they are required,
        background first.
    values: what a mask stores for each class, by default 0, 1, 2 … (pictures often hold 0 and 255); for DICOM
        masks also the names of structures, or lists of their spellings.
    patient_pattern: a regular expression whose first group, found in a row's patient, or without a column of patients
        in its image or case, is the patient.
    on_problem: "stop" or "exclude" for cases without a label, or whose files are missing, damaged, or do not fit.
    nonfinite: "refuse" or "zero", what to do with NaN and infinity in an image.
    Errors: ProtocolError for an impossible setting, CohortError for a manifest that makes no cohort.
    """
    rows = read_table(path)
    doubted = ("patient", "mask") if task_named(task).has_masks else ("patient", "label")
    roles = columns_of(rows, columns, str(path), doubted)
    if task_named(task).has_masks:
        roles = without_label(roles)
    _check_roles(roles, task, rows, path)
    if IMAGE not in files:
        raise ProtocolError(f'cohort.files is {files!r}; write "{IMAGE}" where the value of a row stands')
    names = tuple(classes) if classes else _classes(rows, roles, task, path)
    codes = codes_of(values, names)
    reader = _Rows(Path(path), roles, files, names, tuple(classes or ()), codes, patient_pattern)
    lesions = roles.patient is not None and bare(roles.patient) == "lesionid"
    known = (roles.patient is not None and not lesions) or patient_pattern is not None
    channels = tuple(roles.images) if len(roles.images) > 1 else ()
    notes = () if known else (LESIONS if lesions else UNKNOWN_PATIENTS,)
    layout = Layout("manifest", Path(path).parent, task, names, channels, notes=notes, patients_known=known)
    return make_cohort(layout, reader.entries(rows), on_problem, nonfinite)


def _check_roles(roles: Columns, task: str, rows: Sequence[Mapping[str, str]], path: str | PathLike[str]) -> None:
    truth = "mask" if task_named(task).has_masks else "label"
    missing = [] if getattr(roles, truth) else [truth]
    missing += [] if roles.images else ["image"]
    if missing:
        raise CohortError(
            f"{path} has no column {missing[0]!r}, only {', '.join(rows[0])}; add it, or say which one it is, such as "
            f'cohort.columns = {{{missing[0]} = "{next(iter(rows[0]))}"}}.'
        )


def _classes(
    rows: Sequence[Mapping[str, str]], roles: Columns, task: str, path: str | PathLike[str]
) -> tuple[str, ...]:
    if task_named(task).has_masks:
        raise ProtocolError(
            'cohort.classes is missing; name the mask\'s classes, e.g. classes = ["background", "tumour"]'
        )
    if isinstance(roles.label, tuple):
        return roles.label
    return class_names((row[str(roles.label)] for row in rows), str(path))


@dataclass(frozen=True)
class _Rows:
    """How rows become cases; `named` are the classes that the protocol names itself."""

    path: Path
    roles: Columns
    files: str
    classes: tuple[str, ...]
    named: tuple[str, ...]
    codes: Codes
    patient_pattern: str | None

    def entries(self, rows: Sequence[Mapping[str, str]]) -> list[CaseFiles]:
        """Make one case per row; ids that the table does not state are the patients, or else the images' names."""
        images = [row[next(iter(self.roles.images.values()))] for row in rows]
        patients = [row[self.roles.patient] for row in rows] if self.roles.patient else []
        if self.roles.case is None and len(set(patients)) == len(rows):
            images = patients
        if self.roles.case is None and len(set(images)) < len(images):
            # Row numbers begin at 2, as a spreadsheet counts them below the header.
            images = [f"{image} (row {number})" for number, image in enumerate(images, start=2)]
        return [
            self._entry(row, row[self.roles.case] if self.roles.case else image)
            for row, image in zip(rows, images, strict=True)
        ]

    def _entry(self, row: Mapping[str, str], case: str) -> CaseFiles:
        roles = self.roles
        image = row[next(iter(roles.images.values()))]
        patient = row[roles.patient] if roles.patient else case
        if self.patient_pattern is not None and (patient or roles.patient is None):
            patient = patient_of(patient if roles.patient else image or case, self.patient_pattern)
        if not case or not patient or (roles.patient and is_missing(patient)):
            raise CohortError(f"{self.path} has a row without a case or patient ({dict(row)}); fill it in.")
        mask = row[roles.mask] if roles.mask else ""
        label, refusal = self._label(row)
        return CaseFiles(
            id=case,
            patient=patient,
            images=tuple(self._image(row[name], name) for name in roles.images.values()),
            mask=self.path.parent / posix(mask) if mask and roles.label is None else None,
            label=label,
            part=self._part(row, case),
            attributes={key: number_or_text(value) for key, value in row.items() if key not in roles.used},
            codes=self.codes if roles.label is None else None,
            series_uid=row[roles.series_uid] or None if roles.series_uid else None,
            refusal=refusal,
            hint="correct the labels, or give every stored value a class with cohort.classes and cohort.values",
        )

    def _part(self, row: Mapping[str, str], case: str) -> str | None:
        text = row[self.roles.part] if self.roles.part else ""
        part = PARTS.get(text.lower())
        # A column that is called `part` is meant as one, so a wrong word is refused; `split` or `set` may mean
        # something else.
        if text and part is None and self.roles.part == "part":
            raise CohortError(f"{self.path}: case {case} has the part {text!r}; write train, validation or test.")
        return part

    def _label(self, row: Mapping[str, str]) -> tuple[str | None, RefusedFile | None]:
        """Return the class of a row, or why it has none."""
        if self.roles.label is None:
            return None, None
        if isinstance(self.roles.label, tuple):
            return self._one_hot(row, self.roles.label)
        text = row[self.roles.label]
        name = class_of(text, self.classes)
        # This is a problem of the row and not of the table, so that `on_problem = "exclude"` reaches it.
        if is_missing(text, self.named):
            reason = f"it has no label ({text!r})" if text else "it has no label"
            return None, RefusedFile(self.path, reason, "fill it in, or name it in cohort.classes if it is a class")
        if name is None:
            reason = f"it has the label {text!r}; the classes are {', '.join(self.classes)}"
            return None, RefusedFile(self.path, reason, "correct it, or name it in cohort.classes")
        return name, None

    def _one_hot(self, row: Mapping[str, str], names: Sequence[str]) -> tuple[str | None, RefusedFile | None]:
        marked = [index for index, name in enumerate(names) if number_or_text(row[name]) == 1.0]
        others = {number_or_text(row[name]) for index, name in enumerate(names) if index not in marked} - {0.0, ""}
        if len(marked) == 1 and not others:
            return self.classes[marked[0]], None
        reason = f"{len(marked)} of its {len(names)} columns of classes hold 1"
        if others:
            reason += f", and one holds {sorted(map(str, others))[0]!r}"
        return None, RefusedFile(self.path, reason, "mark one class for each image")

    def _image(self, value: str, column: str) -> Path:
        folder = self.path.parent
        if not value:
            return folder / f"(no {column})"
        named = self.files.replace(IMAGE, posix(value))
        if "*" not in self.files:
            return folder / named
        return one_file(folder, named)


def posix(value: str) -> str:
    """Return a path with slashes, whichever system wrote it.

    >>> posix(r".\\images\\a.png"), posix("images/a.png")
    ('images/a.png', 'images/a.png')
    """
    if "\\" not in value:
        return value
    # A backslash is legal in a file's name elsewhere, but in a table it was nearly always written by Windows.
    return PureWindowsPath(value).as_posix()


def one_file(folder: Path, pattern: str) -> Path:
    """Return the file that a pattern with stars leaves; where it is not one, the pattern itself, which is no file."""
    parts = PurePosixPath(pattern).parts
    up = 0
    if PurePosixPath(pattern).is_absolute():
        folder, parts = Path(parts[0]), parts[1:]
    while up < len(parts) and parts[up] == "..":
        up += 1
    below = folder.joinpath(*parts[:up])
    fitting = list(below.glob(str(PurePosixPath(*parts[up:]))))[:2]
    return fitting[0] if len(fitting) == 1 else folder.joinpath(*parts)
