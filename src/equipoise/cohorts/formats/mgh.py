"""FreeSurfer's volumes, .mgh and .mgz: nibabel takes the header apart, every claim is checked here."""

from os import PathLike, fspath
from typing import Any

import numpy as np

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.gunzip import GzipBytes
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.volume_claim import (
    BROKEN,
    GZIP_MAGIC,
    Nonfinite,
    VolumeClaim,
    as_scan,
    check_affine,
    stored_voxels,
)

_HEADER_BYTES = 284
_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}


def read_mgh(path: str | PathLike[str], *, limits: Limits = DEFAULT, nonfinite: Nonfinite = "refuse") -> Scan:
    """Return the volume of one .mgh or .mgz file as (channel, z, y, x) in RAS+; frames become channels.

    What FreeSurfer writes behind the voxels (times, tags) is not read. Raises RefusedFile.
    """
    raw, digest = read_bytes(path, limits)
    packed = raw[:2] == GZIP_MAGIC
    head = bytes(GzipBytes(raw, path).read(_HEADER_BYTES)) if packed else raw[:_HEADER_BYTES]
    claim = _claim(head, path)
    # FreeSurfer appends scan parameters and tags, so bytes behind the voxels are no sign of damage here.
    stored = stored_voxels(raw, claim, path, limits, tail=True)
    return as_scan(stored, claim, path, {fspath(path): digest}, "MGH", nonfinite)


def _claim(head: bytes, path: str | PathLike[str]) -> VolumeClaim:
    from nibabel.freesurfer.mghformat import MGHHeader  # .4 s that only its files should cost

    if len(head) < _HEADER_BYTES or head[:4] != b"\0\0\0\x01":
        raise RefusedFile(path, "it does not begin with an MGH header", "give a .mgh or .mgz file")
    # the fields behind the voxels are not asked for, so zeros stand for them
    fields: Any = MGHHeader(head.ljust(MGHHeader.template_dtype.itemsize, b"\0"), check=False)  # type: ignore[no-untyped-call]
    x, y, z, frames = (int(size) for size in fields["dims"])
    if min(x, y, z, frames) < 1:
        raise RefusedFile(path, f"its header claims the dimensions {[x, y, z, frames]}", BROKEN)
    code = int(fields["type"])
    if code not in _TYPES:
        raise RefusedFile(path, f"its header claims the unknown data type {code}", BROKEN)
    with np.errstate(all="ignore"):
        affine = np.asarray(fields.get_affine(), dtype=np.float64)
        check_affine(affine, path)
    # The flag is read from the bytes, since the header object no longer tells a stated orientation from a default
    # one; without the remark a wrong side would go unnoticed.
    has_orientation = (
        int.from_bytes(head[28:30], "big", signed=True) > 0
    )  # nibabel fills in FreeSurfer's default, and says 1
    remarks = () if has_orientation else ("it states no orientation: FreeSurfer's coronal one was taken",)
    dtype = np.dtype(_TYPES[code])
    return VolumeClaim((frames, z, y, x), dtype, _HEADER_BYTES, 1.0, 0.0, affine, remarks, placed=has_orientation)
