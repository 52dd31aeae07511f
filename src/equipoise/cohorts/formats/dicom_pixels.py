"""Stored values of one DICOM file, complete or refused; runs only inside the sandbox's child process."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import generate_fragmented_frames
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGExtended12Bit, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from equipoise.cohorts.formats.dicom_values import items, malformed, text, whole
from equipoise.cohorts.formats.limits import Limits
from equipoise.cohorts.formats.refusal import RefusedFile

_PIXEL_ELEMENTS = {"PixelData": (1, 8, 16, 32, 64), "FloatPixelData": (32,), "DoubleFloatPixelData": (64,)}
_WITH_END_MARKER = frozenset([*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes])
_END_OF_CODE_STREAM = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_PADDING = b"\0\xff"  # to an even length: zero by PS3.5, and the fill byte of JPEG
_AGAIN = "copy the file again from its source"


def pixel_claim(dataset: Dataset, limits: Limits) -> dict[str, Any]:
    """Return the size of the pixels as the header claims it, checked against the limits before anything is decoded."""
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    frames, samples = whole(dataset, "NumberOfFrames", 1), whole(dataset, "SamplesPerPixel", 1)
    bits = whole(dataset, "BitsAllocated")
    stored = whole(dataset, "BitsStored", bits)
    if min(rows, columns, frames) < 1 or samples not in (1, 3):
        raise malformed(f"it claims {frames} frames of {rows} × {columns} pixels with {samples} samples")
    if bits not in _PIXEL_ELEMENTS[_element(dataset)] or not 1 <= stored <= bits:
        raise malformed(f"it claims {stored} bits stored in {bits} per pixel")
    # Values that lie in higher bits (12 of 16, from bit 4 on) would be read shifted, with their lower bits masked away.
    high = whole(dataset, "HighBit", stored - 1)
    if _element(dataset) == "PixelData" and high != stored - 1:
        raise malformed(f"its HighBit is {high}, where the {stored} bits that are stored end at bit {stored - 1}")
    # The product is Python's own integer, which cannot overflow: in 32 bits a crafted size wraps round to a small one
    # and passes the limit.
    decoded = rows * columns * frames * samples * max(bits // 8, 1)
    if decoded > limits.array_bytes:
        reason = f"it claims {decoded} bytes of pixels and the limit is {limits.array_bytes}"
        raise RefusedFile("", reason, "raise EQUIPOISE_LIMIT_ARRAY_BYTES if it is known to be good")
    if frames > limits.frames:
        reason = f"it claims {frames} frames and the limit is {limits.frames}"
        raise RefusedFile("", reason, "raise EQUIPOISE_LIMIT_FRAMES if it is known to be good")
    signed = whole(dataset, "PixelRepresentation", 0) == 1
    return {"rows": rows, "columns": columns, "frames": frames, "samples": samples, "bits": stored, "signed": signed}


def _element(dataset: Dataset) -> str:
    return next(name for name in _PIXEL_ELEMENTS if name in dataset)


def decode(dataset: FileDataset, path: str, limits: Limits) -> tuple[NDArray[Any], list[str]]:
    """Return the stored values as (frame, y, x) or (frame, y, x, colour), bright meaning more, and remarks.

    Raises RefusedFile where the data hold fewer frames or bytes than the header claims.
    """
    claim = pixel_claim(dataset, limits)
    _check_complete(dataset, claim)
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and claim["bits"] > 8:
        pixels = _twelve_bit_jpeg(path, claim)
    else:
        pixels = dataset.pixel_array
    colour = (3,) if claim["samples"] == 3 else ()
    pixels = np.asarray(pixels).reshape(claim["frames"], claim["rows"], claim["columns"], *colour)
    values, remarks = _understood(pixels, dataset, claim)
    return values, [*_pad_remark(dataset, claim), *remarks]


def _pad_remark(dataset: FileDataset, claim: dict[str, Any]) -> list[str]:
    """The byte that makes odd pixel data even should be zero (PS3.5, 8.1.1); another is remarked, not refused."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed or _wanted(dataset, claim) % 2 == 0:
        return []
    data = dataset[_element(dataset)].value
    return ["the byte that pads its pixels is not zero"] if len(data) > _wanted(dataset, claim) and data[-1] else []


def _wanted(dataset: FileDataset, claim: dict[str, Any]) -> int:
    """Return the bytes that uncompressed pixels take."""
    pixels = claim["rows"] * claim["columns"] * claim["frames"] * claim["samples"]
    # Two pixels share their colour differences here, so a third of the bytes is absent from a complete file.
    if text(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        pixels = pixels // 3 * 2
    return math.ceil(int(pixels) * whole(dataset, "BitsAllocated") / 8)


def _check_complete(dataset: FileDataset, claim: dict[str, Any]) -> None:
    data = dataset[_element(dataset)].value
    if not isinstance(data, bytes):
        raise malformed("its pixel data are not bytes")
    if dataset.file_meta.TransferSyntaxUID.is_compressed and _element(dataset) == "PixelData":
        _check_code_streams(data, dataset, claim["frames"])
        return
    expected = _wanted(dataset, claim)
    if len(data) < expected:
        raise RefusedFile("", f"it claims {expected} bytes of pixels and {len(data)} are there", _AGAIN)
    padded = expected % 2 == 1 and len(data) == expected + 1  # highdicom pads with the character "0"
    # Zeros behind the pixels are let pass, since real files carry megabytes of them; other bytes mean that the
    # claimed size is not that of the image.
    if data[expected:].strip(b"\0") and not padded:
        raise malformed(f"it holds {len(data) - expected} bytes more than the pixels it claims")


def _check_code_streams(data: bytes, dataset: FileDataset, frames: int) -> None:
    """Decoders fill what is missing with grey, so every frame must be there and end with its end marker."""
    streams = [b"".join(parts) for parts in generate_fragmented_frames(data, number_of_frames=frames)]
    if len(streams) != frames:
        raise RefusedFile("", f"it claims {frames} frames and {len(streams)} are there", _AGAIN)
    if dataset.file_meta.TransferSyntaxUID not in _WITH_END_MARKER:
        return
    for index, stream in enumerate(streams):
        if not stream.rstrip(_PADDING).endswith(_END_OF_CODE_STREAM):
            raise RefusedFile("", f"the compressed pixels of its frame {index + 1} end early", _AGAIN)


def _twelve_bit_jpeg(path: str, claim: dict[str, Any]) -> NDArray[Any]:
    """Decode lossy 12-bit JPEG by GDCM's reader: pydicom offers no permissively licensed decoder for it."""
    import gdcm  # type: ignore[import-untyped]

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise RefusedFile("", "its 12-bit JPEG pixels cannot be decoded", "convert it to an uncompressed syntax")
    buffer = reader.GetImage().GetBuffer()
    # GDCM's Python wrapper hands the bytes out as a string, with surrogates for what is no UTF-8; encoding it the
    # same way gives the bytes back.
    raw = buffer.encode("utf-8", "surrogateescape") if isinstance(buffer, str) else bytes(buffer)
    expected = 2 * claim["rows"] * claim["columns"] * claim["frames"] * claim["samples"]
    if len(raw) != expected:
        raise RefusedFile("", f"its 12-bit JPEG pixels decode to {len(raw)} bytes instead of {expected}", _AGAIN)
    return np.frombuffer(raw, "<i2" if claim["signed"] else "<u2")


def _understood(pixels: NDArray[Any], dataset: FileDataset, claim: dict[str, Any]) -> tuple[NDArray[Any], list[str]]:
    """Palette looked up, MONOCHROME1 inverted, modality table applied; pydicom has cleared the unused bits before."""
    photometric = text(dataset, "PhotometricInterpretation")
    remarks: list[str] = []
    if photometric == "PALETTE COLOR":
        return apply_color_lut(pixels, dataset), remarks
    if claim["samples"] == 3 or pixels.dtype.kind == "f":
        return pixels, remarks
    # In CT the photometric word only says how a screen should show the values. Inverting them would turn air into
    # bone.
    if photometric == "MONOCHROME1" and not _in_hounsfield(dataset):
        # The range is that of the stored bits and not of the image's own extremes, so that two films of one series
        # stay comparable.
        low, high = _stored_range(claim)
        pixels = (low + high - pixels.astype(np.int64)).astype(pixels.dtype)
        remarks.append("MONOCHROME1 was inverted, so that bright means more")
    elif photometric == "MONOCHROME1":
        remarks.append("MONOCHROME1 was not inverted, for its values are Hounsfield units")
    if items(dataset, "ModalityLUTSequence"):
        return apply_modality_lut(pixels, dataset), remarks
    return pixels, remarks


def _in_hounsfield(dataset: FileDataset) -> bool:
    return text(dataset, "Modality") == "CT" or text(dataset, "RescaleType") == "HU"


def _stored_range(claim: dict[str, Any]) -> tuple[int, int]:
    span = 1 << claim["bits"]
    return (-(span // 2), span // 2 - 1) if claim["signed"] else (0, span - 1)
