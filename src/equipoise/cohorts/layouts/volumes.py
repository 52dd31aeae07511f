"""Cases whose images and masks lie in files: examined once when the cohort is made, read in full when a case is read.

Examining a case reads every byte of its files (for the hashes), the headers of its images and all of its mask, and
compares their grids: what would fail or fool later is named now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem, Task
from equipoise.cohorts.formats.dicom import has_preamble, read_dicom_series
from equipoise.cohorts.formats.nifti import probe_nifti, read_nifti
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.store import content_key
from equipoise.errors import CohortError, ProtocolError

GRID_TOLERANCE = 0.1
"""How far, in voxels, the corners of two grids may lie apart and still be called one grid."""
NIFTI = (".nii", ".nii.gz")
DICOM = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class CaseFiles:
    """One case of a source as its layout names it; nothing has been opened yet.

    images: one file per channel, or one file that holds all of them. codes: stored mask value → class index.
    structures: in place of a mask, a file for each structure with the class that its non-zero voxels have.
    label: class name, None where the task has none. series_uid: of the DICOM series meant in a folder of several.
    spacing_mm: what stands beside an image that states none itself. refusal: why the layout leaves the case out.
    hint: what to do about a mask value that `codes` does not know.
    """

    id: str
    patient: str
    images: tuple[Path, ...]
    mask: Path | None = None
    label: str | None = None
    part: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[int, int] | None = None
    structures: tuple[tuple[int, Path], ...] = ()
    series_uid: str | None = None
    spacing_mm: tuple[float, ...] | None = None
    refusal: RefusedFile | None = None
    hint: str = "correct the labels"


@dataclass(frozen=True)
class Layout:
    """What all cases of a source share.

    root: the folder that file names are given relative to, so that moved data keep their fingerprint.
    classes: index → name, background first where there are masks. channels: () takes as many as the first case has.
    """

    name: str
    root: Path
    task: Task
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    patients_known: bool = True
    ignores: bool = False


def make_cohort(layout: Layout, entries: Iterable[CaseFiles], on_problem: str) -> Cohort:
    """The cohort of all sound cases.

    on_problem: "stop" lists what is wrong in `Cohort.problems`, which stops a run; "exclude" leaves the cases out and
    counts them in `Cohort.excluded`. Raises CohortError where no case is sound.
    """
    if on_problem not in ("stop", "exclude"):
        raise ProtocolError(f'cohort.on_problem is {on_problem!r}; choose "stop" or "exclude"')
    cases, problems, dims = [], [], set()
    contents: dict[str, frozenset[str]] = {}
    channels = layout.channels
    for entry in entries:
        try:
            case, shape, contents[entry.id] = _examined(entry, layout)
            channels = channels or channel_names(shape[0])
            _check_channels(entry, shape[0], channels)
        except RefusedFile as refusal:
            problems.append((entry, refusal.problem(entry.id)))
            continue
        cases.append((entry, case))
        dims.add(len(shape) - 1)
    contradictions = _contradictions(cases, contents)
    problems += contradictions
    contradicted = {entry.id for entry, _ in contradictions}
    cases = [(entry, case) for entry, case in cases if entry.id not in contradicted]
    if not cases:
        first = f": {problems[0][1].file}: {problems[0][1].problem}; {problems[0][1].remedy}" if problems else ""
        raise CohortError(f"cohort {layout.name} has no case that can be used{first or '; check its path'}.")
    if len(dims) > 1:
        raise CohortError(f"cohort {layout.name} mixes 2D and 3D images; keep one kind.")
    excluded = on_problem == "exclude"
    return Cohort(
        name=layout.name,
        task=layout.task,
        cases=tuple(case for _, case in cases),
        classes=layout.classes,
        channels=channels,
        spatial_dims=dims.pop(),
        regions=MappingProxyType(dict(layout.regions)),
        excluded=tuple(Exclusion(e.id, e.patient, f"{p.file}: {p.problem}") for e, p in problems) if excluded else (),
        problems=() if excluded else tuple(problem for _, problem in problems),
        notes=layout.notes,
        patients_known=layout.patients_known,
        ignores=layout.ignores,
        recipe=_recipe(entry for entry, _ in cases),
    )


def _recipe(entries: Iterable[CaseFiles]) -> str:
    """A hash of what else than the files decides how cases are read: meanings of mask values, series, spacings."""
    read = [
        [entry.id, sorted((entry.codes or {}).items()), [index for index, _ in entry.structures], entry.series_uid,
         entry.spacing_mm]
        for entry in entries
    ]  # fmt: skip
    return content_key(read=read)


def channel_names(count: int) -> tuple[str, ...]:
    """Names for channels that a source does not name."""
    named = {1: ("image",), 3: ("red", "green", "blue")}
    return named.get(count, tuple(f"channel {index}" for index in range(count)))


def _check_channels(entry: CaseFiles, found: int, channels: tuple[str, ...]) -> None:
    if found != len(channels):
        reason = f"it has {found} channels and the cohort {len(channels)} ({', '.join(channels)})"
        raise RefusedFile(entry.images[0], reason, "give all cases the same channels, or exclude the case")


def read_any(path: Path, series_uid: str | None = None) -> Scan:
    """The scan in a NIfTI file, a picture, a DICOM file or a folder of one DICOM series, told apart by name."""
    name = path.name.lower()
    if name.endswith(NIFTI):
        return read_nifti(path)
    if path.suffix.lower() in PICTURES:
        return read_picture(path)
    if path.is_dir() or path.suffix.lower() in DICOM or has_preamble(path):
        return read_dicom_series(path, series_uid=series_uid)
    raise RefusedFile(path, "its kind is not known by its name", "give .nii, .nii.gz, .png, .jpg, .tif, or DICOM")


def probe(path: Path, series_uid: str | None = None) -> Scan:
    """Grid and hash of a file; NIfTI voxels are left unread."""
    if not path.exists():
        raise RefusedFile(path, "it is missing", "fetch it, or exclude the case")
    return probe_nifti(path) if path.name.lower().endswith(NIFTI) else read_any(path, series_uid)


def _contradictions(
    cases: Iterable[tuple[CaseFiles, Case]], contents: Mapping[str, frozenset[str]]
) -> list[tuple[CaseFiles, Problem]]:
    """All cases whose image is, byte for byte, also that of a case with another truth: one of the two is wrong."""
    by_image: dict[frozenset[str], list[tuple[CaseFiles, Case]]] = {}
    for entry, case in cases:
        by_image.setdefault(contents[entry.id], []).append((entry, case))
    wrong = []
    for alike in by_image.values():
        truths = [(case.label, frozenset(case.sha256.values()) - contents[entry.id]) for entry, case in alike]
        for index, (entry, _) in enumerate(alike):
            other = next((k for k, truth in enumerate(truths) if truth != truths[index]), None)
            if other is not None:
                reason = f"its image is also that of case {alike[other][0].id}, which has another truth"
                remedy = "keep the one that is right, or exclude both"
                wrong.append((entry, Problem(entry.id, str(entry.images[0]), reason, remedy)))
    return wrong


def _examined(entry: CaseFiles, layout: Layout) -> tuple[Case, tuple[int, ...], frozenset[str]]:
    """The case, its files hashed and their grids compared, the shape of its image, and the image's own hashes."""
    if entry.refusal is not None:
        raise entry.refusal
    probes = [probe(path, entry.series_uid) for path in entry.images]
    first = probes[0]
    for path, other in zip(entry.images[1:], probes[1:], strict=True):
        check_same_grid(path, other, entry.images[0], first)
    hashes = {name: digest for scan in probes for name, digest in scan.sha256.items()}
    contents = frozenset(hashes.values())
    if entry.spacing_mm is not None and len(entry.spacing_mm) < len(first.spacing_mm):
        reason = f"the file beside it states {len(entry.spacing_mm)} spacings for {len(first.spacing_mm)} axes"
        raise RefusedFile(entry.images[0], reason, "give one spacing in mm for each axis")
    if layout.task != "classification":
        hashes |= _examined_mask(entry, first)
    case = Case(
        id=entry.id,
        patient=entry.patient,
        read=partial(read_case, entry, hashes, layout.task != "classification"),
        label=None if entry.label is None else layout.classes.index(entry.label),
        part=entry.part,
        attributes=MappingProxyType(dict(entry.attributes)),
        sha256=MappingProxyType({_relative(name, layout.root): digest for name, digest in hashes.items()}),
    )
    return case, (sum(scan.array.shape[0] for scan in probes), *first.array.shape[1:]), contents


def _relative(name: str, root: Path) -> str:
    path = Path(name)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _examined_mask(entry: CaseFiles, image: Scan) -> dict[str, str]:
    if entry.mask is None and not entry.structures:
        raise RefusedFile(entry.images[0], "it has no mask", "add its mask, or exclude the case")
    _, scans = case_mask(entry, image)
    return {name: digest for scan in scans for name, digest in scan.sha256.items()}


def case_mask(entry: CaseFiles, image: Scan) -> tuple[NDArray[np.uint8], list[Scan]]:
    """Class index per voxel of a case's mask, or of its structures together, and the files read."""
    sources: list[tuple[Path, int | None]] = [(path, index) for index, path in entry.structures]
    if entry.mask is not None:
        sources = [(entry.mask, None)]
    mask, scans = np.zeros(image.array.shape[1:], np.uint8), []
    for path, index in sources:
        if not path.exists():
            raise RefusedFile(path, "the mask is missing", "fetch it, or exclude the case")
        scan = read_mask(path, image)
        check_same_grid(path, scan, entry.images[0], image)
        scans.append(scan)
        if index is None:
            mask = class_mask(scan, path, entry.codes, entry.hint)
        else:
            add_structure(mask, scan, index, path)
    return mask, scans


def add_structure(mask: NDArray[np.uint8], scan: Scan, index: int, path: Path) -> None:
    """Write a structure's class where its own mask is not zero; refuse one that lies on another structure."""
    if scan.array.shape[0] != 1:
        raise RefusedFile(path, f"the mask has {scan.array.shape[0]} channels", "save one class number per voxel")
    inside = scan.array[0] != 0
    others = mask[inside]
    if ((others != 0) & (others != index)).any():
        reason = f"{int(((others != 0) & (others != index)).sum())} of its voxels belong to another structure as well"
        raise RefusedFile(path, reason, "leave one of the two out with cohort.classes")
    mask[inside] = index


def read_mask(path: Path, image: Scan) -> Scan:
    """The stored values of a mask file; a DICOM segmentation is placed on the grid of the image."""
    if path.suffix.lower() in PICTURES:
        return read_picture(path, indices=True)
    if path.suffix.lower() not in DICOM and not has_preamble(path):
        return read_any(path)
    from equipoise.cohorts.formats.dicom_seg import read_segmentation

    found = read_segmentation(path, image)
    return Scan(found.label_map()[None], image.spacing_mm, image.affine, found.sha256)


def check_same_grid(path: Path, scan: Scan, other_path: Path, other: Scan) -> None:
    """Refuse a file whose voxels do not lie on those of another: other shape, spacing or place in the world."""
    shape, wanted = scan.array.shape[1:], other.array.shape[1:]
    if shape != wanted:
        reason = f"its shape {shape} differs from {wanted} of {other_path.name}"
        raise RefusedFile(path, reason, "resample it to the image's grid, or exclude the case")
    if not np.allclose(scan.spacing_mm, other.spacing_mm, rtol=1e-3):
        reason = f"its spacing {scan.spacing_mm} mm differs from {other.spacing_mm} mm of {other_path.name}"
        raise RefusedFile(path, reason, "correct its header, or exclude the case")
    if scan.affine is None or other.affine is None or len(shape) != 3:
        return
    far = np.array([(x, y, z, 1) for z in (0, shape[0]) for y in (0, shape[1]) for x in (0, shape[2])]).T
    apart = float(np.linalg.norm((scan.affine - other.affine) @ far, axis=0).max())
    if apart > GRID_TOLERANCE * min(other.spacing_mm):
        reason = f"it lies up to {apart:.3g} mm beside {other_path.name}"
        raise RefusedFile(path, reason, "correct its header, or exclude the case")


def class_mask(
    scan: Scan, path: Path, codes: Mapping[int, int] | None, hint: str = "correct the labels"
) -> NDArray[np.uint8]:
    """Class index per voxel, from the stored values: whole numbers that `codes` knows (None: they are the indices)."""
    stored = scan.array[0]
    if scan.array.shape[0] != 1:
        raise RefusedFile(path, f"the mask has {scan.array.shape[0]} channels", "save one class number per voxel")
    values = np.unique(stored)
    if (values != np.rint(values)).any():
        raise RefusedFile(path, f"the mask holds {values[values != np.rint(values)][0]:g}", "save whole class numbers")
    found = [int(value) for value in values]
    known = dict(codes) if codes is not None else {value: value for value in range(256)}
    unknown = [value for value in found if value not in known]
    if unknown:
        shown = ", ".join(map(str, list(known)[:10]))
        raise RefusedFile(path, f"the mask holds the label {unknown[0]}, the cohort knows {shown}", hint)
    mask = np.zeros(stored.shape, np.uint8)
    for value in found:
        if known[value]:
            mask[stored == value] = known[value]
    return mask


def read_case(entry: CaseFiles, sha256: Mapping[str, str], with_mask: bool) -> Image:
    """All channels and the mask of one case; refused where a file is no longer the one that was examined."""
    try:
        return _read_files(entry, sha256, with_mask)
    except RefusedFile as refusal:
        raise refusal.of_case(entry.id) from refusal


def _read_files(entry: CaseFiles, sha256: Mapping[str, str], with_mask: bool) -> Image:
    scans = [read_any(path, entry.series_uid) for path in entry.images]
    array = scans[0].array if len(scans) == 1 else np.concatenate([scan.array for scan in scans])
    mask, mask_scans = case_mask(entry, scans[0]) if with_mask else (None, [])
    for scan in [*scans, *mask_scans]:
        for name, digest in scan.sha256.items():
            if sha256.get(name) != digest:
                raise RefusedFile(name, "it changed since the cohort was made", "run again")
    spacing = entry.spacing_mm or scans[0].spacing_mm
    return Image(array, spacing[-(array.ndim - 1) :], mask, scans[0].affine)
