"""DICOM series as volumes: slices found, sorted by geometry, rescaled to real units (CT: Hounsfield), in RAS+.

All parsing happens in the sandbox's child; this module sees checked facts and raw arrays only.
"""

import importlib.util
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom_geometry import Slice, Stack, stack
from equipoise.cohorts.formats.file_names import data_files, is_document, is_download
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.sandbox import Sandbox, shared_sandbox
from equipoise.cohorts.formats.scan import Plane, Scan, axis_codes, axis_of_each_world_axis, canonical, owned
from equipoise.cohorts.formats.volume_claim import check_affine
from equipoise.errors import CohortError

_DETAILS = ("echo_time", "acquisition_number", "temporal_position", "trigger_time", "b_value", "instance_number")
_ONE_VALUE = {"patient_id": "patient", "modality": "modality", "rows": "number of rows", "columns": "number of columns",
              "samples": "number of colours", "frame_of_reference": "frame of reference"}  # fmt: skip
_HEADER_KEYS = ("patient_id", "study_uid", "series_uid", "frame_of_reference", "modality", "series_description",
                "manufacturer", "photometric", "rescale_type", "slice_thickness", "sop_class")  # fmt: skip


# A scout is rare among the slices that it plans. Two short stacks of different orientation in one series are no
# scout, and this ratio keeps them refused.
_SLICES_PER_SCOUT = 8
_ACROSS = 0.7  # the cosine of 45°


@dataclass(frozen=True)
class Series:
    """One series of a folder: its identity and its files in no particular order."""

    uid: str
    description: str
    modality: str
    files: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        """Such as "1.2.3 (CT, 'chest', 120 files)"."""
        described = (self.modality, self.description and repr(self.description))
        return f"{self.uid} ({', '.join(filter(None, described))}, {len(self.files)} files)"


def require_dicom() -> None:
    """Say in one sentence how to install the DICOM part where it is missing."""
    if importlib.util.find_spec("pydicom") is None:
        raise CohortError("reading DICOM needs pydicom; install it with: pip install 'equipoise[dicom]'.")


def find_series(
    source: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    limits: Limits = DEFAULT,
    sandbox: Sandbox | None = None,
) -> tuple[Series, ...]:
    """Return the image series in a folder (searched to its leaves) or among files, ordered by UID.

    Objects without pixels (reports, plans) and segmentations are left out; files that are no DICOM at all are passed
    over in a folder, unless their name ends in .dcm. A DICOM file that cannot be read refuses the whole folder, for a
    slice must not vanish.
    """
    require_dicom()
    sandbox = sandbox or shared_sandbox(limits)
    by_uid: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for file in _files(source, limits):
        facts, _ = sandbox.ask("dicom_header", file)
        if facts["kind"] == "image":
            by_uid[facts["series_uid"]][file] = facts
    return tuple(
        Series(
            uid=uid,
            description=next(iter(members.values()))["series_description"],
            modality=next(iter(members.values()))["modality"],
            files=tuple(members),
            facts=tuple(members.values()),
        )
        for uid, members in sorted(by_uid.items())
    )


def _files(source: str | PathLike[str] | Iterable[str | PathLike[str]], limits: Limits) -> list[str]:
    if not isinstance(source, (str, os.PathLike)):
        return [fspath(file) for file in source]
    if not Path(source).is_dir():
        return [fspath(source)]
    files = [fspath(path) for path in data_files(source) if _is_dicom(path)]
    if len(files) > limits.frames:
        reason = f"it holds {len(files)} DICOM files and the limit is {limits.frames}"
        raise RefusedFile(source, reason, "give the folder of one series, or raise EQUIPOISE_LIMIT_FRAMES")
    if not files:
        raise RefusedFile(source, "it holds no DICOM file", "give the folder that holds the series")
    return files


def passed_over(folder: Path) -> list[Path]:
    """Return the files of a folder that `find_series` does not open: unfinished copies, and what says nowhere DICOM.

    Documents are not among them: no slice is named like one. Geometry shows an inner slice among them, and no outermost
    one (a download that stopped, a file of zeros).
    """
    files = (path for path in data_files(folder, downloads=True) if not is_document(path.name))
    return [path for path in files if is_download(path.name) or not _is_dicom(path)]


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() in (".dcm", ".dicom") or has_preamble(path)


def has_preamble(path: Path) -> bool:
    """Tell whether a file says at its beginning that it is DICOM, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom_series(
    source: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    series_uid: str | None = None,
    limits: Limits = DEFAULT,
    sandbox: Sandbox | None = None,
) -> Scan:
    """Return one series, from its folder or its files, as (channel, z, y, x) in real units.

    A single picture that has no place in space comes as (channel, y, x), without an affine.

    Values are stored · slope + intercept, slice by slice; they stay integers where that is exact and are float32 else.
    Colour gives three channels. MONOCHROME1 is inverted, except where values are Hounsfield units.

    Raises RefusedFile for several series (unless `series_uid` picks one), missing, doubled or shifted slices, several
    orientations or patients, a tilted gantry, and whatever the parser refuses; CohortError where pydicom is missing.
    """
    sandbox = sandbox or shared_sandbox(limits)
    if not isinstance(source, (str, os.PathLike)):
        source = [fspath(file) for file in source]
    name = fspath(source) if isinstance(source, (str, os.PathLike)) else next(iter(source), "the list of files")
    series = _pick(find_series(source, limits=limits, sandbox=sandbox), series_uid, fspath(name))
    series, doubled = without_copies(series)
    series, scouts = without_scouts(series)
    doubled += scouts
    _check_one(series)
    slices = [piece for file, facts in zip(series.files, series.facts, strict=True) for piece in slices_of(file, facts)]
    first = series.facts[0]
    if (
        len(slices) > limits.frames
        or len(slices) * first["rows"] * first["columns"] * first["samples"] * 4 > limits.array_bytes
    ):
        reason = f"its {len(slices)} slices of {first['rows']} × {first['columns']} are beyond the limits"
        raise RefusedFile(
            name, reason, "raise EQUIPOISE_LIMIT_ARRAY_BYTES or EQUIPOISE_LIMIT_FRAMES if it is known to be good"
        )
    if any(piece.position is None for piece in slices):
        return _placeless(series, slices, sandbox, doubled)
    placed = stack(slices, first["spacing_between"] or slices[0].thickness or first["slice_thickness"])
    check_affine(placed.affine, series.files[0])
    pixels, remarks = _voxels(series, placed.slices, sandbox)
    array, affine, spacing_mm = canonical(pixels, placed.affine)
    axis, planes = _planes(series, placed)
    return Scan(
        array=owned(array),
        spacing_mm=spacing_mm,
        affine=affine,
        sha256={file: facts["sha256"] for file, facts in zip(series.files, series.facts, strict=True)},
        stored_axes=axis_codes(placed.affine),
        header=_header(first) | _extent(placed),
        remarks=doubled + placed.remarks + _absent(series, placed) + remarks,
        planes=planes,
        plane_axis=axis,
    )


def _header(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in _HEADER_KEYS} | ({"colour": True} if facts["samples"] == 3 else {})


def _extent(placed: Stack) -> dict[str, Any]:
    """How many slices there are and from where to where, in mm along their normal: an outermost one lost shows here."""
    # The extent goes into the header because a missing inner slice shows as a gap and a missing outer one shows
    # nowhere else.
    step = placed.affine[:3, 2]
    start = float(placed.affine[:3, 3] @ step / np.linalg.norm(step))
    end = start + float(np.linalg.norm(step)) * (len(placed.slices) - 1)
    return {"slices": len(placed.slices), "slices_from_to_mm": (round(start, 3), round(end, 3))}


def _absent(series: Series, placed: Stack) -> tuple[str, ...]:
    """What tells that an outermost slice is missing: geometry cannot, but some series state or number their images."""
    first, last = _extent(placed)["slices_from_to_mm"]
    here = f"{len(series.files)} are here, from {first:g} to {last:g} mm: outer slices may be missing"
    # The count is believed only where all files state the same one. This is a remark and no refusal, because a part
    # of a series may have been exported on purpose.
    for key in ("series_instances", "images_in_acquisition"):
        counts = {facts[key] for facts in series.facts}
        claimed = counts.pop()
        if not counts and claimed is not None and claimed > len(series.files):
            return (f"the series states {claimed:g} images and {here}",)
    numbers = sorted(facts["instance_number"] or 0 for facts in series.facts)
    if numbers[0] > 1 and numbers[-1] - numbers[0] == len(numbers) - 1 > 0:
        return (f"the images are numbered from {numbers[0]:g} to {numbers[-1]:g} and {here}",)
    return ()


def _planes(series: Series, placed: Stack) -> tuple[int, tuple[Plane, ...]]:
    """The spatial axis of the canonical array along which slices follow each other, and where each plane came from."""
    uids = {file: facts["sop_uid"] for file, facts in zip(series.files, series.facts, strict=True)}
    planes = [
        Plane(piece.file, piece.frame, uids[piece.file], piece.position or (0.0, 0.0, 0.0)) for piece in placed.slices
    ]
    world = axis_of_each_world_axis(placed.affine).index(2)
    if placed.affine[world, 2] < 0:
        planes.reverse()
    return 2 - world, tuple(planes)


def _pick(candidates: Sequence[Series], series_uid: str | None, name: str) -> Series:
    if series_uid is not None:
        candidates = [series for series in candidates if series.uid == series_uid]
    if not candidates:
        what = f"no image series {series_uid}" if series_uid else "no image"
        raise RefusedFile(name, f"it holds {what}", "give the folder that holds the images")
    if len(candidates) > 1:
        listed = "; ".join(map(str, candidates[:5])) + ("; …" if len(candidates) > 5 else "")
        remedy = "give the folder of one series, or name one in the column series_uid of a manifest or with --series"
        raise RefusedFile(name, f"it holds {len(candidates)} series: {listed}", remedy)
    return candidates[0]


def without_copies(series: Series) -> tuple[Series, tuple[str, ...]]:
    """Drop files that are byte for byte another file of the series; refuse two that claim one identity and differ."""
    kept: dict[str, tuple[str, Mapping[str, Any]]] = {}
    copies = []
    for file, facts in zip(series.files, series.facts, strict=True):
        # A file without an identifier stands for itself; whether it doubles another is then left to the positions.
        identity = facts["sop_uid"] or file
        if identity not in kept:
            kept[identity] = (file, facts)
        elif kept[identity][1]["sha256"] == facts["sha256"]:
            copies.append(file)
        else:
            raise RefusedFile(
                file, f"it has the identity of {kept[identity][0]!r} and other content", "keep one of the two"
            )
    if not copies:
        return series, ()
    files, facts_kept = zip(*kept.values(), strict=True)
    remark = f"{len(copies)} files were copies of another slice and were left out, first {copies[0]!r}"
    return Series(series.uid, series.description, series.modality, files, facts_kept), (remark,)


def without_scouts(series: Series) -> tuple[Series, tuple[str, ...]]:
    """Drop lone slices of quite another orientation: scouts, which some scanners file under the series they plan.

    A slice that stands across the others cannot be a part of their volume. At most two are dropped, from eight times as
    many that agree; anything else stays and is refused as several orientations.
    """
    planes = [facts["slices"][0]["orientation"] if len(facts["slices"]) == 1 else None for facts in series.facts]
    if len(planes) <= _SLICES_PER_SCOUT or any(plane is None for plane in planes):
        return series, ()
    # Normals are compared up to their sign, since a stack whose rows run the other way still lies in the same plane.
    axes = np.array([np.cross(plane[:3], plane[3:]) for plane in planes if plane is not None])
    alike = np.abs(axes @ axes.T) > _ACROSS
    # The largest group that agrees is taken for the volume, and not the first file: a scout may well be the first
    # image of its series.
    main = alike[int(alike.sum(axis=1).argmax())]
    lone = int((~main).sum())
    if not 0 < lone <= 2 or lone * _SLICES_PER_SCOUT > int(main.sum()):
        return series, ()
    kept = [index for index, stays in enumerate(main.tolist()) if stays]
    dropped = next(file for file, stays in zip(series.files, main.tolist(), strict=True) if not stays)
    remark = f"{lone} of its images lay across all others (a scout) and were left out, first {Path(dropped).name!r}"
    files, facts = tuple(series.files[k] for k in kept), tuple(series.facts[k] for k in kept)
    return Series(series.uid, series.description, series.modality, files, facts), (remark,)


def _check_one(series: Series) -> None:
    for key, word in _ONE_VALUE.items():
        for file, facts in zip(series.files, series.facts, strict=True):
            if facts[key] != series.facts[0][key]:
                reason = f"its {word} {facts[key]!r} differs from {series.facts[0][key]!r} of {series.files[0]!r}"
                raise RefusedFile(file, reason, "separate the files into one folder per series")


def slices_of(file: str, facts: Mapping[str, Any]) -> list[Slice]:
    """Return the frames of one file as slices, from the facts of its header."""
    shared = tuple((name, facts[name]) for name in _DETAILS)
    return [
        Slice(
            file=file,
            frame=index,
            position=_tuple(piece["position"]),
            orientation=_tuple(piece["orientation"]),
            pixel_spacing=_tuple(piece["pixel_spacing"]),
            slope=piece["slope"],
            intercept=piece["intercept"],
            thickness=piece.get("slice_thickness"),
            details=(*shared, ("stack", piece.get("stack")), ("time", piece.get("temporal"))),
        )
        for index, piece in enumerate(facts["slices"])
    ]


def _tuple(values: Iterable[float] | None) -> Any:
    return None if values is None else tuple(values)


def _voxels(series: Series, slices: Sequence[Slice], sandbox: Sandbox) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return (channel, slice, row, column) in the order of `slices`; each file is decoded once."""
    known = dict(zip(series.files, series.facts, strict=True))
    places: dict[str, list[tuple[int, Slice]]] = defaultdict(list)
    for index, piece in enumerate(slices):
        places[piece.file].append((index, piece))
    volume: NDArray[Any] | None = None
    remarks: dict[str, None] = {}
    for file, members in places.items():
        answer, (pixels,) = sandbox.ask("dicom_pixels", file)
        # The header was read in an earlier request, and between the two a download may have replaced the file; the
        # facts hold its hash.
        if answer["facts"] != known[file]:
            raise RefusedFile(file, "it changed while it was read", "wait until it is written and try again")
        remarks |= dict.fromkeys(answer["remarks"])
        channels = pixels[..., None] if pixels.ndim == 3 else pixels
        for index, piece in members:
            values = rescaled(channels[piece.frame], piece)
            if volume is None:
                volume = np.empty((values.shape[-1], len(slices), *values.shape[:2]), values.dtype)
            elif volume.dtype != values.dtype:  # widened only when a slice needs it: most CT stays at 16 bits
                volume = volume.astype(np.promote_types(volume.dtype, values.dtype))
            volume[:, index] = np.moveaxis(values, -1, 0)
    if volume is None:
        raise RefusedFile(series.uid, "the series has no slice", "give the folder that holds the series")
    return volume, tuple(remarks)


def rescaled(stored: NDArray[Any], piece: Slice) -> NDArray[Any]:
    """Real values of one slice: stored · slope + intercept, in the smallest signed integer that holds them exactly.

    Fractional factors give float32; a slice that needs no rescaling keeps its type.
    """
    if (piece.slope, piece.intercept) == (1.0, 0.0):
        return stored
    real = stored.astype(np.float64) * piece.slope + piece.intercept
    # The interval is measured instead of derived from the type, because CT is stored in 16 bits unsigned with an
    # intercept of -1024 and fits int16 nearly always; float32 would double every scan in memory.
    if stored.dtype.kind != "f" and piece.slope == int(piece.slope) and piece.intercept == int(piece.intercept):
        for candidate in (np.int16, np.int32):
            room = np.iinfo(candidate)
            if room.min <= real.min() and real.max() <= room.max:
                return real.astype(candidate)
    return real.astype(np.float32)


def _placeless(series: Series, slices: Sequence[Slice], sandbox: Sandbox, remarks: tuple[str, ...]) -> Scan:
    """Read a picture or a run of frames that the file gives no place in space."""
    first = series.facts[0]
    if len(series.files) > 1:
        lost = next(piece.name for piece in slices if piece.position is None)
        raise RefusedFile(lost, "it has no position, so the series cannot be sorted", "read its files one by one")
    pixels, assumed = _voxels(series, slices, sandbox)
    spacing: tuple[float, ...] | None = slices[0].pixel_spacing
    if spacing is None and first["projection_spacing"]:
        spacing, assumed = (
            _tuple(first["projection_spacing"]),
            (*assumed, "the pixel spacing is that of the detector"),
        )
    if spacing is None:
        spacing, assumed = (1.0, 1.0), (*assumed, "the pixel spacing is unknown: 1 mm was taken")
    if len(slices) == 1:
        pixels = pixels[:, 0]
    else:
        between = first["spacing_between"] or first["slice_thickness"] or 1.0
        spacing, assumed = (
            (between, *spacing),
            (*assumed, "its frames have no position: their stored order was kept"),
        )
    return Scan(
        array=owned(pixels),
        spacing_mm=tuple(float(value) for value in spacing),
        affine=None,
        sha256={series.files[0]: first["sha256"]},
        header=_header(first),
        remarks=(*remarks, *assumed),
    )
