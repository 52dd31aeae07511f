"""PNG, JPEG and TIFF files as arrays; decoded in the sandbox, for picture decoders too have been attacked."""

from os import PathLike, fspath

from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.sandbox import Sandbox, shared_sandbox
from equipoise.cohorts.formats.scan import Scan

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})


def read_picture(
    path: str | PathLike[str], *, indices: bool = False, limits: Limits = DEFAULT, sandbox: Sandbox | None = None
) -> Scan:
    """One picture as (channel, y, x), or (channel, z, y, x) for a TIFF of several pages; spacing 1, no affine.

    Grey gives one channel and colour three; bit depth stays (one-bit pictures give 0 and 1). JPEGs are turned upright
    by their EXIF orientation. indices: read a palette picture as its indices, as label masks are stored.

    Raises RefusedFile for a file that is corrupt, truncated, beyond the limits, transparent, or in other colours.
    """
    facts, (pages,) = (sandbox or shared_sandbox(limits)).ask("picture", path, indices=indices)
    channels = pages[None] if pages.ndim == 3 else pages.transpose(3, 0, 1, 2).copy()
    array = channels[:, 0].copy() if channels.shape[1] == 1 else channels
    return Scan(
        array=array,
        spacing_mm=(1.0,) * (array.ndim - 1),
        affine=None,
        sha256={fspath(path): facts["sha256"]},
        header={"format": facts["format"]},
        remarks=tuple(facts["remarks"]),
    )
