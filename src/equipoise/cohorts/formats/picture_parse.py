"""One PNG, JPEG or TIFF file → pixels; runs only inside the sandbox's child process."""

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, ImageSequence, UnidentifiedImageError

from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_FORMATS = ("PNG", "JPEG", "TIFF")
_GREY = frozenset({"1", "L", "I", "I;16", "I;16L", "I;16B", "F"})
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AGAIN = "copy the file again from its source"


def parse_picture(path: str, limits: Limits, indices: bool = False) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Pixels as (page, y, x) for grey, (page, y, x, 3) for colour, and the file's SHA-256.

    indices: a palette picture gives its palette indices (label masks are stored so) and not its colours.
    """
    raw = Path(path).read_bytes()
    if raw.startswith(_PNG_SIGNATURE):
        _check_png(raw)
    Pillow.MAX_IMAGE_PIXELS = None  # our own limit is checked below, before any pixel is decoded
    try:
        picture = Pillow.open(io.BytesIO(raw), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise RefusedFile("", "it is no PNG, JPEG or TIFF file", "convert it to one of these") from error
    pages = int(getattr(picture, "n_frames", 1))
    _check_claim(picture, pages, limits)
    remarks: list[str] = []
    size = picture.size
    arrays = [_page(page, size, indices, remarks) for page in ImageSequence.Iterator(picture)]
    if len({array.shape for array in arrays}) > 1 or len(arrays) != pages:
        raise RefusedFile("", "its pages differ in kind", "save every page as a file of its own")
    facts = {
        "sha256": hashlib.sha256(raw).hexdigest(),
        "format": picture.format,
        "remarks": list(dict.fromkeys(remarks)),
    }
    return facts, [np.stack(arrays)]


def _check_claim(picture: Pillow.Image, pages: int, limits: Limits) -> None:
    claimed = picture.width * picture.height * pages * 4
    if claimed > limits.array_bytes or pages > limits.frames:
        reason = f"it claims {pages} pages of {picture.width} × {picture.height} pixels, beyond the limits"
        raise RefusedFile("", reason, "raise Limits.array_bytes or Limits.frames if it is known to be good")


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
        if kind == b"IHDR" and length == 13 and raw[position + 16] == 16 and raw[position + 17] not in (0,):
            raise RefusedFile("", "it has 16 bits per colour", "save it with 8 bits per colour or as 16-bit grey")
        position = end + 4
    if kind != b"IEND":
        raise RefusedFile("", "it ends early", _AGAIN)


def _page(page: Pillow.Image, size: tuple[int, int], indices: bool, remarks: list[str]) -> NDArray[Any]:
    if page.size != size:
        raise RefusedFile("", "its pages differ in size", "save every page as a file of its own")
    upright = ImageOps.exif_transpose(page)
    if page.getexif().get(0x0112, 1) != 1:
        remarks.append("it was turned upright as its EXIF orientation says")
    if upright.mode == "P":
        upright = upright if indices else upright.convert("RGBA" if "transparency" in upright.info else "RGB")
    elif upright.mode in ("LA", "RGBA"):
        upright = _opaque(upright)
    elif upright.mode not in _GREY | {"RGB"}:
        raise RefusedFile("", f"its colours are {upright.mode}", "save it as grey or RGB")
    if upright.mode == "RGBA":
        upright = _opaque(upright)
    array = np.asarray(upright)
    return array.astype(np.uint8) if array.dtype == bool else array


def _opaque(picture: Pillow.Image) -> Pillow.Image:
    if picture.getchannel("A").getextrema()[0] != 255:
        raise RefusedFile("", "parts of it are transparent", "save it without an alpha channel")
    return picture.convert(picture.mode[:-1])
