"""Images and their masks, found by patterns of paths: folders of masks beside folders of images, a folder per case,
BIDS.

What differs between data sets is where the image and the mask of a case lie. Patterns say that in the protocol, where
one can read and change it, and one reader serves all of them.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from equipoise.cohorts.cohort import Cohort, Exclusion
from equipoise.cohorts.formats.file_names import data_files
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.case_files import CaseFiles
from equipoise.cohorts.layouts.columns import columns_of
from equipoise.cohorts.layouts.image_names import PARTS
from equipoise.cohorts.layouts.patients import UNKNOWN_PATIENTS, patient_of
from equipoise.cohorts.layouts.pattern_hints import nearest_name, no_file_fits
from equipoise.cohorts.layouts.structure_names import Codes, codes_of, letters_of
from equipoise.cohorts.layouts.tables import number_or_text, read_table
from equipoise.cohorts.layouts.templates import Template
from equipoise.cohorts.layouts.volumes import Layout, make_cohort
from equipoise.errors import CohortError, ProtocolError
from equipoise.tasks import SEGMENTATION, task_named

STRUCTURE, PATIENT, PART = "structure", "patient", "part"
_MOST_COMPARED = 20_000
"""Pairs of names that are compared; more are another pattern, and no misspelt names."""
FOLDER_PATIENTS = "Patients are what {patient} stands for in cohort.mask: names of folders or files."


def pairs(
    path: str | Path,
    *,
    images: str | Sequence[str],
    mask: str,
    channels: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    values: Sequence[Any] | None = None,
    table: str | None = None,
    patient_pattern: str | None = None,
    on_problem: str = "stop",
    nonfinite: Nonfinite = "refuse",
    task: str = SEGMENTATION.name,
) -> Cohort:
    """Make a segmentation cohort from patterns of paths below a folder, with fields in braces.

    images: where the image of a case lies, one pattern for each channel; mask: where its mask lies. `{patient}` is the
        patient and `{part}` train, validation or test; other fields are yours, become attributes and make the case's
        id. `{structure}` in the mask stands for one file for each structure, whose voxels above zero belong to it. A
        star stands for anything that leaves one file; of a mask it may leave several, which are one structure together.
    channels: names of the channels, by default those of `volumes.channel_names`.
    classes: names in the order of `values`, background first; with `{structure}`, background and the structures used.
    values: what a mask stores for each class, by default 0, 1, 2 …; for DICOM masks also the names of structures, or
        lists of their spellings.
    table: a table below the folder with a column of patients or cases; its other columns become attributes, and a
        column `part` or `split` says the part.
    patient_pattern, on_problem, nonfinite: as for `nnunet`. Images without a mask are left out and counted.
    Errors: ProtocolError for an impossible setting, CohortError where no mask fits.
    """
    names = _checked(task, classes, values)
    if "{" + STRUCTURE + "}" in mask and values is not None and list(values) != list(range(len(names))):
        raise ProtocolError(
            f"cohort.values is {list(values)}, and the files of {{{STRUCTURE}}} in cohort.mask are called as the "
            "classes are; leave cohort.values out"
        )
    root = Path(path)
    templates = [Template(text) for text in ([images] if isinstance(images, str) else images)]
    reader = PairReader(root, templates, Template(mask, "cohort.mask"), names, codes_of(values, names))
    masks = reader.masks()
    if not masks:
        raise no_file_fits(root, reader.mask, "cohort.mask", reader.paths)
    entries = [reader.entry(fields, files, patient_pattern) for fields, files in masks]
    reader.refuse_absent(entries)
    unmasked = reader.unmasked(entries)
    meant = reader.nearly_named(entries, unmasked)
    entries = _with_table(entries, root, table) if table else entries
    if STRUCTURE in reader.mask.fields:
        _check_structures(root, entries, names)
    known = patient_pattern is not None or PATIENT in reader.mask.fields
    notes: tuple[str, ...] = () if patient_pattern else (FOLDER_PATIENTS,) if known else (UNKNOWN_PATIENTS,)
    fewer = [
        entry.id for entry in entries if STRUCTURE in reader.mask.fields and len(entry.structures) < len(names) - 1
    ]
    if fewer:
        notes += (
            f"{len(fewer)} cases lack the file of a structure and count as cases without it, first {fewer[0]!r}.",
        )
    shown = tuple(channels or ())
    layout = Layout("pairs", root, SEGMENTATION.name, names, shown, notes=notes, patients_known=known)
    cohort = make_cohort(layout, [_with_near_name(entry, meant) for entry in entries], on_problem, nonfinite)
    alone = [Exclusion(path, path, _no_mask(path, meant)) for path in unmasked]
    return replace(cohort, excluded=(*cohort.excluded, *alone))


def states_patients(mask: str) -> bool:
    """Return whether a pattern of masks says which part of a path is the patient.

    >>> states_patients("masks/{patient}_{case}.png"), states_patients("masks/{case}.png")
    (True, False)
    """
    return f"{{{PATIENT}}}" in mask


def _checked(task: str, classes: Sequence[str] | None, values: Sequence[Any] | None) -> tuple[str, ...]:
    """Return the classes; ProtocolError where they are missing or do not fit the values, or the task has no masks."""
    if not task_named(task).has_masks:
        raise ProtocolError('the source "pairs" reads masks; set cohort.task = "segmentation" or "detection"')
    if not classes:
        raise ProtocolError(
            'cohort.classes is missing; name the mask\'s classes, e.g. classes = ["background", "tumour"]'
        )
    codes_of(values, classes)
    return tuple(classes)


@dataclass(frozen=True)
class PairReader:
    """The files below a folder, and how patterns put them together."""

    root: Path
    images: Sequence[Template]
    mask: Template
    classes: tuple[str, ...]
    codes: Codes

    @cached_property
    def paths(self) -> list[str]:
        """All data files, relative to the folder."""
        return [file.relative_to(self.root).as_posix() for file in data_files(self.root)]

    def masks(self) -> list[tuple[dict[str, str], list[Path]]]:
        """Return the fields of every case and the files of its mask, in the order of the fields."""
        used = {field for template in self.images for field in template.fields}
        unknown = sorted(used - set(self.mask.fields))
        if unknown:
            raise ProtocolError(
                f"cohort.images has the field {{{unknown[0]}}}, which cohort.mask lacks; use a star for what differs"
            )
        known = set(map(letters_of, self.classes))
        by_fields: defaultdict[tuple[tuple[str, str], ...], list[Path]] = defaultdict(list)
        for path in self.paths:
            fields = self.mask.match(path)
            if fields is not None and letters_of(fields.get(STRUCTURE, self.classes[-1])) in known:
                key = tuple((name, value) for name, value in fields.items() if name != STRUCTURE)
                by_fields[key].append(self.root / path)
        return [(dict(key), files) for key, files in sorted(by_fields.items())]

    def entry(self, fields: dict[str, str], files: Sequence[Path], patient_pattern: str | None) -> CaseFiles:
        """Return one case; its images are where their patterns say, whether they are there or not."""
        case = "/".join(value for name, value in fields.items()) or self.root.name
        part = fields.get(PART)
        if part is not None and part.lower() not in PARTS:
            raise CohortError(f"{files[0]}: {{part}} stands for {part!r}; use another name for what is not a part.")
        entry = CaseFiles(
            id=case,
            patient=patient_of(fields.get(PATIENT, case), patient_pattern),
            images=tuple(self.root / template.fill(fields, self.paths) for template in self.images),
            part=PARTS[part.lower()] if part else None,
            attributes={name: value for name, value in fields.items() if name not in (PATIENT, PART, "case")},
            codes=self.codes,
            hint="correct the labels, or give every stored value a class with cohort.classes and cohort.values",
        )
        return self._with_mask(entry, files)

    def _with_mask(self, entry: CaseFiles, files: Sequence[Path]) -> CaseFiles:
        if STRUCTURE in self.mask.fields:
            return self._with_structures(entry, files)
        if len(files) == 1:
            return replace(entry, mask=files[0])
        if len(self.classes) == 2:
            return replace(entry, structures=tuple((1, file) for file in files))
        reason = f"{len(files)} masks fit it, and which class each of them shows is not known"
        refusal = RefusedFile(files[0], reason, "give cohort.mask a pattern that leaves one file for each case")
        return replace(entry, refusal=refusal)

    def _with_structures(self, entry: CaseFiles, files: Sequence[Path]) -> CaseFiles:
        """Return a case with the files of its structures; asked where one seems to be there in another spelling."""
        names = [str((self.mask.match(file.relative_to(self.root).as_posix()) or {})[STRUCTURE]) for file in files]
        structures = [
            (self.classes.index(name), file) for name, file in zip(names, files, strict=True) if name in self.classes
        ]
        entry = replace(entry, structures=tuple(structures))
        for name, file in zip(names, files, strict=True):
            lacking = next(
                (one for one in self.classes if letters_of(one) == letters_of(name) and one not in names), None
            )
            # An absent file is an absent structure; read so, another spelling would be a truth without it.
            if name not in self.classes and lacking is not None:
                reason = f"it is called {name!r}, and the case lacks the structure {lacking!r}"
                return replace(entry, refusal=RefusedFile(file, reason, "rename the file, or exclude the case"))
        return entry

    def refuse_absent(self, entries: Sequence[CaseFiles]) -> None:
        """Refuse a pattern of images that no file fits, in place of a problem of every case."""
        for number, template in enumerate(self.images):
            # The files first: an image may be a folder, as of a DICOM series, which is no file that fits.
            fits = any(template.match(path) is not None for path in self.paths)
            if not fits and not any(entry.images[number].exists() for entry in entries):
                raise no_file_fits(self.root, template, "cohort.images", self.paths)

    def unmasked(self, entries: Iterable[CaseFiles]) -> list[str]:
        """Return the paths of the images that fit the first pattern and have no mask."""
        used = {path for entry in entries for path in entry.images + tuple(file for _, file in entry.structures)}
        used |= {entry.mask for entry in entries if entry.mask}
        alone = [path for path in self.paths if self.images[0].match(path) is not None and self.root / path not in used]
        return [path for path in alone if self.mask.match(path) is None]

    def nearly_named(self, entries: Sequence[CaseFiles], unmasked: Sequence[str]) -> dict[Path, str]:
        """Return the images that masks lack → the image without a mask that has nearly such a name."""
        if not unmasked:
            return {}
        # As texts: a path object for each of 100,000 files takes a second.
        there = {os.path.join(self.root, path) for path in self.paths}  # noqa: PTH118
        lacking = [e.images[0] for e in entries if str(e.images[0]) not in there and not e.images[0].exists()]
        if len(lacking) * len(unmasked) > _MOST_COMPARED:
            return {}
        near = {image: nearest_name(image.relative_to(self.root).as_posix(), unmasked) for image in lacking}
        return {image: path for image, path in near.items() if path is not None}


def _with_near_name(entry: CaseFiles, meant: Mapping[Path, str]) -> CaseFiles:
    """Return a case whose refusal names the image that its mask may be of, where its own is missing."""
    near = meant.get(entry.images[0])
    if near is None or entry.refusal is not None:
        return entry
    reason = f"it is missing, and {near!r}, which has no mask, has nearly its name"
    return replace(entry, refusal=RefusedFile(entry.images[0], reason, "rename one of the two, or exclude the case"))


def _no_mask(path: str, meant: Mapping[Path, str]) -> str:
    near = next((image.name for image, alone in meant.items() if alone == path), None)
    return "it has no mask" if near is None else f"it has no mask, and there is one of {near!r}, nearly its name"


def _check_structures(root: Path, entries: Sequence[CaseFiles], names: Sequence[str]) -> None:
    """Refuse a class of which no case has a file: a misspelt one would be absent everywhere."""
    if any(entry.refusal for entry in entries):
        return
    there = {index for entry in entries for index, _ in entry.structures}
    absent = [name for index, name in enumerate(names) if index and index not in there]
    if absent:
        raise CohortError(
            f"{root} has no file of the structure {absent[0]!r} in any case; correct it in "
            "cohort.classes, or leave it out"
        )


def _with_table(entries: Sequence[CaseFiles], root: Path, table: str) -> list[CaseFiles]:
    """Return attributes and parts from the table's row of each patient or case; a case without a row stays as it is."""
    rows = read_table(root / table)
    ids = {entry.patient for entry in entries} | {entry.id for entry in entries}
    # The column that holds most of the ids is the key whatever it is called (participant_id of BIDS, image_id of
    # TotalSegmentator).
    key = max(rows[0], key=lambda name: len(ids & {row[name] for row in rows}))
    by_id = {row[key]: row for row in rows}
    if not ids & set(by_id):
        raise CohortError(
            f"{root / table} has no column of the patients or cases read ({entries[0].patient}); leave "
            f"cohort.table out."
        )
    part = columns_of(rows, where=str(root / table)).part
    return [_described(entry, by_id.get(entry.patient) or by_id.get(entry.id) or {}, key, part) for entry in entries]


def _described(entry: CaseFiles, row: Mapping[str, str], key: str, part: str | None) -> CaseFiles:
    known: dict[str, Any] = {name: number_or_text(value) for name, value in row.items() if name not in (key, part)}
    # What a path says stands above the table: the files lie where they lie, and tables are edited.
    part_of_row = PARTS.get(row.get(part, "").lower()) if part else None
    return replace(entry, attributes={**known, **entry.attributes}, part=entry.part or part_of_row)
