"""One TIFF file → pixels with the meaning of their axes; runs only inside the sandbox's child process.

tifffile says what the file is: pages, ImageJ's and OME's axes and lengths, layout of the pixels. The bytes are unpacked
here, each strip or tile checked for its length, because decoders fill what is missing with zeros; no bit is dropped:
Pillow would read colours of 16 bits as 8. Packings that only Pillow knows (JPEG, fax) are left to it, at 8 bits.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from tifffile import TiffFile, TiffPage

from equipoise.cohorts.formats.limits import DEFLATE_RATIO, Limits
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.remarks import WHITE_IS_0

_RAW, _LZW, _DEFLATE, _PACKBITS = (1,), (5,), (8, 32946), (32773,)
_OWN = frozenset({*_RAW, *_LZW, *_DEFLATE, *_PACKBITS})
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE = range(4)
_GREYS = (_MINISWHITE, _MINISBLACK)
# ImageJ and OME write the micrometre as um, with either of Unicode's two micro signs, or escaped as in Java.
_MM = {
    "nm": 1e-6, "nanometer": 1e-6, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "\\u00b5m": 1e-3, "micron": 1e-3,
    "microns": 1e-3, "micrometer": 1e-3, "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0, "m": 1000.0,
}  # fmt: skip
_AGAIN = "copy the file again from its source"
_HEADER_BYTES, _TAG_BYTES = 8, 12
_SEPARATE = "save every page as a file of its own"


@dataclass(frozen=True)
class Tiff:
    """pixels: (page, y, x) of grey, (page, y, x, channel) else. spacing_mm: (page, y, x), None where none is stated.

    palette: (entry, 3) of 8 bits where the pixels are indices. colour: whether three channels are red, green, blue.
    """

    pixels: NDArray[Any]
    spacing_mm: tuple[float, float, float] | None
    palette: NDArray[np.uint8] | None
    colour: bool
    orientation: int
    remarks: list[str]


def parse_tiff(raw: bytes, limits: Limits) -> Tiff:
    """Read the one image of the file, all its planes and channels; RefusedFile for several, and for time series."""
    # OME allows one file to name others as its planes. They would be opened beside this one, neither hashed nor
    # limited, so that is switched off.
    with TiffFile(io.BytesIO(raw), _multifile=False) as file:
        if len(file.pages) > limits.frames:
            reason = f"it claims {len(file.pages)} pages and the limit is {limits.frames}"
            raise RefusedFile("", reason, "raise EQUIPOISE_LIMIT_FRAMES if it is known to be good")
        series = file.series[:]
        if len(series) != 1 or len(series[0].pages) != len(file.pages):  # tifffile passes some odd pages over
            raise RefusedFile("", "its pages differ in size or kind", _SEPARATE)
        claimed = math.prod(series[0].shape) * 4
        if claimed > limits.array_bytes:
            raise RefusedFile(
                "",
                f"it claims {claimed} bytes of pixels, beyond the limits",
                "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is good",
            )
        first = file.pages[0].aspage()
        _check_kind(first)
        pixels = _pixels(file, series[0], raw)
        arranged, axes = _arranged(pixels, series[0].axes, series[0].shape)
        return _understood(arranged, axes, first, file)


def _check_kind(page: TiffPage) -> None:
    if page.photometric not in (*_GREYS, _RGB, _PALETTE, 6) or (page.photometric == 6 and page.compression in _OWN):
        name = getattr(page.photometric, "name", str(page.photometric))
        name = "CMYK" if name == "SEPARATED" else name
        raise RefusedFile("", f"its colours are {name}", "save it as grey or RGB")
    if page.fillorder != 1:
        raise RefusedFile("", "its bits are stored in reverse order", "save it again")
    if page.planarconfig not in (1, 2):
        raise RefusedFile("", "it does not say how its colours are stored", "save it again")
    if page.sampleformat not in (1, 2, 3):
        raise RefusedFile("", "its pixels are neither integers nor real numbers", "convert them to integers or floats")


def _pixels(file: TiffFile, series: Any, raw: bytes) -> NDArray[Any]:
    """Return all pixels of the series in the order of its axes, flat."""
    pages = [page.aspage() for page in series.pages if page is not None]
    count = math.prod(series.shape)
    each = math.prod(pages[0].shape)
    # Fuzzing found a stack behind one page, cut by one byte, that was read as its first plane, because tifffile
    # passes the missing rest over. ImageJ's own count of planes shows it.
    planes = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if count < each * int(planes):  # tifffile takes one page where the others are cut off
        raise RefusedFile("", f"it states {planes} planes and {count // each} are there", _AGAIN)
    _check_places(pages[0])
    if len(pages) == 1 and each < count:  # ImageJ's and others' stacks behind a single page
        return _contiguous(file, pages[0], raw, count)
    if len(pages) * each != count:
        reason = f"it claims {count // each} planes and {len(pages)} pages are there"
        raise RefusedFile("", reason, "save it again with all its planes")
    for page in pages:
        if (page.shape, page.dtype, page.photometric, page.compression) != (
            pages[0].shape, pages[0].dtype, pages[0].photometric, pages[0].compression,
        ):  # fmt: skip
            raise RefusedFile("", "its pages differ in kind", _SEPARATE)
        _check_places(page)
    if file.is_imagej and int(planes) > 1:
        _check_behind_each_other(pages, count // len(pages))
    if pages[0].compression not in _OWN:
        return np.concatenate([_pillow_page(page, raw).reshape(-1) for page in pages])
    return np.concatenate([_own_page(file, page, raw).reshape(-1) for page in pages])


def _check_places(page: TiffPage) -> None:
    """Refuse pixels that lie in the file's header or in the page's own directory."""
    # Fuzzing found strips at byte 0, of which the header became pixels; other readers show zeros there.
    end = page.offset + 2 + _TAG_BYTES * len(page.tags)
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        if start < _HEADER_BYTES or (start < end and start + size > page.offset):
            raise RefusedFile("", "its pixels lie where its header or directory is", _AGAIN)


def _check_behind_each_other(pages: list[TiffPage], count: int) -> None:
    """Refuse an ImageJ stack whose pages point elsewhere than behind each other, where ImageJ itself reads them."""
    first = pages[0]
    if first.compression in _RAW and first.dtype is not None and first.bitspersample % 8 == 0:
        size = count * first.dtype.itemsize
        if any(page.dataoffsets[:1] != (first.dataoffsets[0] + k * size,) for k, page in enumerate(pages)):
            raise RefusedFile("", "its pages do not lie where ImageJ reads them", _AGAIN)


def _contiguous(file: TiffFile, page: TiffPage, raw: bytes, count: int) -> NDArray[Any]:
    if page.compression not in _RAW or page.bitspersample % 8 or page.dtype is None:
        raise RefusedFile("", "its planes are packed behind a single page", "save it again, uncompressed")
    # ImageJ writes large stacks with one directory and the planes behind each other; the single page describes only
    # the first.
    start, dtype = int(page.dataoffsets[0]), page.dtype.newbyteorder(file.byteorder)
    if start + count * dtype.itemsize > len(raw):
        raise RefusedFile("", f"it claims {count * dtype.itemsize} bytes of pixels and fewer are there", _AGAIN)
    return np.frombuffer(raw, dtype, count, start)


def _own_page(file: TiffFile, page: TiffPage, raw: bytes) -> NDArray[Any]:
    """Return one page as (separate planes, y, x, samples side by side)."""
    if page.predictor not in (1, 2) or (page.predictor == 2 and (page.bitspersample % 8 or page.sampleformat == 3)):
        raise RefusedFile("", "its pixels are predicted in an unusual way", "save it again without a predictor")
    height, width = page.imagelength, page.imagewidth
    apart = page.planarconfig == 2  # each colour in a plane of its own
    planes, samples = (page.samplesperpixel, 1) if apart else (1, page.samplesperpixel)
    if page.imagedepth != 1:
        raise RefusedFile("", "it is tiled in three dimensions", _SEPARATE)
    tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    down, right = math.ceil(height / tall), math.ceil(width / wide)
    if len(page.dataoffsets) != planes * down * right or len(page.databytecounts) != len(page.dataoffsets):
        raise RefusedFile("", "its strips do not fit its size", _AGAIN)
    result = np.empty((planes, height, width, samples), page.dtype)
    places = [(plane, y, x) for plane in range(planes) for y in range(down) for x in range(right)]
    for (plane, y, x), start, size in zip(places, page.dataoffsets, page.databytecounts, strict=True):
        top, left = y * tall, x * wide
        rows = tall if page.is_tiled else min(tall, height - top)
        block = _block(raw[start : start + size], size, (rows, wide, samples), page, file.byteorder)
        part = block[: height - top, : width - left]
        result[plane, top : top + part.shape[0], left : left + part.shape[1]] = part
    return result


def _block(packed: bytes, size: int, shape: tuple[int, int, int], page: TiffPage, order: str) -> NDArray[Any]:
    """Return (row, column, sample) of one strip or tile."""
    if len(packed) != size or not size:
        raise RefusedFile("", "it ends within its pixels", _AGAIN)
    rows, columns, samples = shape
    bits = page.bitspersample
    dtype = np.dtype(page.dtype)
    row_bytes = math.ceil(columns * samples * bits / 8)
    data = _inflated(packed, page.compression, rows * row_bytes)
    if bits % 8 == 0:
        block = np.frombuffer(data, dtype.newbyteorder(">" if order == ">" else "<")).reshape(shape)
    elif bits < 16:  # packed to the bit, the highest first, each row from a new byte on
        flags = np.unpackbits(np.frombuffer(data, np.uint8).reshape(rows, row_bytes), axis=1)
        flags = flags[:, : columns * samples * bits].reshape(rows, columns, samples, bits).astype(dtype)
        block = flags @ (1 << np.arange(bits - 1, -1, -1)).astype(dtype)
    else:
        raise RefusedFile("", f"its pixels have {bits} bits", "save it with 8, 16 or 32 bits")
    block = block.astype(dtype, copy=False)
    return np.cumsum(block, axis=1, dtype=dtype) if page.predictor == 2 else block


def _inflated(packed: bytes, compression: int, needed: int) -> bytes:
    if compression in _RAW:
        data = packed
    elif compression in _DEFLATE:
        if needed > DEFLATE_RATIO * len(packed) + 64:
            raise RefusedFile("", "it claims more pixels than its bytes can hold", _AGAIN)
        inflater = zlib.decompressobj()
        data = inflater.decompress(packed, needed)
        # The checksum of a zlib stream follows its last byte, and it is only compared once the stream is read to its
        # end.
        if len(data) == needed and not inflater.eof:
            inflater.decompress(inflater.unconsumed_tail, 1)
    elif compression in _PACKBITS:
        data = _unpacked_bits(packed, needed)
    else:
        data = _lzw(packed, needed)
    if len(data) < needed:
        raise RefusedFile("", "its packed pixels end early", _AGAIN)
    return data[:needed]


def _unpacked_bits(packed: bytes, needed: int) -> bytes:
    out, position = bytearray(), 0
    while position < len(packed) and len(out) < needed:
        count = packed[position]
        if count < 128:
            out += packed[position + 1 : position + 2 + count]
            position += 2 + count
        else:
            out += packed[position + 1 : position + 2] * (257 - count if count > 128 else 0)
            position += 2 if count > 128 else 1
    return bytes(out)


def _lzw(packed: bytes, needed: int) -> bytes:
    """Unpack LZW by Pillow's library, as one row of grey bytes: what they mean is decided elsewhere."""
    # Pillow's LZW decoder takes whole TIFF files only, so the smallest one is built around the strip; its bytes come
    # back without Pillow's opinion of their depth.
    entries = [(256, 4, needed), (257, 4, 1), (258, 3, 8), (259, 3, 5), (262, 3, 1), (273, 4, 0), (277, 3, 1),
               (278, 4, 1), (279, 4, len(packed))]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    body = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", start if tag == 273 else value)
        for tag, kind, value in entries
    )
    wrapped = b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + packed
    try:
        with Pillow.open(io.BytesIO(wrapped), formats=("TIFF",)) as picture:
            return picture.tobytes()
    except (OSError, ValueError) as error:
        raise RefusedFile("", "its packed pixels are corrupt", _AGAIN) from error


def _pillow_page(page: TiffPage, raw: bytes) -> NDArray[Any]:
    """Read a page in a packing that only Pillow knows; refuse where Pillow would change the depth of its pixels."""
    if page.bitspersample not in (1, 8) or page.sampleformat != 1:
        name = getattr(page.compression, "name", str(page.compression))
        raise RefusedFile("", f"its pixels are packed with {name}", "save it uncompressed, or packed with deflate")
    if page.tags.valueof(274, 1) != 1:  # Pillow would turn it, some pages twice
        raise RefusedFile("", "its packed pixels are turned by an orientation tag", "save it upright")
    with Pillow.open(io.BytesIO(raw), formats=("TIFF",)) as picture:
        picture.seek(page.index)
        if picture.mode not in ("1", "L", "RGB"):
            raise RefusedFile("", f"its colours are {picture.mode}", "save it as grey or RGB")
        pixels = np.asarray(picture)
    if pixels.shape[:2] != (page.imagelength, page.imagewidth) or pixels.size != math.prod(page.shape):
        raise RefusedFile("", "its pages differ in size", _SEPARATE)
    return pixels.astype(np.uint8)


def _arranged(pixels: NDArray[Any], axes: str, shape: tuple[int, ...]) -> tuple[NDArray[Any], str]:
    """Return (plane, y, x, channel) of the pixels, and which letters the planes and channels had."""
    letters = [(axis, size) for axis, size in zip(axes, shape, strict=True)]
    full = pixels.reshape(shape)
    if axes.count("Y") != 1 or axes.count("X") != 1:
        raise RefusedFile("", f"its axes are {axes}", _SEPARATE)
    planes = [index for index, (axis, size) in enumerate(letters) if axis not in "YXSC" and size > 1]
    channels = [index for index, (axis, size) in enumerate(letters) if axis in "SC" and size > 1]
    # Points in time would pass for planes of a volume, and neighbouring frames of a film are no anatomy.
    if any(letters[index][0] == "T" for index in planes):
        count = next(letters[index][1] for index in planes if letters[index][0] == "T")
        raise RefusedFile(
            "", f"it is a series of {count} points in time", "save each point in time as a file of its own"
        )
    if len(planes) > 1 or len(channels) > 1:
        shown = " × ".join(f"{size} {axis}" for axis, size in letters if size > 1)
        raise RefusedFile("", f"it has the axes {shown}, more than planes and channels", _SEPARATE)
    y, x = axes.index("Y"), axes.index("X")
    order = [*planes, y, x, *channels]
    rest = [index for index in range(len(letters)) if index not in order]  # all of size 1
    turned = full.transpose([*rest, *order]).reshape(
        shape[planes[0]] if planes else 1, shape[y], shape[x], shape[channels[0]] if channels else 1
    )
    return turned, "".join(letters[index][0] for index in (*planes, *channels))


def _understood(pixels: NDArray[Any], axes: str, page: TiffPage, file: TiffFile) -> Tiff:
    remarks: list[str] = []
    palette = None
    if page.photometric == _MINISWHITE:
        pixels = _inverted(pixels, page)
        remarks.append(WHITE_IS_0)
    if page.photometric == _PALETTE:
        table = np.asarray(page.colormap)
        wide = table.max(initial=0) > 255  # some writers keep 8 bits where 16 belong
        palette = (table.T >> 8 if wide else table.T).astype(np.uint8)
    # A letter C means channels of a microscope, which may be three without being red, green and blue.
    colour = page.photometric in (_RGB, 6) and "C" not in axes
    alpha = bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)
    if pixels.shape[-1] == (4 if colour else 2) and (alpha or colour):
        pixels = _opaque(pixels, remarks)
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if pixels.dtype == np.float16:  # what a network saved in half precision: single precision holds it exactly
        pixels = pixels.astype(np.float32)
    spacing = _spacing(file, page)
    if spacing is not None:
        remarks.append("its spacing is the one that ImageJ or OME states in it")
    return Tiff(pixels, spacing, palette, colour and pixels.shape[-1] == 3, int(page.tags.valueof(274, 1)), remarks)


def _inverted(pixels: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    if pixels.dtype.kind == "f" or pixels.dtype.kind == "i":
        raise RefusedFile("", "its stored 0 is white and its pixels have a sign", "save it with 0 as black")
    top = (1 << page.bitspersample) - 1
    return (top - pixels.astype(np.int64)).astype(pixels.dtype)


def _opaque(pixels: NDArray[Any], remarks: list[str]) -> NDArray[Any]:
    if (pixels[..., -1] != np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else pixels[..., -1] != 1).any():
        raise RefusedFile("", "parts of it are transparent", "save it without an alpha channel")
    remarks.append("its opaque alpha channel was left out")
    return pixels[..., :-1]


def _spacing(file: TiffFile, page: TiffPage) -> tuple[float, float, float] | None:
    """(z, y, x) in mm where ImageJ or OME states lengths with a unit; the resolution of printers is no such thing."""
    if file.is_imagej:
        details = file.imagej_metadata or {}
        unit = _MM.get(str(details.get("unit", "")).strip().lower())
        per_unit = [_ratio(page.tags.valueof(tag)) for tag in (283, 282)]
        if unit is None or any(value is None for value in per_unit):
            return None
        y, x = (unit / value for value in per_unit if value)
        # ImageJ writes no depth where it is 1 of the unit, which may be a micrometre and not a millimetre.
        return _checked((float(details.get("spacing", 0) or 1.0) * unit, y, x))
    if file.is_ome:
        return _ome_spacing(file)
    return None


def _ratio(value: Any) -> float | None:
    try:
        numerator, denominator = value
        return float(numerator) / float(denominator) or None
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _checked(spacing: tuple[float, float, float]) -> tuple[float, float, float] | None:
    return spacing if all(math.isfinite(value) and 1e-7 < value < 1e4 for value in spacing) else None


def _ome_spacing(file: TiffFile) -> tuple[float, float, float] | None:
    lengths: dict[str, str] = {}
    for name, value in _attributes(file.ome_metadata or ""):
        lengths.setdefault(name, value)
    steps = []
    for axis in "ZYX":
        # OME's schema makes the micrometre the default where no unit is written.
        unit = _MM.get(lengths.get(f"PhysicalSize{axis}Unit", "µm").lower())
        text = lengths.get(f"PhysicalSize{axis}")
        if unit is None or (text is None and axis != "Z"):
            return None
        try:
            steps.append(1.0 if text is None else float(text) * unit)
        except ValueError:
            return None
    return _checked((steps[0], steps[1], steps[2]))


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Return the attributes of the first Pixels element of OME's XML, without a parser: nothing else of it is used."""
    start = text.find("<Pixels")
    for part in text[start : text.find(">", start)].split('" ') if start >= 0 else ():
        name, _, value = part.partition('="')
        yield name.split()[-1] if name.split() else "", value.rstrip('"/ ')
