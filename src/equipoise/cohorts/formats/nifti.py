"""NIfTI files, single or as .hdr and .img, and Analyze: read whole, checked against their own claims, turned to RAS+.

The checks are our own: a corrupt .nii.gz is read silently by libraries that stop at the last voxel, before the
checksum. What is promised: a .nii.gz whose content changed is refused, by its CRC; an uncompressed file has no
checksum, there the recorded SHA-256 tells which bytes were read, and every voxel is what those bytes say.
"""

from os import PathLike, fspath
from pathlib import Path

import numpy as np

from equipoise.cohorts.formats.checksums import read_bytes
from equipoise.cohorts.formats.gunzip import GzipBytes
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.nifti_header import LONGEST_HEADER, parse_header
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan
from equipoise.cohorts.formats.volume_claim import GZIP_MAGIC, Nonfinite, as_scan, check_limits, stored_voxels

PAIRS = frozenset({".hdr", ".img", ".hdr.gz", ".img.gz"})
"""Endings of the two halves of a pair, in small letters."""


def read_nifti(path: str | PathLike[str], *, limits: Limits = DEFAULT, nonfinite: Nonfinite = "refuse") -> Scan:
    """Read one .nii or .nii.gz file as (channel, z, y, x), x to the right, y to anterior, z to superior.

    A 4D file's last axis becomes the channel. Stored integers stay integers unless the header scales them; scaled
    values are float32, or float64 where float32 could not hold the stored ones.

    nonfinite: what to do with NaN and infinity, which some tools write as background: refuse the file, or read 0.
    Raises RefusedFile (one sentence: file, reason, remedy).
    """
    raw, digest = read_bytes(path, limits)
    claim = parse_header(_head(raw, path), path)
    stored = stored_voxels(raw, claim, path, limits)
    return as_scan(stored, claim, path, {fspath(path): digest}, "NIfTI", nonfinite)


def read_pair(path: str | PathLike[str], *, limits: Limits = DEFAULT, nonfinite: Nonfinite = "refuse") -> Scan:
    """As `read_nifti`, from the .hdr or the .img file of a pair, NIfTI or Analyze; each may be packed by gzip.

    Analyze files are read as nibabel reads them, with a remark, for they state no left and right; a .mat file of SPM
    beside one, which would, is not read, so the pair is refused.
    """
    header_file, voxel_file = pair_of(path)
    raw, digest = read_bytes(header_file, limits)
    claim = parse_header(_head(raw, header_file), header_file, pair=True)
    matrix = voxel_file.with_name(f"{_stem(voxel_file)}.mat")
    # SPM keeps left and right of an Analyze image in that file. Reading the pair without it could mirror a brain, and
    # nobody could see it in the picture.
    if any("Analyze" in remark for remark in claim.remarks) and matrix.exists():
        raise RefusedFile(path, f"its orientation lies in {matrix.name!r}, which is not read", "convert it to .nii.gz")
    voxels, voxel_digest = read_bytes(voxel_file, limits)
    stored = stored_voxels(voxels, claim, voxel_file, limits)
    hashes = {fspath(header_file): digest, fspath(voxel_file): voxel_digest}
    return as_scan(stored, claim, path, hashes, "NIfTI pair", nonfinite)


def pair_of(path: str | PathLike[str]) -> tuple[Path, Path]:
    """Return the .hdr and the .img file that belong together, each perhaps packed; refused where one is missing."""
    choices = pair_choices(Path(path))
    halves = []
    for half in (choices[:3], choices[3:]):
        there = next((choice for choice in half if choice.exists()), None)
        if there is None:
            raise RefusedFile(path, f"its other half {half[0].name!r} is missing", "put both files side by side")
        halves.append(there)
    return halves[0], halves[1]


def pair_choices(path: Path) -> tuple[Path, ...]:
    """Return the three names that the .hdr of a pair may have, the first there is read, and then three of its .img."""
    endings = [ending for suffix in (".hdr", ".img") for ending in (suffix, f"{suffix}.gz", suffix.upper())]
    return tuple(path.with_name(f"{_stem(path)}{ending}") for ending in endings)


def _stem(path: Path) -> str:
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return name[: -len(Path(name).suffix)]


def _head(raw: bytes, path: str | PathLike[str]) -> bytes | bytearray:
    return GzipBytes(raw, path).read(LONGEST_HEADER) if raw[:2] == GZIP_MAGIC else raw[:LONGEST_HEADER]


def probe_nifti(path: str | PathLike[str], *, limits: Limits = DEFAULT) -> Scan:
    """Return grid, remarks and SHA-256 of a file whose voxels are left unread: the array is a view of one zero.

    Refuses what the header alone can refute; the voxels, and a gzip checksum, are checked by `read_nifti`.
    """
    raw, digest = read_bytes(path, limits)
    claim = parse_header(_head(raw, path), path)
    check_limits(claim, path, limits)
    # A view of one zero takes no memory, so a header that claims 2 GB may be probed like any other.
    nothing = np.broadcast_to(np.zeros((), claim.dtype.newbyteorder("=")), claim.shape)
    return as_scan(nothing, claim, path, {fspath(path): digest}, "NIfTI", "zero")
