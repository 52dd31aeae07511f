"""One PNG, JPEG, BMP, GIF or TIFF file → pixels; runs only inside the sandbox's child process."""

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from equipoise.cohorts.formats.gif_check import check_gif
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_FORMATS = ("PNG", "JPEG", "BMP", "GIF")
_GREY = frozenset({"1", "L", "I", "I;16", "I;16L", "I;16B", "F"})
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AGAIN = "copy the file again from its source"
_EXIF_ORIENTATION = 0x0112
ALPHA = "its opaque alpha channel was left out"


def parse_picture(path: str, limits: Limits, indices: bool = False) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Return pixels as (page, y, x) of one channel, (page, y, x, channel) of several, upright; and the file's SHA-256.

    indices: a palette picture gives its palette indices (label masks are stored so) and not its colours.
    """
    raw = Path(path).read_bytes()
    digest = {"sha256": hashlib.sha256(raw).hexdigest()}
    # The kind is told by the first bytes and not by the suffix, because a renamed file keeps its bytes.
    facts, pixels = _tiff(raw, limits, indices) if raw[:4] in _TIFF_SIGNATURES else _flat(raw, limits, indices)
    orientation = facts["orientation"]
    if orientation != 1:
        # Cameras store the sensor's rows and a tag. A mask drawn in a viewer that obeys the tag lies on the turned
        # picture, so the turn is made and remarked.
        pixels = upright(pixels, orientation)
        facts["remarks"].append("it was turned upright, as its EXIF orientation states")
        spacing = facts["spacing_mm"]
        if spacing and orientation >= 5:
            facts["spacing_mm"] = [spacing[0], spacing[2], spacing[1]]
    return digest | facts, [np.ascontiguousarray(pixels)]


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return (page, y, x, …) turned and mirrored as the EXIF orientation says; 1 and unknown numbers change nothing."""
    if orientation >= 5:
        pixels = pixels.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return pixels


def _tiff(raw: bytes, limits: Limits, indices: bool) -> tuple[dict[str, Any], NDArray[Any]]:
    from equipoise.cohorts.formats.tiff_parse import parse_tiff  # .2 s that only its files should cost

    tiff = parse_tiff(raw, limits)
    pixels, colour, greys = tiff.pixels, tiff.colour, None
    if tiff.palette is not None:
        if pixels.max(initial=0) >= len(tiff.palette):
            raise RefusedFile("", "its pixels lie outside its palette", _AGAIN)
        greys = _greys(tiff.palette)
        if not indices:
            pixels, colour = tiff.palette[pixels], True
    return _facts("TIFF", tiff.orientation, colour, tiff.remarks, greys if indices else None, tiff.spacing_mm), pixels


def _facts(
    kind: str | None,
    orientation: int,
    colour: bool,
    remarks: list[str],
    greys: list[int] | None = None,
    spacing: tuple[float, float, float] | None = None,
) -> dict[str, Any]:
    turn = orientation if 1 <= orientation <= 8 else 1
    return {
        "format": kind, "orientation": turn, "colour": colour, "remarks": list(dict.fromkeys(remarks)),
        "grey_palette": greys, "spacing_mm": None if spacing is None else list(spacing),
    }  # fmt: skip


def _greys(palette: NDArray[np.uint8]) -> list[int] | None:
    """Return the greys of a palette, None where it has a true colour."""
    return palette[:, 0].tolist() if (palette == palette[:, :1]).all() else None


def _flat(raw: bytes, limits: Limits, indices: bool) -> tuple[dict[str, Any], NDArray[Any]]:
    """Read a PNG, JPEG, BMP or GIF file, of one page."""
    if raw.startswith(_PNG_SIGNATURE):
        _check_png(raw)
    if raw.startswith(b"GIF8"):
        check_gif(raw)
    Pillow.MAX_IMAGE_PIXELS = None  # our own limit is checked below, before any pixel is decoded
    try:
        picture = Pillow.open(io.BytesIO(raw), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise RefusedFile("", "it is not a PNG, JPEG, BMP, GIF or TIFF file", "convert it to one of these") from error
    # An animated PNG would otherwise give its first picture without a word.
    if (frames := int(getattr(picture, "n_frames", 1))) != 1:
        raise RefusedFile("", f"it holds {frames} pictures", "save every picture as a file of its own")
    if picture.width * picture.height * 4 > limits.array_bytes:
        reason = f"it claims {picture.width} × {picture.height} pixels, beyond the limits"
        raise RefusedFile("", reason, "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is known to be good")
    if picture.format == "BMP":
        _check_bmp(raw)
    orientation = int(picture.getexif().get(_EXIF_ORIENTATION, 1))
    remarks: list[str] = []
    greys = None
    if picture.mode == "P":
        palette = np.array(picture.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
        greys = _greys(palette) if indices else None
    plain = _plain(picture, indices, remarks)
    array = np.asarray(plain)
    array = array.astype(np.uint8) if array.dtype == bool else array
    return _facts(picture.format, orientation, plain.mode == "RGB", remarks, greys), array[None]


def _plain(picture: Pillow.Image, indices: bool, remarks: list[str]) -> Pillow.Image:
    """Return grey, RGB or palette indices; refuse what is transparent."""
    if picture.mode == "P":
        picture.load()
        picture = picture if indices else picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif picture.mode not in _GREY | {"RGB", "LA", "RGBA"}:
        raise RefusedFile("", f"its colours are {picture.mode}", "save it as grey or RGB")
    if picture.mode in ("LA", "RGBA"):
        # A hidden pixel still has a colour below its alpha. Whether it should be that colour, black or white is the
        # author's to say; an opaque channel loses nothing.
        if picture.getchannel("A").getextrema()[0] != 255:
            raise RefusedFile("", "parts of it are transparent", "save it without an alpha channel")
        remarks.append(ALPHA)
        return picture.convert(picture.mode[:-1])
    return picture


def _check_bmp(raw: bytes) -> None:
    """Refuse packed bitmaps: decoders fill what is missing in them without a word."""
    size = int.from_bytes(raw[14:18], "little")
    packing = int.from_bytes(raw[30:34], "little") if size >= 40 else 0
    if packing not in (0, 3, 6):
        raise RefusedFile("", "it is a packed bitmap", "save it as an uncompressed bitmap or as PNG")


def _check_png(raw: bytes) -> None:
    """Every chunk's CRC: Pillow leaves those of the pixels unchecked. Colours of 16 bits would lose half their bits."""
    position = len(_PNG_SIGNATURE)
    kind = b""
    while position + 12 <= len(raw) and kind != b"IEND":
        length, kind = struct.unpack(">I4s", raw[position : position + 8])
        end = position + 8 + length
        if end + 4 > len(raw):
            raise RefusedFile("", "it ends early", _AGAIN)
        if zlib.crc32(memoryview(raw)[position + 4 : end]) != int.from_bytes(raw[end : end + 4], "big"):
            raise RefusedFile("", f"its {kind.decode('ascii', 'replace')} chunk fails its checksum", _AGAIN)
        # Pillow reads colours of 16 bits as 8 and says nothing; of a picture with 12 bits, 84 levels became 8.
        if kind == b"IHDR" and length == 13 and raw[position + 16] == 16 and raw[position + 17] not in (0,):
            reason = "it has 16 bits per colour"
            raise RefusedFile("", reason, "save it as TIFF, with 8 bits per colour, or as 16-bit grey")
        position = end + 4
    if kind != b"IEND":
        raise RefusedFile("", "it ends early", _AGAIN)
