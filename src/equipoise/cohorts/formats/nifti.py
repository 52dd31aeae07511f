"""NIfTI files, compressed or not: read once and whole, checked against their own claims, turned to RAS+.

The parser is our own (numpy on 348 bytes): a corrupt .nii.gz is read silently by libraries that stop at the last
voxel, before the checksum. What is promised: a .nii.gz whose content changed is refused, by its CRC; an uncompressed
file has no checksum, there the recorded SHA-256 tells which bytes were read, and every voxel is what those bytes say.
"""

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.gunzip import GzipBytes
from equipoise.cohorts.formats.limits import DEFAULT, DEFLATE_RATIO, Limits
from equipoise.cohorts.formats.nifti_header import LONGEST_HEADER, NiftiHeader, parse_header
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan, axis_codes, canonical, owned

_GZIP_MAGIC = b"\x1f\x8b"
_AGAIN = "copy or export the file again"


def read_nifti(
    path: str | PathLike[str], *, limits: Limits = DEFAULT, nonfinite: Literal["refuse", "zero"] = "refuse"
) -> Scan:
    """The volume of one .nii or .nii.gz file as (channel, z, y, x), x to the right, y to anterior, z to superior.

    A 4D file's last axis becomes the channel. Stored integers stay integers unless the header scales them; scaled
    values are float32, or float64 where float32 could not hold the stored ones.

    nonfinite: what to do with NaN and infinity, which some tools write as background: refuse the file, or read 0.
    Raises RefusedFile (one sentence: file, reason, remedy).
    """
    raw, digest = read_bytes(path, limits)
    if raw[:2] == _GZIP_MAGIC:
        header, stored = _from_gzip(raw, path, limits)
    else:
        header, stored = _from_plain(raw, path, limits)
    values = _scaled(stored, header)
    values, remark = _finite(values, path, nonfinite)
    array, affine, spacing_mm = canonical(values, header.affine)
    return Scan(
        array=owned(array),
        spacing_mm=spacing_mm,
        affine=affine,
        sha256={fspath(path): digest},
        stored_axes=axis_codes(header.affine),
        header=_described(header),
        remarks=header.remarks + remark,
    )


def probe_nifti(path: str | PathLike[str], *, limits: Limits = DEFAULT) -> Scan:
    """Grid, remarks and SHA-256 of a file whose voxels are left unread: the array is a view of one zero.

    Refuses what the header alone can refute; the voxels, and a gzip checksum, are checked by `read_nifti`.
    """
    raw, digest = read_bytes(path, limits)
    head = GzipBytes(raw, path).read(LONGEST_HEADER) if raw[:2] == _GZIP_MAGIC else raw[:LONGEST_HEADER]
    header = parse_header(head, path)
    _check_claim(header, path, limits)
    nothing = np.broadcast_to(np.zeros((), header.dtype.newbyteorder("=")), header.shape)
    array, affine, spacing_mm = canonical(nothing, header.affine)
    codes = axis_codes(header.affine)
    return Scan(array, spacing_mm, affine, {fspath(path): digest}, codes, _described(header), header.remarks)


def _described(header: NiftiHeader) -> Mapping[str, Any]:
    return {"format": "NIfTI", "stored_dtype": header.dtype.name, "slope": header.slope, "intercept": header.intercept}


def _from_plain(raw: bytes, path: str | PathLike[str], limits: Limits) -> tuple[NiftiHeader, NDArray[Any]]:
    header = parse_header(raw, path)
    _check_claim(header, path, limits)
    found = len(raw) - header.offset
    if found != header.voxel_bytes:
        raise RefusedFile(
            path, f"its header claims {header.voxel_bytes} bytes of voxels and {max(found, 0)} are there", _AGAIN
        )
    return header, np.frombuffer(raw, header.dtype, offset=header.offset).reshape(header.shape)


def _from_gzip(raw: bytes, path: str | PathLike[str], limits: Limits) -> tuple[NiftiHeader, NDArray[Any]]:
    stream = GzipBytes(raw, path)
    head = stream.read(LONGEST_HEADER)
    header = parse_header(head, path)
    _check_claim(header, path, limits)
    total = header.offset + header.voxel_bytes
    if total > DEFLATE_RATIO * len(raw) + LONGEST_HEADER:
        raise RefusedFile(
            path, f"its header claims {total} bytes, more than {len(raw)} compressed bytes can hold", _AGAIN
        )
    stream_rest = stream.read(max(total - len(head), 0))
    content = head + stream_rest
    if len(content) < total:
        raise RefusedFile(path, f"its header claims {total} bytes and {len(content)} are there", _AGAIN)
    if len(content) > total or not stream.finish():
        raise RefusedFile(path, f"it holds more than the {total} bytes its header claims", _AGAIN)
    return header, np.frombuffer(content, header.dtype, offset=header.offset).reshape(header.shape)


def _check_claim(header: NiftiHeader, path: str | PathLike[str], limits: Limits) -> None:
    decoded = header.voxel_bytes * (
        2 if header.dtype.itemsize < 4 and (header.slope, header.intercept) != (1, 0) else 1
    )
    if decoded > limits.array_bytes or header.offset > limits.array_bytes:
        raise RefusedFile(
            path,
            f"its header claims {header.offset + header.voxel_bytes} bytes and the limit is {limits.array_bytes}",
            "raise Limits.array_bytes if it is known to be good",
        )


def _scaled(stored: NDArray[Any], header: NiftiHeader) -> NDArray[Any]:
    if (header.slope, header.intercept) == (1.0, 0.0):
        return stored
    exact_in_float32 = stored.dtype.itemsize <= 2 or stored.dtype == np.float32
    with np.errstate(over="ignore", invalid="ignore"):  # an absurd slope gives infinity, which is judged below
        real = stored.astype(np.float64)
        real *= header.slope
        real += header.intercept
        return real.astype(np.float32) if exact_in_float32 else real


def _finite(
    values: NDArray[Any], path: str | PathLike[str], nonfinite: Literal["refuse", "zero"]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values, ()
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if nonfinite == "refuse":
        raise RefusedFile(
            path, f"{count} of its voxels are NaN or infinite", 'mend them, or read them as 0 with nonfinite="zero"'
        )
    return np.where(bad, values.dtype.type(0), values), (f"{count} voxels that were NaN or infinite were read as 0",)
