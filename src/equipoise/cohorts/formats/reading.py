"""Which reader a file needs: by its name, or for DICOM by its first bytes, whatever it is called."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

from equipoise.cohorts.formats.dicom import has_preamble, read_dicom_series
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.metaimage import read_metaimage
from equipoise.cohorts.formats.mgh import read_mgh
from equipoise.cohorts.formats.nifti import read_nifti, read_pair
from equipoise.cohorts.formats.nrrd import read_nrrd
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.pictures import read_picture
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan, with_finite_values
from equipoise.cohorts.formats.volume_claim import Nonfinite

VOLUMES: Mapping[str, Callable[..., Scan]] = {
    ".nii": read_nifti, ".nii.gz": read_nifti,
    ".hdr": read_pair, ".img": read_pair, ".hdr.gz": read_pair, ".img.gz": read_pair,
    ".mgh": read_mgh, ".mgz": read_mgh, ".mgh.gz": read_mgh,
    ".nrrd": read_nrrd, ".nhdr": read_nrrd,
    ".mha": read_metaimage, ".mhd": read_metaimage,
}  # fmt: skip
DICOM = frozenset({".dcm", ".dicom", ".ima"})
KNOWN = ".nii, .nii.gz, .hdr with .img, .nrrd, .mha, .mhd, .mgz, .png, .jpg, .tif, .bmp, or DICOM"


def suffix_of(path: str | PathLike[str]) -> str:
    """Return the ending of a name that says what kind it is, in small letters, ".nii.gz" as one.

    >>> suffix_of("a.b/scan.1.NII.gz"), suffix_of("IM0001")
    ('.nii.gz', '')
    """
    # Not by Path.suffixes, nor Path(path) of a path: they take most of the time, and every file is asked about thrice.
    name = (path if isinstance(path, Path) else Path(path)).name.lower()
    _, *suffixes = name.lstrip(".").rsplit(".", 2)
    if not suffixes or not suffixes[-1]:
        return ""
    joined = "." + ".".join(suffixes)
    return joined if joined in VOLUMES else "." + suffixes[-1]


def read_any(
    path: Path, *, nonfinite: Nonfinite = "refuse", series_uid: str | None = None, limits: Limits = DEFAULT
) -> Scan:
    """Return the scan in a file of any known kind, or in a folder of one DICOM series.

    nonfinite: refuse NaN and infinity, or read them as 0. series_uid: which series of a folder of several. limits: what
    the file may ask for.
    """
    suffix = suffix_of(path)
    if suffix in VOLUMES and not path.is_dir():
        return VOLUMES[suffix](path, nonfinite=nonfinite, limits=limits)
    if suffix in PICTURES and not path.is_dir():
        return _finite(read_picture(path, limits=limits), path, nonfinite)
    # Hospitals export DICOM without a suffix and VinDr-CXR as .dicom, so the first bytes decide beside the name.
    if path.is_dir() or suffix in DICOM or (path.is_file() and has_preamble(path)):
        series = read_dicom_series(path, series_uid=series_uid or None, limits=limits)
        return _finite(series, path, nonfinite)
    raise RefusedFile(path, "its file type is not recognised by its name or its first bytes", f"give {KNOWN}")


def _finite(scan: Scan, path: Path, nonfinite: Nonfinite) -> Scan:
    values, remark = with_finite_values(scan.array, path, nonfinite)
    return replace(scan, array=values, remarks=scan.remarks + remark) if remark else scan


def read_stored(path: Path, *, nonfinite: Nonfinite = "refuse") -> Scan:
    """Read as `read_any` does, for masks: a palette picture gives its indices."""
    # Annotation tools save masks as palette pictures whose index is the class. The colours are only for the eye, and
    # read as values they would be classes such as 128.
    if suffix_of(path) in PICTURES and not path.is_dir():
        return _finite(read_picture(path, indices=True), path, nonfinite)
    return read_any(path, nonfinite=nonfinite)
