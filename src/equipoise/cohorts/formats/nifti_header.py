"""The header of a NIfTI-1 or NIfTI-2 file: 348 or 540 bytes of claims, each checked before it is believed.

Reference: Cox et al., "A (sort of) new image data format standard: NIfTI-1", 2004, and nifti1.h / nifti2.h.
"""

import math
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile

HEADER_BYTES = {348: 1, 540: 2}
LONGEST_HEADER = 540
SPACING_RANGE_MM = (1e-4, 1e4)
FARTHEST_MM = 1e7
_DTYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_REFUSED_DTYPES = {
    1: "one-bit",
    32: "complex",
    128: "RGB",
    1536: "float128",
    1792: "complex",
    2048: "complex",
    2304: "RGBA",
}
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_LAST_SPACE_CODE = 5  # "other template", the last coordinate code of the standard
_UNIT_NAMES = {0: "no unit", 1: "metres", 2: "millimetres", 3: "micrometres"}
_HALF_TURN = 3 * float(np.finfo(np.float32).eps)  # 1 − b² − c² − d² below the rounding of float32 is zero
_BROKEN = "export the image again from its source"

_NIFTI1 = np.dtype(
    [("sizeof_hdr", "i4"), ("unused1", "V35"), ("dim_info", "u1"), ("dim", "i2", (8,)), ("intent_p", "f4", (3,)),
     ("intent_code", "i2"), ("datatype", "i2"), ("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", (8,)),
     ("vox_offset", "f4"), ("scl_slope", "f4"), ("scl_inter", "f4"), ("slice_end", "i2"), ("slice_code", "u1"),
     ("xyzt_units", "u1"), ("cal", "f4", (2,)), ("slice_duration", "f4"), ("toffset", "f4"), ("unused2", "V8"),
     ("texts", "V104"), ("qform_code", "i2"), ("sform_code", "i2"), ("quatern", "f4", (3,)), ("qoffset", "f4", (3,)),
     ("srow", "f4", (3, 4)), ("intent_name", "V16"), ("magic", "V4")]
)  # fmt: skip
_NIFTI2 = np.dtype(
    [("sizeof_hdr", "i4"), ("magic", "V8"), ("datatype", "i2"), ("bitpix", "i2"), ("dim", "i8", (8,)),
     ("intent_p", "f8", (3,)), ("pixdim", "f8", (8,)), ("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8"),
     ("cal", "f8", (2,)), ("slice_duration", "f8"), ("toffset", "f8"), ("slice_start", "i8"), ("slice_end", "i8"),
     ("texts", "V104"), ("qform_code", "i4"), ("sform_code", "i4"), ("quatern", "f8", (3,)), ("qoffset", "f8", (3,)),
     ("srow", "f8", (3, 4)), ("slice_code", "i4"), ("xyzt_units", "i4"), ("intent_code", "i4"), ("intent_name", "V16"),
     ("dim_info", "u1"), ("unused", "V15")]
)  # fmt: skip


@dataclass(frozen=True)
class NiftiHeader:
    """What the header claims, checked for sense but not yet against the file's length.

    shape: (channel, z, y, x); the fourth or fifth dimension of the file is the channel.
    dtype: as stored, with its byte order. offset: bytes before the first voxel.
    slope, intercept: real value = slope · stored + intercept; (1, 0) where the file has no scaling.
    affine: 4 × 4, voxel (x, y, z, 1) → RAS+ mm.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    remarks: tuple[str, ...]

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the voxels take in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(raw: bytes | bytearray, path: str | PathLike[str]) -> NiftiHeader:
    """The checked header at the beginning of an uncompressed NIfTI file; raises RefusedFile where it makes no sense."""
    fields = _fields(raw, path)
    dtype = _dtype(fields, path)
    slope, intercept = _scaling(fields, path)
    with np.errstate(all="ignore"):  # absurd numbers overflow on their way to being refused
        affine, remarks = _affine(fields, path)
    return NiftiHeader(
        shape=_shape(fields, path),
        dtype=dtype.newbyteorder(fields.dtype["datatype"].byteorder),
        offset=_offset(fields, path),
        slope=slope,
        intercept=intercept,
        affine=affine,
        remarks=remarks,
    )


def _fields(raw: bytes | bytearray, path: str | PathLike[str]) -> np.void:
    size = bytes(raw[:4])
    for order in ("<", ">"):
        version = HEADER_BYTES.get(int(np.frombuffer(size, f"{order}i4")[0]) if len(size) == 4 else 0)
        if version is None:
            continue
        layout = (_NIFTI1 if version == 1 else _NIFTI2).newbyteorder(order)
        if len(raw) < layout.itemsize:
            raise RefusedFile(path, "it is shorter than a NIfTI header", "copy the file again")
        fields: np.void = np.frombuffer(bytes(raw[: layout.itemsize]), layout)[0]
        _check_magic(bytes(fields["magic"]), version, path)
        return fields
    raise RefusedFile(path, "it does not begin with a NIfTI header", "give a .nii or .nii.gz file")


def _check_magic(magic: bytes, version: int, path: str | PathLike[str]) -> None:
    wanted = b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n"
    if magic in (b"ni1\0", b"ni2\0\r\n\x1a\n"):
        raise RefusedFile(path, "it is one half of a .hdr/.img pair", "convert the pair to a single .nii.gz file")
    if magic[:4] == bytes(4):
        raise RefusedFile(path, "it is an Analyze file, which has no orientation", "convert it to NIfTI")
    if magic != wanted:
        raise RefusedFile(path, "its NIfTI magic bytes are wrong", "copy the file again")


def _shape(fields: np.void, path: str | PathLike[str]) -> tuple[int, int, int, int]:
    dim = [int(value) for value in fields["dim"]]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise RefusedFile(path, f"its header claims the dimensions {dim}", _BROKEN)
    sizes = dim[1 : dim[0] + 1] + [1] * (7 - dim[0])
    x, y, z, *rest = sizes
    if sum(size > 1 for size in rest) > 1 or max(rest[2:]) > 1:
        raise RefusedFile(
            path, f"it has the dimensions {sizes}, more than three axes and one of channels", "split it into volumes"
        )
    return max(rest), z, y, x


def _dtype(fields: np.void, path: str | PathLike[str]) -> np.dtype[np.generic]:
    code = int(fields["datatype"])
    if code in _REFUSED_DTYPES:
        raise RefusedFile(path, f"its voxels are {_REFUSED_DTYPES[code]}", "convert them to integers or floats")
    if code not in _DTYPES:
        raise RefusedFile(path, f"its header claims the unknown data type {code}", _BROKEN)
    dtype = np.dtype(_DTYPES[code])
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        raise RefusedFile(path, f"its header claims {fields['bitpix']} bits per voxel of type {dtype.name}", _BROKEN)
    return dtype


def _offset(fields: np.void, path: str | PathLike[str]) -> int:
    offset, least = float(fields["vox_offset"]), int(fields["sizeof_hdr"]) + 4
    if not math.isfinite(offset) or offset != int(offset) or not least <= offset < 2**53:
        raise RefusedFile(path, f"its header puts the first voxel at byte {offset:g}", _BROKEN)
    return int(offset)


def _scaling(fields: np.void, path: str | PathLike[str]) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # the standard's sign for "not scaled"; NaN is written by nibabel
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise RefusedFile(path, f"its header scales by slope {slope:g} and intercept {intercept:g}", _BROKEN)
    return slope, intercept


def _affine(fields: np.void, path: str | PathLike[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Method 3 (sform), then 2 (qform), then 1 (pixdim) of the standard, in mm."""
    remarks: list[str] = []
    unit = int(fields["xyzt_units"]) & 7
    if unit not in _MM_PER_UNIT:
        raise RefusedFile(path, f"its header claims the unknown unit of length {unit}", _BROKEN)
    if unit in (1, 3):
        remarks.append(f"lengths were in {_UNIT_NAMES[unit]}")
    codes = int(fields["sform_code"]), int(fields["qform_code"])
    if not 0 <= min(codes) <= max(codes) <= _LAST_SPACE_CODE:
        raise RefusedFile(path, f"its header claims the unknown coordinate codes {codes}", _BROKEN)
    has_sform, has_qform = codes[0] > 0, codes[1] > 0
    if has_sform:
        affine = np.vstack([fields["srow"].astype(np.float64), [0, 0, 0, 1]])
        check_affine(affine, path)
        if has_qform and not _agree(affine, _qform(fields, path)):
            remarks.append("sform and qform differ; the sform was used")
    elif has_qform:
        affine = _qform(fields, path)
    else:
        affine = np.diag([*fields["pixdim"][1:4].astype(np.float64), 1.0])
        remarks.append("the file states no orientation; its axes were taken as right, anterior, superior")
    affine[:3] *= _MM_PER_UNIT[unit]
    check_affine(affine, path)
    return affine, tuple(remarks)


def check_affine(affine: NDArray[np.float64], path: str | PathLike[str]) -> None:
    """Refuse a grid that is not finite, flat, or has a spacing no scanner makes."""
    if not np.isfinite(affine).all():
        raise RefusedFile(path, "its orientation holds values that are not numbers", _BROKEN)
    if np.abs(affine).max() > FARTHEST_MM:
        raise RefusedFile(path, f"its orientation holds the length {np.abs(affine).max():g} mm", _BROKEN)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_RANGE_MM
    if spacing.min() < low or spacing.max() > high:
        shown = " × ".join(f"{value:g}" for value in spacing)
        raise RefusedFile(path, f"its voxels measure {shown} mm", "correct the header's spacing")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise RefusedFile(path, "its orientation folds the volume flat", _BROKEN)


def _agree(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    scale = float(np.linalg.norm(first[:3, :3], axis=0).min())
    return bool(np.allclose(first, second, rtol=1e-3, atol=1e-2 * max(scale, 1e-6)))


def _qform(fields: np.void, path: str | PathLike[str]) -> NDArray[np.float64]:
    """Rotation from the quaternion (a, b, c, d), the spacing, the handedness and the offset (nifti1.h, method 2)."""
    b, c, d = (float(value) for value in fields["quatern"])
    square = 1.0 - (b * b + c * c + d * d)
    pixdim = fields["pixdim"].astype(np.float64)
    if not square > -1e-4 or not (pixdim[1:4] > 0).all():
        raise RefusedFile(path, "its qform holds no rotation or a spacing that is not positive", _BROKEN)
    a = math.sqrt(square) if square > _HALF_TURN else 0.0
    if a == 0.0:
        norm = math.sqrt(b * b + c * c + d * d)
        b, c, d = b / norm, c / norm, d / norm
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (pixdim[1:4] * [1.0, 1.0, handed])
    affine[:3, 3] = fields["qoffset"]
    return affine
