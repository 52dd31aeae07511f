"""Cases whose images and masks lie in files: examined once when the cohort is made, read in full when a case is read.

Examining a case reads all of its files, voxels too, and compares their grids: what would fail or fool later is named
now, as a row that can be excluded.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem, Remark
from equipoise.cohorts.formats.nifti import probe_nifti
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.reading import read_any, suffix_of
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.volume_claim import Nonfinite
from equipoise.cohorts.layouts.case_files import CaseFiles, check_exists
from equipoise.cohorts.layouts.channels import (
    AS_COLOUR,
    AS_GREY,
    channel_options,
    common_channels,
    depth_remarks,
    with_channels,
)
from equipoise.cohorts.layouts.header_patients import owners_of, with_header_patients
from equipoise.cohorts.layouts.masks import case_mask
from equipoise.cohorts.layouts.same_grid import check_same_grid
from equipoise.cohorts.layouts.sound_files import Held, SoundFiles, is_picture
from equipoise.cohorts.layouts.structure_doubts import Structures, called_otherwise, doubts, renamed, structures_of
from equipoise.cohorts.layouts.structure_names import in_order
from equipoise.cohorts.store import content_key
from equipoise.cores import side_by_side
from equipoise.errors import CohortError, ProtocolError
from equipoise.tasks import task_named

_NUMBER = re.compile(r"\d[\d.,e+-]*")
NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Layout:
    """What all cases of a source share.

    root: the folder that file names are given relative to, so that moved data keep their fingerprint.
    classes: index → name, background first where there are masks. channels: () takes as many as the first case has.
    """

    name: str
    root: Path
    task: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    patients_known: bool = True
    ignores: bool = False


_TOGETHER = 64
"""Small files that a thread looks at in one go."""


@dataclass(frozen=True)
class Examined:
    """A sound case: what its files hold. contents: hashes of its image alone. options, dtype: see `channels`.

    structures: what its mask says of its structures, where its format has names.
    """

    entry: CaseFiles
    case: Case
    shape: tuple[int, ...]
    contents: frozenset[str]
    options: frozenset[int]
    remarks: tuple[tuple[str, str], ...]
    read: Callable[..., Image]
    dtype: np.dtype[Any]
    spacing_stated: bool
    structures: Structures | None = None


def make_cohort(
    layout: Layout, entries: Iterable[CaseFiles], on_problem: str, nonfinite: Nonfinite = "refuse"
) -> Cohort:
    """Return the cohort of all sound cases.

    on_problem: "stop" lists what is wrong in `Cohort.problems`, which stops a run; "exclude" leaves the cases out and
    counts them in `Cohort.excluded`. nonfinite: whether images with NaN or infinity are a problem ("refuse"), or read
    with 0 in their place ("zero"). Raises CohortError where no case is sound.
    """
    if on_problem not in ("stop", "exclude"):
        raise ProtocolError(f'cohort.on_problem is {on_problem!r}; choose "stop" or "exclude"')
    if nonfinite not in ("refuse", "zero"):
        raise ProtocolError(f'cohort.nonfinite is {nonfinite!r}; choose "refuse" or "zero"')
    known, held = SoundFiles(layout.root), Held()
    sound, problems = _sound(entries, layout, nonfinite, known, held)
    known.keep()
    channels = layout.channels or channel_names(_common(sound))
    sound, misfits = _fitting(sound, channels, named=bool(layout.channels))
    problems += misfits
    contradictory = [*_contradictions(sound), *_doubtful(sound, layout)]
    problems += contradictory
    contradicted = {entry.id for entry, _ in contradictory}
    sound = [one for one in sound if one.entry.id not in contradicted]
    if not sound:
        first = f": {problems[0][1].file}: {problems[0][1].problem}; {problems[0][1].remedy}" if problems else ""
        raise CohortError(f"cohort {layout.name} has no case that can be used{first or '; check its path'}.")
    dims = {len(one.shape) - 1 for one in sound}
    if len(dims) > 1:
        raise CohortError(f"cohort {layout.name} mixes 2D and 3D images; keep one kind.")
    excluded = on_problem == "exclude"
    cohort = Cohort(
        name=layout.name,
        task=layout.task,
        cases=tuple(one.case for one in sound),
        classes=layout.classes,
        channels=channels,
        spatial_dims=dims.pop(),
        regions=MappingProxyType(dict(layout.regions)),
        excluded=tuple(Exclusion(e.id, e.patient, p.problem, p.file) for e, p in problems) if excluded else (),
        problems=() if excluded else tuple(problem for _, problem in problems),
        notes=layout.notes,
        patients_known=layout.patients_known,
        remarks=(
            *_counted(sound, len(channels)),
            *depth_remarks([(one.case.id, one.case.label, one.dtype) for one in sound]),
        ),
        ignores=layout.ignores,
        spacing_stated=any(one.spacing_stated for one in sound),
        mask_values=_mask_values([one.entry for one in sound], len(layout.classes)),
        recipe=_recipe([one.entry for one in sound], len(channels)),
    )
    return with_header_patients(cohort)


def _sound(
    entries: Iterable[CaseFiles], layout: Layout, nonfinite: Nonfinite, known: SoundFiles, held: Held
) -> tuple[list[Examined], list[tuple[CaseFiles, Problem]]]:
    sound, problems, entries = [], [], list(entries)
    # Volumes one after another: two that are decoded at once take twice the memory.
    small = all(suffix_of(path) in PICTURES for entry in entries for path in entry.images)

    def look(entry: CaseFiles) -> tuple[CaseFiles, Examined | RefusedFile]:
        """Examine one case; a refusal is a value here, because one damaged case must not end the others."""
        try:
            return entry, _examined(entry, layout, nonfinite, known, held)
        except RefusedFile as refusal:
            return entry, refusal

    chunks = [entries[start : start + _TOGETHER] for start in range(0, len(entries), _TOGETHER)]
    # Nor files that are known: their hashes leave so little to other threads that threads take twice the time of one.
    threads = small and not known.knows_most_of(len(entries))
    looks = side_by_side(lambda part: list(map(look, part)), chunks) if threads else [map(look, entries)]
    for entry, one in chain.from_iterable(looks):
        if isinstance(one, Examined):
            sound.append(one)
        else:
            problems.append((entry, one.problem(entry.id)))
    return sound, problems


def _common(sound: Sequence[Examined]) -> int:
    return common_channels([one.shape[0] for one in sound], [one.options for one in sound]) if sound else 1


def _fitting(
    sound: Sequence[Examined], channels: tuple[str, ...], named: bool
) -> tuple[list[Examined], list[tuple[CaseFiles, Problem]]]:
    """Return the cases that can be given with these channels (named: by the source), and the others as problems."""
    count = len(channels)
    fitting, misfits = [], []
    for one in sound:
        # one grey file in place of three named channels may be one of them, whose fellows are missing
        if count == one.shape[0]:
            fitting.append(one)  # read as it is; two copies of each of 100,000 cases take seconds
            continue
        if count in one.options and not (named and one.shape[0] < count):
            fitting.append(replace(one, case=replace(one.case, read=partial(one.read, channels=count))))
            continue
        reason = f"it has {one.shape[0]} channels and the cohort {count} ({', '.join(channels)})"
        refusal = RefusedFile(one.entry.images[0], reason, "give all cases the same channels, or exclude the case")
        misfits.append((one.entry, refusal.problem(one.entry.id)))
    return fitting, misfits


def _counted(sound: Sequence[Examined], channels: int) -> tuple[Remark, ...]:
    """Return every remark once, with its number of files and the first; those that differ in numbers alone are one."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for one in sound:
        converted = AS_GREY if one.shape[0] > channels else AS_COLOUR
        more = [(one.entry.images[0].name, converted)] if one.shape[0] != channels else []
        for file, text in (*one.remarks, *more):
            alike.setdefault(_NUMBER.sub("#", text), []).append((file, text))
    return tuple(Remark(made[0][1], len(made), made[0][0]) for made in alike.values())


def _recipe(entries: Iterable[CaseFiles], channels: int) -> str:
    """Return a hash of what else than the files decides how cases are read: channels, mask values, series, spacings."""
    read = [
        [entry.id, sorted((entry.codes or {}).items(), key=in_order), [index for index, _ in entry.structures],
         entry.series_uid, entry.spacing_mm]
        for entry in entries
    ]  # fmt: skip
    return content_key(read=read, channels=channels)


def _mask_values(entries: Sequence[CaseFiles], classes: int) -> tuple[int, ...]:
    """Return what every mask stores for each class; empty where masks differ, or a class has no value of its own."""
    codings = {frozenset((entry.codes or {}).items()) for entry in entries}
    if len(codings) != 1 or any(entry.structures for entry in entries):
        return ()
    values: dict[int, list[int | str]] = {}
    for value, index in next(iter(codings)):
        values.setdefault(index, []).append(value)
    own = [values.get(index, []) for index in range(classes)]
    single = tuple(held[0] for held in own if len(held) == 1 and isinstance(held[0], int) and 0 <= held[0] <= 255)
    return single if len(single) == classes else ()


def channel_names(count: int) -> tuple[str, ...]:
    """Return names for channels that a source does not name."""
    named = {1: ("image",), 3: ("red", "green", "blue")}
    return named.get(count, tuple(f"channel {index}" for index in range(count)))


def probe(path: Path, series_uid: str | None = None) -> Scan:
    """Return grid and hash of a file; NIfTI voxels are left unread."""
    check_exists(path)
    return probe_nifti(path) if suffix_of(path) in NIFTI else read_any(path, series_uid=series_uid)


# One image in two rows with two labels teaches noise and, in two parts, is a leak that looks like an error.
def _contradictions(sound: Iterable[Examined]) -> list[tuple[CaseFiles, Problem]]:
    """All cases whose image is, byte for byte, also that of a case with another truth: one of the two is wrong."""
    by_image: dict[frozenset[str], list[Examined]] = {}
    for one in sound:
        by_image.setdefault(one.contents, []).append(one)
    wrong = []
    for alike in by_image.values():
        truths = [(one.case.label, frozenset(one.case.sha256.values()) - one.contents) for one in alike]
        for index, one in enumerate(alike):
            other = next((k for k, truth in enumerate(truths) if truth != truths[index]), None)
            if other is not None:
                reason = f"its image is also that of case {alike[other].case.id}, which has another truth"
                remedy = "keep the one that is right, or exclude both"
                wrong.append((one.entry, Problem(one.case.id, str(one.entry.images[0]), reason, remedy)))
    return wrong


def _doubtful(sound: Iterable[Examined], layout: Layout) -> list[tuple[CaseFiles, Problem]]:
    """The cases whose masks call a structure otherwise than its class, or than other cases do."""
    named = [one for one in sound if one.structures is not None]
    codes = named[0].entry.codes if named else None
    wrong = doubts([(one.case.id, one.structures) for one in named if one.structures], codes, layout.classes)
    return [
        (one.entry, Problem(one.case.id, str(one.entry.mask), *wrong[one.case.id]))
        for one in named
        if one.case.id in wrong
    ]


def _examined(entry: CaseFiles, layout: Layout, nonfinite: Nonfinite, known: SoundFiles, held: Held) -> Examined:
    """Return the case, its files read in full (unless known to be sound), hashed, and their grids compared."""
    if entry.refusal is not None:
        raise entry.refusal
    images = _images(entry, nonfinite, known, held)
    first, scans = images[0], list(images)
    remarks = [(path.name, text) for path, scan in zip(entry.images, images, strict=True) for text in scan.remarks]
    structures: Structures | None = None
    with_mask = task_named(layout.task).has_masks
    if with_mask:
        if entry.mask is None and not entry.structures:
            raise RefusedFile(entry.images[0], "it has no mask", "add its mask, or exclude the case")
        _, masks = case_mask(entry, first, nonfinite)
        remarks += [(Path(next(iter(scan.sha256), "")).name, text) for scan in masks for text in scan.remarks]
        for (index, path), scan in zip(entry.structures, masks, strict=True) if entry.mask is None else ():
            other = called_otherwise(structures_of(scan.header) or Structures(), index, layout.classes)
            if other is not None:
                reason = f"its structure is called {other!r} and would be the class {layout.classes[index]!r}"
                raise RefusedFile(path, reason, "give the file the name of its structure, or exclude the case")
        if entry.mask is not None and (structures := structures_of(masks[0].header)) is not None:
            remarks += [(entry.mask.name, text) for text in renamed(structures, entry.codes, layout.classes)]
        scans += masks
    hashes = {name: digest for scan in scans for name, digest in scan.sha256.items()}
    seen = {name for scan in images for name in scan.sha256}
    read = partial(read_case, entry, hashes, with_mask, nonfinite, held=held)
    case = Case(
        id=entry.id,
        patient=entry.patient,
        read=read,
        label=None if entry.label is None else layout.classes.index(entry.label),
        part=entry.part,
        attributes=MappingProxyType(dict(entry.attributes)),
        sha256=MappingProxyType({_relative(name, layout.root): digest for name, digest in hashes.items()}),
        owners=MappingProxyType(owners_of(first)),
        truth_files=frozenset(_relative(name, layout.root) for name in hashes if name not in seen),
    )
    shape = (sum(scan.array.shape[0] for scan in images), *first.array.shape[1:])
    contents = frozenset(digest for scan in images for digest in scan.sha256.values())
    has_spacing = entry.spacing_mm is not None or not first.header.get("spacing_unstated")
    options, dtype = channel_options(images), first.array.dtype
    return Examined(entry, case, shape, contents, options, tuple(remarks), read, dtype, has_spacing, structures)


def _images(entry: CaseFiles, nonfinite: Nonfinite, known: SoundFiles, held: Held) -> list[Scan]:
    """Return the images of a case, all on one grid."""
    for path in entry.images:
        check_exists(path)
    scans = [_looked_at(path, entry, nonfinite, known, held) for path in entry.images]
    for path, other in zip(entry.images[1:], scans[1:], strict=True):
        check_same_grid(path, other, entry.images[0], scans[0])
    if entry.spacing_mm is not None and len(entry.spacing_mm) < len(scans[0].spacing_mm):
        reason = f"the file beside it states {len(entry.spacing_mm)} spacings for {len(scans[0].spacing_mm)} axes"
        raise RefusedFile(entry.images[0], reason, "give one spacing in mm for each axis")
    return scans


def _looked_at(path: Path, entry: CaseFiles, nonfinite: Nonfinite, known: SoundFiles, held: Held) -> Scan:
    if suffix_of(path) in NIFTI:
        return known.look(path, nonfinite)
    if is_picture(path):
        scan = known.look_at_picture(path, nonfinite)
        held.hold(path, scan)
        return scan
    return read_any(path, nonfinite=nonfinite, series_uid=entry.series_uid)


def _relative(name: str, root: Path) -> str:
    # A path object for each of 100,000 files takes a second; nearly all paths begin with the folder's.
    start = os.path.join(root, "")  # noqa: PTH118 - as above
    if name.startswith(start):
        return name[len(start) :].replace(os.sep, "/")
    path = Path(name)
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.name


def read_case(
    entry: CaseFiles,
    sha256: Mapping[str, str],
    with_mask: bool,
    nonfinite: Nonfinite = "refuse",
    channels: int | None = None,
    held: Held | None = None,
) -> Image:
    """Return all channels and the mask of one case; refused where a file is no longer the one that was examined.

    channels: how many the cohort has, where that is not what the files hold. held: pixels of files just examined.
    """
    try:
        scans = [
            (held and held.take(path)) or read_any(path, nonfinite=nonfinite, series_uid=entry.series_uid)
            for path in entry.images
        ]
        mask, masks = case_mask(entry, scans[0], nonfinite) if with_mask else (None, [])
    except RefusedFile as refusal:
        raise refusal.of_case(entry.id) from refusal
    for scan in [*scans, *masks]:
        for name, digest in scan.sha256.items():
            if sha256.get(name) != digest:
                raise RefusedFile(name, "it changed since the cohort was made", "run again", entry.id)
    array = with_channels(scans, channels or sum(scan.array.shape[0] for scan in scans))
    spacing = entry.spacing_mm or scans[0].spacing_mm
    return Image(array, spacing[-(array.ndim - 1) :], mask, scans[0].affine)
