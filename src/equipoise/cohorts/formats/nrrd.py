"""NRRD files (.nrrd, .nhdr with its data beside it): a text header, then numbers, raw or packed by gzip.

Reference: Teem's "Definition of NRRD file format". Axes are listed the fastest first; an axis without a direction in
space (kind list, vector, RGB-color …) is the channel. Lengths are millimetres, as ITK and Slicer write them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.nrrd_segments import segments_in
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.text_header import (
    BROKEN_TEXT,
    LONGEST_HEADER,
    LPS_TO_RAS,
    affine_of,
    companion,
    numbers_of,
    sizes_of,
)
from equipoise.cohorts.formats.volume_claim import (
    GZIP_MAGIC,
    Nonfinite,
    VolumeClaim,
    as_scan,
    check_affine,
    stored_voxels,
)

_TYPES = {
    name: code
    for code, names in {
        "i1": ("signed char", "int8", "int8_t"),
        "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
        "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
        "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
        "i4": ("int", "signed int", "int32", "int32_t"),
        "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
        "i8": (
            "longlong",
            "long long",
            "long long int",
            "signed long long",
            "signed long long int",
            "int64",
            "int64_t",
        ),
        "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
        "f4": ("float",),
        "f8": ("double",),
    }.items()
    for name in names
}
_TO_RAS = {
    "right-anterior-superior": np.eye(4), "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]), "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "left-posterior-superior": LPS_TO_RAS, "lps": LPS_TO_RAS,
}  # fmt: skip
_UNPLACED = "it states no anatomical space: its axes were taken as left, posterior, superior, as ITK does"
# An axis of unknown kind (??? or none) and one whose kind is left out are both taken for axes in space: scalar
# volumes are often written so.
_IN_SPACE = frozenset({"", "???", "none", "domain", "space"})
_VECTOR = re.compile(r"none|\([^()]*\)")
Fields = Mapping[str, str]


def read_nrrd(path: str | PathLike[str], *, limits: Limits = DEFAULT, nonfinite: Nonfinite = "refuse") -> Scan:
    """Read one file as (channel, z, y, x) in RAS+, or a flat one as (channel, y, x) without an affine.

    Raises RefusedFile for other encodings than raw and gzip, data in several files, and whatever makes no sense.
    """
    raw, digest = read_bytes(path, limits)
    fields, start = _fields(raw, path)
    hashes = {fspath(path): digest}
    data = raw[start:]
    voxel_file: str | PathLike[str] = path
    if name := fields.get("data file", fields.get("datafile")):
        voxel_file = companion(path, name)
        data, hashes[fspath(voxel_file)] = read_bytes(voxel_file, limits)
    elif start == len(raw):
        raise RefusedFile(path, "its header does not end", BROKEN_TEXT)
    packed = _packed(fields, path)
    if packed and data[:2] != GZIP_MAGIC:
        raise RefusedFile(voxel_file, "its voxels are not a gzip stream", "copy the file again")
    claim = _claim(fields, path)
    stored = stored_voxels(data, claim, voxel_file, limits, packed=packed)
    scan = as_scan(stored, claim, path, hashes, "NRRD", nonfinite)
    segments = segments_in(raw[:start], path, claim.dtype)
    return replace(scan, header={**scan.header, **segments}) if segments else scan


def _fields(raw: bytes, path: str | PathLike[str]) -> tuple[Fields, int]:
    """Return the header's fields by their names in small letters, and where the data begin."""
    if not raw.startswith(b"NRRD000"):
        raise RefusedFile(path, "it does not begin like an NRRD file", "give a .nrrd or .nhdr file")
    fields: dict[str, str] = {}
    position, first = 0, True
    while True:
        end = raw.find(b"\n", position, LONGEST_HEADER)
        if end < 0:  # a detached header may end with its last line
            line, after = raw[position:LONGEST_HEADER], len(raw)
        else:
            line, after = raw[position:end], end + 1
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        if not first and not text.strip():
            return fields, after
        if not first and not text.startswith("#") and ":=" not in text:
            key, colon, value = text.partition(":")
            if not colon:
                raise RefusedFile(path, f"its header has the line {text[:60]!r}", BROKEN_TEXT)
            if (name := key.strip().lower()) in fields:
                raise RefusedFile(path, f"its header gives {name[:60]!r} twice", BROKEN_TEXT)
            fields[name] = value.strip()
        if end < 0:
            return fields, len(raw)
        position, first = after, False


def _packed(fields: Fields, path: str | PathLike[str]) -> bool:
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        reason = f"its encoding is {encoding[:40]!r}"
        raise RefusedFile(path, reason, "save it with raw or gzip encoding, which 3D Slicer and SimpleITK do")
    # Skips are how a header points into a foreign file, for example past a DICOM header. What lies there is not
    # known, so it is not read.
    for key in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(key, "0") != "0":
            raise RefusedFile(path, f"its header skips a part of the data ({key})", "save it again without")
    return encoding != "raw"


def _claim(fields: Fields, path: str | PathLike[str]) -> VolumeClaim:
    sizes = sizes_of(fields.get("sizes", ""), "sizes", path)
    if fields.get("dimension") != str(len(sizes)):
        raise RefusedFile(path, f"it has {len(sizes)} sizes and the dimension {fields.get('dimension')!r}", BROKEN_TEXT)
    channel = _channel_axis(fields, sizes, path)
    grid = [size for axis, size in enumerate(sizes) if axis != channel]
    if len(grid) > 3 or len(grid) < 2 or channel not in (None, 0, len(sizes) - 1):
        raise RefusedFile(path, f"its sizes are {sizes}, and which of them are channels is not stated", _STATE_KINDS)
    x, y, *z = grid
    affine, remarks = _placed(fields, channel, len(sizes), path)
    return VolumeClaim(
        shape=(1 if channel is None else sizes[channel], z[0] if z else 1, y, x),
        dtype=_dtype(fields, path),
        offset=0,
        slope=1.0,
        intercept=0.0,
        affine=affine,
        remarks=remarks,
        flat=not z,
        channels_first_in_file=channel == 0,
        placed=_UNPLACED not in remarks,
    )


_STATE_KINDS = "save it with kinds (domain, list) or space directions"


def _dtype(fields: Fields, path: str | PathLike[str]) -> np.dtype[np.generic]:
    name = fields.get("type", "").lower()
    if name not in _TYPES:
        raise RefusedFile(path, f"its voxels are of the type {name[:40]!r}", "convert them to integers or floats")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "")
    # A file of single bytes needs no order and often states none; for any other a guess would give values that look
    # like noise, or nearly right.
    if not order and _TYPES[name][1] != "1":
        raise RefusedFile(path, "it does not state the order of its bytes", "save it again with a line endian")
    return np.dtype((order or "<") + _TYPES[name])


def _vectors(fields: Fields, axes: int, path: str | PathLike[str]) -> list[list[float] | None] | None:
    """The direction of every axis, None for the channel's; None altogether where the file states no directions."""
    text = fields.get("space directions")
    if text is None:
        return None
    parts = _VECTOR.findall(text)
    if len(parts) != axes:
        raise RefusedFile(path, f"its space directions are {text[:80]!r} for {axes} axes", BROKEN_TEXT)
    size = sum(part != "none" for part in parts)
    return [None if part == "none" else numbers_of(part[1:-1], size, "space directions", path) for part in parts]


def _channel_axis(fields: Fields, sizes: Sequence[int], path: str | PathLike[str]) -> int | None:
    kinds = fields.get("kinds", "").split() or [""] * len(sizes)
    vectors = _vectors(fields, len(sizes), path) or [[0.0]] * len(sizes)
    if len(kinds) != len(sizes):
        raise RefusedFile(path, f"it has {len(kinds)} kinds and {len(sizes)} sizes", BROKEN_TEXT)
    # Points in time are repeated measurements of one patient. As channels a model would see all of them at once,
    # which nobody decided.
    if "time" in (kind.lower() for kind in kinds):
        raise RefusedFile(path, "one of its axes is time", "save each time point as a file of its own")
    apart = [axis for axis in range(len(sizes)) if kinds[axis].lower() not in _IN_SPACE or vectors[axis] is None]
    if len(apart) > 1 or (not apart and len(sizes) > 3):
        raise RefusedFile(
            path, f"its sizes are {list(sizes)}, and which of them are channels is not stated", _STATE_KINDS
        )
    return apart[0] if apart else None


def _placed(
    fields: Fields, channel: int | None, axes: int, path: str | PathLike[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the affine of voxel (x, y, z) → RAS+ mm, from directions, or from spacings where there are none."""
    size = axes - (channel is not None)
    vectors = _vectors(fields, axes, path)
    if vectors is None:
        steps = np.diag(_spacings(fields, channel, axes, path))
        origin = numbers_of(fields.get("space origin", " 0" * size).strip("() "), size, "space origin", path)
    else:
        steps = np.array([vector for vector in vectors if vector is not None])
        if steps.shape != (size, size):
            raise RefusedFile(path, f"its space directions are {len(steps)} for {size} axes in space", BROKEN_TEXT)
        origin = numbers_of(fields.get("space origin", " 0" * size).strip("() "), size, "space origin", path)
    with np.errstate(all="ignore"):
        affine = affine_of(steps, np.array(origin))
        space = fields.get("space", "").lower()
        if space and space not in _TO_RAS and size == 3:
            raise RefusedFile(path, f"its space is {space[:40]!r}", "save it in left-posterior-superior, as ITK does")
        affine = _TO_RAS.get(space, LPS_TO_RAS) @ affine
        check_affine(affine, path)
    # Spacings without directions state lengths and no orientation, so the remark is due even where a space is named.
    unplaced = size == 3 and (not space or vectors is None)
    return affine, (_UNPLACED,) if unplaced else ()


def _spacings(fields: Fields, channel: int | None, axes: int, path: str | PathLike[str]) -> list[float]:
    if (text := fields.get("spacings")) is None:
        return [1.0] * (axes - (channel is not None))
    parts = text.split()
    kept = " ".join(part for axis, part in enumerate(parts) if axis != channel)
    if len(parts) != axes:
        raise RefusedFile(path, f"it has {len(parts)} spacings and {axes} sizes", BROKEN_TEXT)
    return numbers_of(kept, axes - (channel is not None), "spacings", path)
