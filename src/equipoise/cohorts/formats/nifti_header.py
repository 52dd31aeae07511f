"""The header of a NIfTI-1 or NIfTI-2 file: 348 or 540 bytes of claims, each checked before it is believed.

nibabel takes the bytes apart (fields, byte order, data types, scaling, rotations); none of its own checks and repairs
are used, because they mend silently what is refused or remarked here.

Reference: Cox et al., "A (sort of) new image data format standard: NIfTI-1", 2004, and nifti1.h / nifti2.h.
"""

import math
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

HEADER_BYTES = {348: 1, 540: 2}
LONGEST_HEADER = 540
LARGEST_NUMBER_BYTES = 8
SPACING_RANGE_MM = (1e-4, 1e4)
FARTHEST_MM = 1e7
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_LAST_SPACE_CODE = 5  # "other template", the last coordinate code of the standard
_UNIT_NAMES = {0: "no unit", 1: "metres", 2: "millimetres", 3: "micrometres"}
_HALF_TURN = 3 * float(np.finfo(np.float32).eps)  # 1 − b² − c² − d² below the rounding of float32 is zero
_BROKEN = "export the image again from its source"


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
        dtype=dtype,
        offset=_offset(fields, path),
        slope=slope,
        intercept=intercept,
        affine=affine,
        remarks=remarks,
    )


def _fields(raw: bytes | bytearray, path: str | PathLike[str]) -> "Nifti1Header":
    import nibabel  # .4 s (1.5 s with pydicom) that only NIfTI files should cost

    for order in ("<", ">"):
        size = int(np.frombuffer(bytes(raw[:4]), f"{order}i4")[0]) if len(raw) >= 4 else 0
        version = HEADER_BYTES.get(size)
        if version is None:
            continue
        if len(raw) < size:
            raise RefusedFile(path, "it is shorter than a NIfTI header", "copy the file again")
        layout = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
        fields = layout(bytes(raw[:size]), endianness=order, check=False)  # type: ignore[no-untyped-call]
        _check_magic(fields.binaryblock, version, path)
        return fields
    raise RefusedFile(path, "it does not begin with a NIfTI header", "give a .nii or .nii.gz file")


def _check_magic(block: bytes, version: int, path: str | PathLike[str]) -> None:
    # compared as bytes: numpy's text fields drop the zeros at their end
    magic, single = (block[344:348], b"n+1\0") if version == 1 else (block[4:12], b"n+2\0\r\n\x1a\n")
    if magic in (b"ni1\0", b"ni2\0\r\n\x1a\n"):
        raise RefusedFile(path, "it is one half of a .hdr/.img pair", "convert the pair to a single .nii.gz file")
    if magic[:4] == bytes(4):
        raise RefusedFile(path, "it is an Analyze file, which has no orientation", "convert it to NIfTI")
    if magic != single:
        raise RefusedFile(path, "its NIfTI magic bytes are wrong", "copy the file again")


def _shape(fields: "Nifti1Header", path: str | PathLike[str]) -> tuple[int, int, int, int]:
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


def _dtype(fields: "Nifti1Header", path: str | PathLike[str]) -> np.dtype[np.generic]:
    from nibabel.nifti1 import data_type_codes

    code = int(fields["datatype"])
    if code not in data_type_codes or data_type_codes.label[code] in ("none", "all"):
        raise RefusedFile(path, f"its header claims the unknown data type {code}", _BROKEN)
    dtype: np.dtype[np.generic] = fields.get_data_dtype()  # type: ignore[no-untyped-call]
    if dtype.kind not in "iuf" or dtype.itemsize > LARGEST_NUMBER_BYTES:
        raise RefusedFile(path, f"its voxels are {data_type_codes.label[code]}", "convert them to integers or floats")
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        raise RefusedFile(path, f"its header claims {fields['bitpix']} bits per voxel of type {dtype.name}", _BROKEN)
    return dtype


def _offset(fields: "Nifti1Header", path: str | PathLike[str]) -> int:
    offset, least = float(fields["vox_offset"]), int(fields["sizeof_hdr"]) + 4
    if not math.isfinite(offset) or offset != int(offset) or not least <= offset < 2**53:
        raise RefusedFile(path, f"its header puts the first voxel at byte {offset:g}", _BROKEN)
    return int(offset)


def _scaling(fields: "Nifti1Header", path: str | PathLike[str]) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # the standard's sign for "not scaled"; NaN is written by nibabel
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise RefusedFile(path, f"its header scales by slope {slope:g} and intercept {intercept:g}", _BROKEN)
    return slope, intercept


def _affine(fields: "Nifti1Header", path: str | PathLike[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
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
        affine = fields.get_sform()  # type: ignore[no-untyped-call]
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


def _qform(fields: "Nifti1Header", path: str | PathLike[str]) -> NDArray[np.float64]:
    """Rotation from the quaternion (a, b, c, d), the spacing, the handedness and the offset (nifti1.h, method 2).

    nibabel's own get_qform refuses a handedness of 0 and a quaternion rounded to four digits, which scanners write.
    """
    from nibabel.quaternions import quat2mat

    b, c, d = (float(fields[f"quatern_{axis}"]) for axis in "bcd")
    square = 1.0 - (b * b + c * c + d * d)
    pixdim = fields["pixdim"].astype(np.float64)
    if not square > -1e-4 or not (pixdim[1:4] > 0).all():
        raise RefusedFile(path, "its qform holds no rotation or a spacing that is not positive", _BROKEN)
    a = math.sqrt(square) if square > _HALF_TURN else 0.0
    rotation = quat2mat([a, b, c, d])  # type: ignore[no-untyped-call]  # divides by the quaternion's length
    handed = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (pixdim[1:4] * [1.0, 1.0, handed])
    affine[:3, 3] = [float(fields[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine
