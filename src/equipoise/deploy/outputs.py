"""Write an answer beside its image: masks on the stored grid of the source, with its header where there is one."""

import gzip
import hashlib
import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from equipoise.atomic_write import write_bytes
from equipoise.cohorts.formats.scan import Scan
from equipoise.deploy.contract import Contract
from equipoise.errors import EquipoiseError
from equipoise.plain_files import opened
from equipoise.runfolder.paths import file_stem

Labels = NDArray[np.uint8]
WORLD = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}
"""The world axis (right, anterior, superior) of a letter, and its direction."""
NIFTI = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")


def label_values(contract: Contract) -> dict[str, int]:
    """Return the value of each region in a map of labels: what the trial's masks stored for its class.

    That is the class itself where the contract states no values, and the region's number where one has several classes.
    """
    if all(len(members) == 1 for members in contract.regions.values()):
        return {name: _stored(members[0], contract) for name, members in contract.regions.items()}
    return {name: number for number, name in enumerate(contract.regions, start=1)}


def _stored(member: int, contract: Contract) -> int:
    return contract.values[member] if contract.values else member


def mask_files(masks: Mapping[str, NDArray[np.bool_]], contract: Contract) -> dict[str, Labels]:
    """Return the arrays to write by file stem: one map of labels, or a mask per region where regions overlap."""
    if contract.overlapping:
        # A picture of 0 and 1 is black in every viewer.
        inside = 255 if contract.spatial_dims == 2 else 1
        return {f"mask-{file_stem(name)}": mask.astype(np.uint8) * np.uint8(inside) for name, mask in masks.items()}
    single = all(len(members) == 1 for members in contract.regions.values())
    labels = np.full(next(iter(masks.values())).shape, _stored(0, contract) if single else 0, np.uint8)
    for name, value in label_values(contract).items():
        labels[masks[name]] = value
    return {"mask": labels}


def mask_names(contract: Contract) -> list[str]:
    """Return the names of all files that `write_masks` may write for images of a contract."""
    stems = [f"mask-{file_stem(name)}" for name in contract.regions] if contract.overlapping else ["mask"]
    return [f"{stem}{'.png' if contract.spatial_dims == 2 else '.nii.gz'}" for stem in stems]


def write_masks(
    folder: Path, masks: Mapping[str, NDArray[np.bool_]], contract: Contract, scan: Scan, source: Path
) -> list[str]:
    """Write the masks of an image to a folder and return the files' names: NIfTI, or PNG for a picture."""
    names = []
    for stem, labels in mask_files(masks, contract).items():
        name = f"{stem}.png" if labels.ndim == 2 else f"{stem}.nii.gz"
        content = _png(labels) if labels.ndim == 2 else nifti_bytes(labels, scan, source)
        write_bytes(folder / name, content)
        names.append(name)
    return names


def _png(labels: Labels) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(labels).save(stream, "png")
    return stream.getvalue()


def stored_grid(labels: Labels, scan: Scan) -> tuple[Labels, NDArray[np.float64]]:
    """Turn labels (z, y, x) back to the source's own axes; return them as (x, y, z) with their affine.

    The reverse of `formats.scan.canonical`, from the letters that the reader kept. Without a place in space the axes
    stay, and the affine holds the spacing alone.
    """
    if scan.affine is None:
        return labels.transpose(2, 1, 0), np.diag([*scan.spacing_mm[::-1], 1.0])
    axes = [WORLD[letter] for letter in scan.stored_axes]
    out = labels.transpose(*(2 - world for world, _ in axes))
    affine = scan.affine.astype(np.float64, copy=True)
    for axis, (world, direction) in enumerate(axes):
        affine[:3, axis] = scan.affine[:3, world] * direction
        if direction < 0:
            affine[:3, 3] += scan.affine[:3, world] * (out.shape[axis] - 1)
            out = np.flip(out, axis)
    return out, affine


def _nibabel() -> Any:
    # Not in the head: it brings pydicom and with that a third of all that `predict` imports, which classes, pictures
    # and answers in DICOM need not.
    return importlib.import_module("nibabel")


def nifti_bytes(labels: Labels, scan: Scan, source: Path) -> bytes:
    """Return labels (z, y, x) as a .nii.gz on the source's stored grid, with its header where that is NIfTI."""
    nib = _nibabel()
    values, affine = stored_grid(labels, scan)
    header = _header(source, affine, values.shape) if source.name.lower().endswith(NIFTI) else None
    image = nib.Nifti1Image(np.ascontiguousarray(values), affine, header)
    image.set_data_dtype(np.uint8)
    if header is None:
        # Scanner coordinates where the source has some, else unknown: a place must not be claimed.
        code = 0 if scan.affine is None else 1
        image.set_sform(affine, code)
        image.set_qform(affine if code else None, code)
        image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"research only"
    # The quickest level: a mask is mostly zeros, and the slowest took longer than the network for ten million voxels.
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def _header(source: Path, affine: NDArray[np.float64], shape: tuple[int, ...]) -> Any:
    """Return the source's header made fit for labels; None where its grid is not the one that was read."""
    nib = _nibabel()
    image = nib.load(source)
    if image.shape[:3] != shape:
        raise EquipoiseError(f"{source} changed while it was processed; run the same command again")
    if not isinstance(image, nib.Nifti1Image | nib.Nifti1Pair) or not np.allclose(image.affine, affine, atol=1e-4):
        return None  # Analyze and others state no world of their own: ours is written
    header = nib.Nifti1Header(image.header.binaryblock, check=False) if image.header.sizeof_hdr == 348 else None
    if header is None:
        return None
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header.set_intent("none")
    header.extensions.clear()  # they may name the patient, and describe the image's values
    header["aux_file"] = header["db_name"] = b""
    header["magic"] = b"n+1"
    header["vox_offset"] = 0
    return header


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with opened(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
