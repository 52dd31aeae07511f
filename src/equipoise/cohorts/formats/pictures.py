"""PNG, JPEG, BMP, GIF and TIFF files as arrays; decoded in the sandbox, for picture decoders too have been attacked."""

from os import PathLike, fspath

from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.sandbox import Sandbox, shared_sandbox
from equipoise.cohorts.formats.scan import Scan

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"})


def read_picture(
    path: str | PathLike[str], *, indices: bool = False, limits: Limits = DEFAULT, sandbox: Sandbox | None = None
) -> Scan:
    """Return one picture as (channel, y, x), or (channel, z, y, x) for a TIFF of several planes; no affine.

    Grey gives one channel and colour three; bit depth stays (one-bit pictures give 0 and 1). Pictures are turned
    upright by their EXIF orientation. Planes and channels of a TIFF are those that ImageJ or OME states in it, else
    pages are planes. The spacing is in mm where they state one, else 1, and `header` says "spacing_unstated".
    indices: read a palette picture as its indices, as label masks are stored.

    Raises RefusedFile for a file that is corrupt, truncated, beyond the limits, transparent, or in other colours, and
    for series of points in time.
    """
    facts, (pages,) = (sandbox or shared_sandbox(limits)).ask("picture", path, indices=indices)
    channels = pages[None] if pages.ndim == 3 else pages.transpose(3, 0, 1, 2).copy()
    array = channels[:, 0].copy() if channels.shape[1] == 1 else channels
    # The resolution in dots per inch that most pictures carry is a setting of printers and scanners, so it is no
    # spacing; only ImageJ's and OME's lengths count.
    spacing = facts["spacing_mm"]
    header = {key: facts[key] for key in ("format", "orientation", "colour", "grey_palette") if facts[key] is not None}
    return Scan(
        array=array,
        spacing_mm=tuple(spacing[4 - array.ndim :]) if spacing else (1.0,) * (array.ndim - 1),
        affine=None,
        sha256={fspath(path): facts["sha256"]},
        header=header if spacing else header | {"spacing_unstated": True},
        remarks=tuple(facts["remarks"]),
    )
