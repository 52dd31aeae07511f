"""MetaImage files (.mha, .mhd with its data beside it): text lines, then numbers, raw or packed by zlib.

ITK's own format; axes are left, posterior, superior in millimetres, as everywhere in ITK.
"""

import zlib
from collections.abc import Mapping
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.limits import DEFAULT, DEFLATE_RATIO, Limits
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
    AGAIN,
    Nonfinite,
    VolumeClaim,
    as_scan,
    check_affine,
    check_limits,
)

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
Fields = Mapping[str, str]


def read_metaimage(path: str | PathLike[str], *, limits: Limits = DEFAULT, nonfinite: Nonfinite = "refuse") -> Scan:
    """Read one file as (channel, z, y, x) in RAS+, or a flat one as (channel, y, x) without an affine.

    Raises RefusedFile for text data, data in several files, and whatever makes no sense.
    """
    raw, digest = read_bytes(path, limits)
    fields, start = _fields(raw, path)
    claim = _claim(fields, path)
    check_limits(claim, path, limits)
    hashes = {fspath(path): digest}
    data, voxel_file = raw[start:], path
    if (name := fields["elementdatafile"]).upper() != "LOCAL":
        # A list or a pattern would let a header name any number of other files, of which each would have to be
        # limited and hashed.
        if name.upper().startswith("LIST") or "%" in name:
            raise RefusedFile(path, "its voxels lie in several files", "save it as one .mha file")
        voxel_file = companion(path, name)
        data, hashes[fspath(voxel_file)] = read_bytes(voxel_file, limits)
    data = _unpacked(data, claim, voxel_file) if _flag(fields, "compresseddata", path) else _cut(data, fields, path)
    if len(data) != claim.voxel_bytes:
        reason = f"its header claims {claim.voxel_bytes} bytes of voxels and {len(data)} are there"
        raise RefusedFile(voxel_file, reason, AGAIN)
    return as_scan(claim.arranged(data), claim, path, hashes, "MetaImage", nonfinite)


def _fields(raw: bytes, path: str | PathLike[str]) -> tuple[Fields, int]:
    """Return the header's fields by their names in small letters, and where the data begin: after ElementDataFile."""
    fields: dict[str, str] = {}
    position = 0
    # MetaIO ends its header with this key and nothing else: the line after it is already data, even if it looks like
    # text.
    while "elementdatafile" not in fields:
        end = raw.find(b"\n", position, LONGEST_HEADER)
        line = raw[position : end if end >= 0 else LONGEST_HEADER]
        position = end + 1 if end >= 0 else len(raw)
        key, equals, value = line.rstrip(b"\r").decode("utf-8", "replace").partition("=")
        name = key.strip().lower()
        # Readers differ in which of two lines they believe, so a doubled key is refused instead of resolved.
        if equals and name in fields:
            raise RefusedFile(path, f"its header gives {name[:60]!r} twice", BROKEN_TEXT)
        if equals:
            fields[name] = value.strip()
        elif name or end < 0:
            reason = "its header does not end with ElementDataFile" if fields else "it does not begin like a MetaImage"
            raise RefusedFile(path, reason, "give a .mha or .mhd file")
        if end < 0 and "elementdatafile" not in fields:
            raise RefusedFile(path, "its header does not end with ElementDataFile", BROKEN_TEXT)
    if fields.get("objecttype", "Image").lower() != "image":
        raise RefusedFile(path, f"it is a MetaIO object of the type {fields['objecttype'][:40]!r}", "give an image")
    return fields, position


def _flag(fields: Fields, key: str, path: str | PathLike[str]) -> bool:
    value = fields.get(key, "False").lower()
    if value not in ("true", "false", "1", "0"):
        raise RefusedFile(path, f"its {key} is {value[:40]!r}", BROKEN_TEXT)
    return value in ("true", "1")


def _cut(data: bytes, fields: Fields, path: str | PathLike[str]) -> bytes:
    """Return the data where no bytes before them are to be passed over; −1 counts from the end, so all is taken."""
    text = fields.get("headersize", "0")
    if not text.lstrip("-").isdigit() or int(text) not in (0, -1):
        raise RefusedFile(path, f"its header skips {text[:40]!r} bytes of the data", "save it as one .mha file")
    return data


def _unpacked(data: bytes, claim: VolumeClaim, path: str | PathLike[str]) -> bytes:
    if claim.voxel_bytes > DEFLATE_RATIO * max(len(data), 1):
        reason = f"its header claims {claim.voxel_bytes} bytes, more than {len(data)} compressed bytes can hold"
        raise RefusedFile(path, reason, AGAIN)
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, each with its checksum
    try:
        # One byte more than claimed is allowed, so that data longer than the claim are seen as such and nothing
        # beyond it is inflated.
        content = inflater.decompress(data, claim.voxel_bytes + 1)
        if len(content) == claim.voxel_bytes and not inflater.eof:
            content += inflater.decompress(inflater.unconsumed_tail, 1)  # to the checksum behind the last voxel
    except zlib.error as error:
        raise RefusedFile(path, "its compressed voxels are corrupt", AGAIN) from error
    if not inflater.eof and len(content) <= claim.voxel_bytes:
        raise RefusedFile(path, "its compressed voxels end early", AGAIN)
    return content


def _claim(fields: Fields, path: str | PathLike[str]) -> VolumeClaim:
    sizes = sizes_of(fields.get("dimsize", ""), "DimSize", path)
    if fields.get("ndims") != str(len(sizes)):
        raise RefusedFile(path, f"it has {len(sizes)} sizes and NDims is {fields.get('ndims')!r}", BROKEN_TEXT)
    if not _flag(fields, "binarydata", path) and "binarydata" in fields:
        raise RefusedFile(path, "its voxels are written as text", "save it as binary data")
    inner = fields.get("elementnumberofchannels", "1")
    if not (inner.isascii() and inner.isdigit() and 0 < int(inner) < 1 << 16) or (inner != "1" and len(sizes) == 4):
        raise RefusedFile(path, f"it has {inner[:20]!r} channels beside {len(sizes)} axes", "save one image a file")
    x, y, *rest = sizes
    z, outer = (*rest, 1, 1)[:2]
    return VolumeClaim(
        shape=(int(inner) * outer, z, y, x),
        dtype=_dtype(fields, path),
        offset=0,
        slope=1.0,
        intercept=0.0,
        affine=_placed(fields, len(sizes), path),
        remarks=(),
        flat=not rest,
        channels_first_in_file=inner != "1",
        placed=any(name in fields for name in _DIRECTIONS),
    )


_DIRECTIONS = ("transformmatrix", "rotation", "orientation")
"""The keys of an image's orientation, of which a file has one, or none and so none that it states."""


def _dtype(fields: Fields, path: str | PathLike[str]) -> np.dtype[np.generic]:
    name = fields.get("elementtype", "").upper()
    if name not in _TYPES:
        raise RefusedFile(path, f"its voxels are {name[:40]!r}", "convert them to integers or floats")
    key = "elementbyteordermsb" if "elementbyteordermsb" in fields else "binarydatabyteordermsb"
    return np.dtype((">" if _flag(fields, key, path) else "<") + _TYPES[name])


def _placed(fields: Fields, axes: int, path: str | PathLike[str]) -> NDArray[np.float64]:
    """Return the affine of voxel (x, y, z) → RAS+ mm; a fourth axis holds channels and has no place."""

    def given(names: tuple[str, ...], count: int, default: list[float]) -> NDArray[np.float64]:
        """Return the numbers of the first of these keys that the header has, or else the default."""
        key = next((name for name in names if name in fields), None)
        return np.array(default if key is None else numbers_of(fields[key], count, key, path))

    size = min(axes, 3)
    identity = np.eye(axes).ravel().tolist()
    # MetaIO reads each of these under three names, so files with the second or third name are sound ones.
    turn = given(_DIRECTIONS, axes * axes, identity).reshape(axes, axes)
    spacing = given(("elementspacing", "elementsize"), axes, [1.0] * axes)
    origin = given(("offset", "position", "origin"), axes, [0.0] * axes)
    with np.errstate(all="ignore"):
        affine = LPS_TO_RAS @ affine_of(turn[:size, :size] * spacing[:size, None], origin[:size])
        check_affine(affine, path)
    return affine
