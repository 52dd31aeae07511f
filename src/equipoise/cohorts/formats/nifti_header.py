"""The header of a NIfTI-1 or NIfTI-2 file: 348 or 540 bytes of claims, each checked before it is believed.

nibabel takes the bytes apart (fields, byte order, data types, scaling, rotations); none of its own checks and repairs
are used, because they correct silently what is refused or remarked here.

Reference: Cox et al., "A (sort of) new image data format standard: NIfTI-1", 2004, and nifti1.h / nifti2.h.
"""

import math
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.volume_claim import BROKEN, LARGEST_NUMBER_BYTES, VolumeClaim, check_affine

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

HEADER_BYTES = {348: 1, 540: 2}
LONGEST_HEADER = 540
# Code 0 states no unit, and millimetres are what other readers take it for.
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_LAST_SPACE_CODE = 5  # "other template", the last coordinate code of the standard
_ANALYZE = "it is an Analyze file, which states no left and right: x was taken to grow to the left, as nibabel does"
_UNIT_NAMES = {0: "no unit", 1: "metres", 2: "millimetres", 3: "micrometres"}
_HALF_TURN = 3 * float(np.finfo(np.float32).eps)  # 1 − b² − c² − d² below the rounding of float32 is zero


def parse_header(raw: bytes | bytearray, path: str | PathLike[str], *, pair: bool = False) -> VolumeClaim:
    """The checked header at the beginning of an uncompressed NIfTI file; raises RefusedFile where it makes no sense.

    pair: the bytes are those of a .hdr file, whose voxels lie in an .img file; an Analyze header is read too.
    """
    fields = _fields(raw, path, pair)
    if not hasattr(fields, "get_sform"):
        return _analyze(fields, path)
    dtype = _dtype(fields, path)
    slope, intercept = _scaling(fields, path)
    with np.errstate(all="ignore"):  # absurd numbers overflow on their way to being refused
        affine, remarks = _affine(fields, path)
    return VolumeClaim(
        shape=_shape(fields, path),
        dtype=dtype,
        offset=_offset(fields, path, 0 if pair else int(fields["sizeof_hdr"]) + 4),
        slope=slope,
        intercept=intercept,
        affine=affine,
        remarks=remarks,
        placed=max(int(fields["sform_code"]), int(fields["qform_code"])) > 0,
    )


def _fields(raw: bytes | bytearray, path: str | PathLike[str], pair: bool) -> Any:
    """Return the header's fields as nibabel names them, of NIfTI or, in a pair without NIfTI's magic, of Analyze."""
    import nibabel  # .4 s (1.5 s with pydicom) that only NIfTI files should cost

    # The header states no byte order; its own length, read both ways, is the only sign of it.
    for order in ("<", ">"):
        size = int(np.frombuffer(bytes(raw[:4]), f"{order}i4")[0]) if len(raw) >= 4 else 0
        version = HEADER_BYTES.get(size)
        if version is None:
            continue
        if len(raw) < size:
            raise RefusedFile(path, "it is shorter than a NIfTI header", "copy the file again")
        layout = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
        fields = layout(bytes(raw[:size]), endianness=order, check=False)  # type: ignore[no-untyped-call]
        if pair and version == 1 and bytes(raw[344:347]) not in (b"ni1", b"n+1"):
            return nibabel.spm2analyze.Spm2AnalyzeHeader(bytes(raw[:size]), endianness=order, check=False)  # type: ignore[no-untyped-call]
        _check_magic(fields.binaryblock, version, path, pair)
        return fields
    raise RefusedFile(path, "it does not begin with a NIfTI header", "give a .nii or .nii.gz file")


def _check_magic(block: bytes, version: int, path: str | PathLike[str], pair: bool) -> None:
    # compared as bytes: numpy's text fields drop the zeros at their end
    magic, single = (block[344:348], b"n+1\0") if version == 1 else (block[4:12], b"n+2\0\r\n\x1a\n")
    half = magic in (b"ni1\0", b"ni2\0\r\n\x1a\n")
    if half and not pair:
        raise RefusedFile(path, "it is one half of a .hdr/.img pair", "name its two files .hdr and .img")
    if half:
        return
    if magic[:4] == bytes(4):
        raise RefusedFile(path, "it is an Analyze file, which has no orientation", "convert it to NIfTI")
    if magic != single or pair:
        raise RefusedFile(path, "its NIfTI magic bytes are wrong", "copy the file again")


def _shape(fields: "Nifti1Header", path: str | PathLike[str]) -> tuple[int, int, int, int]:
    dim = [int(value) for value in fields["dim"]]
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise RefusedFile(path, f"its header claims the dimensions {dim}", BROKEN)
    sizes = dim[1 : dim[0] + 1] + [1] * (7 - dim[0])
    x, y, z, *rest = sizes
    # ITK and nibabel put vector components on the fifth axis and leave the fourth at 1, so either of the two may be
    # the channel; both at once would mix time and channels.
    if sum(size > 1 for size in rest) > 1 or max(rest[2:]) > 1:
        raise RefusedFile(
            path, f"it has the dimensions {sizes}, more than three axes and one of channels", "split it into volumes"
        )
    return max(rest), z, y, x


def _dtype(fields: "Nifti1Header", path: str | PathLike[str]) -> np.dtype[np.generic]:
    from nibabel.nifti1 import data_type_codes

    code = int(fields["datatype"])
    if code not in data_type_codes or data_type_codes.label[code] in ("none", "all"):
        raise RefusedFile(path, f"its header claims the unknown data type {code}", BROKEN)
    dtype: np.dtype[np.generic] = fields.get_data_dtype()  # type: ignore[no-untyped-call]
    if dtype.kind not in "iuf" or dtype.itemsize > LARGEST_NUMBER_BYTES:
        raise RefusedFile(path, f"its voxels are {data_type_codes.label[code]}", "convert them to integers or floats")
    # The type and the bits state one thing twice. Where they differ, the header was damaged or patched by hand, and
    # each reading gives other voxels.
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        raise RefusedFile(path, f"its header claims {fields['bitpix']} bits per voxel of type {dtype.name}", BROKEN)
    return dtype


def _offset(fields: "Nifti1Header", path: str | PathLike[str], least: int) -> int:
    offset = float(fields["vox_offset"])
    # The field is a float in NIfTI-1, so fractions, NaN and infinity are possible and would be cut to some integer
    # without a word.
    if not math.isfinite(offset) or offset != int(offset) or not least <= offset < 2**53:
        raise RefusedFile(path, f"its header puts the first voxel at byte {offset:g}", BROKEN)
    return int(offset)


def _scaling(fields: "Nifti1Header", path: str | PathLike[str]) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # the standard's sign for "not scaled"; NaN is written by nibabel
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise RefusedFile(path, f"its header scales by slope {slope:g} and intercept {intercept:g}", BROKEN)
    return slope, intercept


def _affine(fields: "Nifti1Header", path: str | PathLike[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The usable form of sform and qform, in mm; without either what nibabel takes: x to the left, the middle at 0.

    A form that makes no sense (zero rows, no rotation) is remarked where the other does; ITK and ANTs read such files.
    """
    remarks: list[str] = []
    unit = int(fields["xyzt_units"]) & 7
    if unit not in _MM_PER_UNIT:
        raise RefusedFile(path, f"its header claims the unknown unit of length {unit}", BROKEN)
    if unit in (1, 3):
        remarks.append(f"lengths were in {_UNIT_NAMES[unit]}")
    codes = {"sform": int(fields["sform_code"]), "qform": int(fields["qform_code"])}
    # Fuzzing met a code of 129, which is above zero and so looks like a form that is in use; the standard has none
    # above 5.
    if not 0 <= min(codes.values()) <= max(codes.values()) <= _LAST_SPACE_CODE:
        raise RefusedFile(path, f"its header claims the unknown coordinate codes {tuple(codes.values())}", BROKEN)
    usable: dict[str, NDArray[np.float64]] = {}
    refusals: dict[str, RefusedFile] = {}
    for form in (name for name, code in codes.items() if code > 0):
        try:
            usable[form] = _in_mm(_FORMS[form](fields, path), _MM_PER_UNIT[unit], path)
        except RefusedFile as refusal:
            refusals[form] = refusal
    # Both forms are tried before anything is refused, for files with a stated sform of zero rows and a good qform are
    # in circulation, and ANTs and ITK read them.
    if not usable and refusals:
        raise next(iter(refusals.values()))
    if not usable:
        remarks.append("it states no orientation (both codes are 0): x was taken to grow to the left, as nibabel does")
        base = fields.get_base_affine()  # type: ignore[no-untyped-call]
        return _in_mm(base, _MM_PER_UNIT[unit], path), tuple(remarks)
    form, affine = next(iter(usable.items()))
    return affine, (*remarks, *_form_remarks(form, usable, refusals, fields, _MM_PER_UNIT[unit]))


def _form_remarks(
    form: str,
    usable: dict[str, NDArray[np.float64]],
    refusals: dict[str, RefusedFile],
    fields: "Nifti1Header",
    mm: float,
) -> list[str]:
    """Tell how the header contradicts the form that was used."""
    if len(usable) == 2:
        return [] if _agree(usable["sform"], usable["qform"]) else ["sform and qform differ; the sform was used"]
    if refusals:
        other, refusal = next(iter(refusals.items()))
        return [f"its {other} cannot be used ({refusal.reason}); the {form} was used"]
    spacing = np.linalg.norm(usable[form][:3, :3], axis=0)
    # The sform wins as in nibabel. The contradiction is shown all the same: a tool that resampled may have updated
    # only one of the two.
    pixdim = np.abs(fields["pixdim"][1:4].astype(np.float64)) * mm
    if np.isfinite(pixdim).all() and pixdim.all() and not np.allclose(spacing, pixdim, rtol=1e-2):
        return [f"the {form} and pixdim give other voxel sizes; the {form} was used"]
    return []


def _in_mm(affine: NDArray[np.float64], mm: float, path: str | PathLike[str]) -> NDArray[np.float64]:
    scaled = np.array(affine, dtype=np.float64)
    scaled[:3] *= mm
    check_affine(scaled, path)
    return scaled


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
    # A quaternion rounded to four digits can be longer than 1 by as much as this.
    if not square > -1e-4 or not (pixdim[1:4] > 0).all():
        raise RefusedFile(path, "its qform holds no rotation or a spacing that is not positive", BROKEN)
    a = math.sqrt(square) if square > _HALF_TURN else 0.0
    rotation = quat2mat([a, b, c, d])  # type: ignore[no-untyped-call]  # divides by the quaternion's length
    # The standard asks for -1 or 1; a 0, which scanners write, counts as 1.
    handed = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (pixdim[1:4] * [1.0, 1.0, handed])
    affine[:3, 3] = [float(fields[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _sform(fields: "Nifti1Header", _: str | PathLike[str]) -> NDArray[np.float64]:
    affine: NDArray[np.float64] = fields.get_sform()  # type: ignore[no-untyped-call]
    return affine


_FORMS = {"sform": _sform, "qform": _qform}  # in the order in which they are believed


def _analyze(fields: Any, path: str | PathLike[str]) -> VolumeClaim:
    """Analyze 7.5, with SPM's scaling and origin, as nibabel reads it; left and right are its convention."""
    slope, intercept = fields.get_slope_inter()
    with np.errstate(all="ignore"):
        affine = _in_mm(fields.get_best_affine(), 1.0, path)
    if slope is not None and not math.isfinite(slope * (intercept or 0.0)):
        raise RefusedFile(path, f"its header scales by slope {slope:g} and intercept {intercept:g}", BROKEN)
    return VolumeClaim(
        shape=_shape(fields, path),
        dtype=_dtype(fields, path),
        offset=_offset(fields, path, 0),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        affine=affine,
        remarks=(
            "it is an Analyze file, which states no left and right: x was taken to grow to the left, as nibabel does",
        ),
        placed=False,
    )
