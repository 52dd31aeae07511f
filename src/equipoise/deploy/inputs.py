"""New images: files, folders and tables of them → cases, and cases → images as the trial's sources read them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Image
from equipoise.cohorts.formats.array_stream import LargeArrayFile
from equipoise.cohorts.formats.arrays import ArrayFile
from equipoise.cohorts.formats.dicom import has_preamble, passed_over
from equipoise.cohorts.formats.file_names import data_files
from equipoise.cohorts.formats.limits import DEFAULT, Limits
from equipoise.cohorts.formats.pictures import SUFFIXES as PICTURES
from equipoise.cohorts.formats.reading import DICOM, VOLUMES, read_any, suffix_of
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.scan import Scan, with_finite_values
from equipoise.cohorts.layouts.array_rows import open_arrays, rows
from equipoise.cohorts.layouts.channels import AS_COLOUR, AS_GREY, channel_options, with_channels
from equipoise.cohorts.layouts.columns import columns_of
from equipoise.cohorts.layouts.same_grid import check_same_grid
from equipoise.cohorts.layouts.tables import read_table
from equipoise.deploy.contract import Contract
from equipoise.errors import CohortError, EquipoiseError
from equipoise.sinks import encodable

ARRAYS, TABLES = frozenset({".npz", ".npy"}), frozenset({".csv", ".tsv"})
_SECOND_HALVES = frozenset({".img", ".img.gz"})


@dataclass(frozen=True)
class CaseInput:
    """One case to predict.

    images: one file per channel, or one that holds all; a folder stands for its DICOM series. row: of an array of
    several images. refusal: why it cannot be read, known before it is opened.
    """

    id: str
    images: tuple[Path, ...]
    series_uid: str | None = None
    row: int | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class SourceImage:
    """An image with what is needed to write beside it: the scan of its first file, and the hashes of all files read.

    sha256: by name. parts: for each of the case's images, the files beside it that were read with it.
    """

    image: Image
    scan: Scan
    sha256: Mapping[str, str]
    parts: tuple[Mapping[str, str], ...]
    remarks: tuple[str, ...]


def find_cases(paths: Iterable[str | Path], contract: Contract, series_uid: str | None = None) -> list[CaseInput]:
    """List the cases in files, folders and tables (CSV, TSV), in their order.

    A folder of DICOM is one case, any other folder one case per image, or per group of files whose names end in the
    channels' names (or 0000, 0001 …, where there are several groups and all are complete). Raises CohortError where two
    cases would have one name, or nothing is there.
    """
    cases: list[CaseInput] = []
    for given in map(Path, paths):
        cases += _cases_of(given, contract, series_uid)
    # A name from the file system may hold bytes that are no UTF-8, which no table or page could hold.
    cases = [replace(case, id=encodable(case.id)) for case in cases]
    ids = [case.id for case in cases]
    repeated = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    if repeated:
        raise CohortError(
            f"two inputs have the case name {repeated[0]!r}; give a table with the columns case and image"
        )
    if not cases:
        raise CohortError("there is no image among the inputs; give files, folders or a table of them")
    return cases


def _cases_of(path: Path, contract: Contract, series_uid: str | None) -> list[CaseInput]:
    if not path.exists():
        raise CohortError(f"{path} does not exist; check the path")
    if path.is_dir():
        return _in_folder(path, contract, series_uid)
    if suffix_of(path) in TABLES:
        return _in_table(path, contract)
    if suffix_of(path) == ".npz":
        return _in_archive(path)
    return [CaseInput(_stem(path), (path,), series_uid)]


def _in_archive(path: Path) -> list[CaseInput]:
    """Return a case per image of an archive with `images`, else one; a damaged archive is one case with its refusal."""
    try:
        names = open_arrays(path).names
        if {"image", "images"} <= set(names):
            raise RefusedFile(path, "it holds both 'image' and 'images'", "save one image, or the images of all cases")
        count = _count_of(path) if "images" in names else None
    except (EquipoiseError, OSError) as error:
        # Not raised: the other inputs still have answers, and this one a row.
        return [CaseInput(_stem(path), (path,), refusal=str(error))]
    if count is None:
        return [CaseInput(_stem(path), (path,))]
    return [CaseInput(f"{_stem(path)}-{row}", (path,), row=row) for row in range(count)]


def _count_of(path: Path) -> int:
    shape = rows(path, "images").shape
    if not shape or not shape[0]:
        raise RefusedFile(path, f"its array 'images' holds no images: its shape is {shape}", "save one image per row")
    return int(shape[0])


def _in_folder(folder: Path, contract: Contract, series_uid: str | None) -> list[CaseInput]:
    dicom, images, _ = _sorted(folder)
    if dicom and images:
        raise CohortError(
            f"{folder} holds DICOM ({dicom[0].name}) and other images ({images[0].name}), and which of them are cases "
            "is not clear; give the folder of one series, or a table with the columns case and image"
        )
    if dicom:
        return [CaseInput(folder.resolve().name, (folder,), series_uid)]
    named = {file: file.relative_to(folder).with_name(_stem(file)).as_posix() for file in images}
    endings = {file: channel_of(_stem(file), contract) for file in images}
    if len(contract.channels) > 1 and images and all(ending is not None for ending in endings.values()):
        cases = _grouped(named, endings, contract)
        _refuse_doubtful_numbers(folder, named, cases, contract)
        return cases
    return [CaseInput(name, (file,)) for file, name in named.items()]


def _sorted(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the DICOM files of a folder, its other images, and what is none of them."""
    dicom: list[Path] = []
    images: list[Path] = []
    others: list[Path] = []
    for file in data_files(folder):
        suffix = suffix_of(file)
        if suffix in {*VOLUMES, *PICTURES, *ARRAYS} - _SECOND_HALVES:
            images.append(file)
        elif suffix in DICOM or has_preamble(file):
            dicom.append(file)
        elif suffix not in _SECOND_HALVES:
            others.append(file)
    return dicom, images, others


def left_out(paths: Iterable[str | Path]) -> list[str]:
    """Return the names of files in folders that are no images of a known kind, so that none vanishes unseen."""
    return [encodable(file.name) for path in map(Path, paths) if path.is_dir() for file in _sorted(path)[2]]


def _grouped(
    named: Mapping[Path, str], endings: Mapping[Path, tuple[int, int] | None], contract: Contract
) -> list[CaseInput]:
    """Join files of one name but for its ending, one per channel."""
    groups: dict[str, dict[int, list[Path]]] = {}
    for file, name in named.items():
        channel, length = endings[file] or (0, 0)
        groups.setdefault(name[:-length], {}).setdefault(channel, []).append(file)
    cases = []
    for name, members in groups.items():
        missing = [contract.channels[k] for k in range(len(contract.channels)) if len(members.get(k, [])) != 1]
        refusal = f"it has no file, or several, for {missing[0]}; give one per channel" if missing else None
        files = tuple(file for k in sorted(members) for file in members[k])
        cases.append(CaseInput(name, files, refusal=refusal))
    return cases


def _refuse_doubtful_numbers(
    folder: Path, named: Mapping[Path, str], cases: Sequence[CaseInput], contract: Contract
) -> None:
    """Refuse names that end in 0000, 0001 … where these may be the numbers of cases as well as of channels."""
    plain = {channel.lower() for channel in contract.channels}
    numbers = [name for name in named.values() if name[-4:].isdigit() and name[-4:] not in plain]
    # Three pictures nodule_0000 to nodule_0002 are three cases or the three channels of one. Several cases with every
    # channel are no chance; one is, and so is a set with some of its numbers missing.
    if not numbers or (len(cases) > 1 and all(case.refusal is None for case in cases)):
        return
    raise CohortError(
        f"{folder} holds {numbers[0]!r} and the like, and whether 0000, 0001 … number the channels or cases of their "
        "own is not clear, for only several cases with all channels each show it; give a table with the columns case "
        f"and {', '.join(f'image_{channel}' for channel in contract.channels)}, or case and image"
    )


def channel_of(stem: str, contract: Contract) -> tuple[int, int] | None:
    """Return the channel that a name ends in and the length of that ending; None where it is not one channel's."""
    matches = {
        (index, len(ending) + 1)
        for index, channel in enumerate(contract.channels)
        for ending in (channel, f"{index:04d}")
        if stem.lower().endswith(tuple(f"{sign}{ending.lower()}" for sign in "-_."))
    }
    return matches.pop() if len(matches) == 1 else None


def _in_table(path: Path, contract: Contract) -> list[CaseInput]:
    try:
        lines = read_table(path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise CohortError(
            f"{path} is not a readable table ({error}); write a CSV with the columns case and image"
        ) from error
    roles = columns_of(lines, None, str(path))
    columns = list(roles.images.values())
    if not columns:
        raise CohortError(f"{path} has no column image, only {', '.join(lines[0])}; add the paths of the images")
    if len(columns) > 1:
        columns = [_column_of(channel, roles.images, path) for channel in contract.channels]
    cases = []
    for number, row in enumerate(lines, start=1):
        files = tuple(path.parent / row[column] for column in columns)
        name = row[roles.case] if roles.case else _stem(files[0]) if row[columns[0]] else ""
        series = (row.get(roles.series_uid) or None) if roles.series_uid else None
        refusal = _absent(row, columns, files, f"row {number} of {path.name}")
        cases.append(CaseInput(name or f"row-{number}", files, series, refusal=refusal))
    return cases


def _absent(row: Mapping[str, str], columns: Sequence[str], files: Sequence[Path], where: str) -> str | None:
    """Return why a row has no image; None where all its files are there."""
    # An empty cell would be the folder of the table itself, and a series may lie there.
    empty = next((column for column in columns if not row[column]), None)
    if empty is not None:
        return f"{where} has nothing in the column {empty}; write the path of its image, or remove the row"
    absent = next((file for file in files if not file.exists()), None)
    return None if absent is None else f"{where} names {absent.name}, which does not exist"


def _column_of(channel: str, images: Mapping[str, str], path: Path) -> str:
    plain = {name.lower(): column for name, column in images.items()}
    if channel.lower() not in plain:
        raise CohortError(f"{path} has no column image_{channel}, only {', '.join(images)}; add it")
    return plain[channel.lower()]


def _stem(path: Path) -> str:
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix and path.name.lower().endswith(suffix) else path.name


def read_path(path: Path, contract: Contract, series_uid: str | None = None) -> SourceImage:
    """Read the one image in a file or in a folder of one DICOM series."""
    return read_input(CaseInput(_stem(path), (path,), series_uid), contract)


def read_input(case: CaseInput, contract: Contract, limits: Limits = DEFAULT) -> SourceImage:
    """Read a case's image with the channels of the contract; limits: what its files may ask for.

    Raises EquipoiseError for files that are refused, lie on different grids, or have other channels.
    """
    if case.refusal is not None:
        raise CohortError(case.refusal)
    scans = [_read(path, case, contract, limits) for path in case.images]
    for path, scan in zip(case.images[1:], scans[1:], strict=True):
        check_same_grid(path, scan, case.images[0], scans[0])
    array, converted = _with_channels(scans, case.images[0], contract)
    remarks = [
        encodable(f"{path.name}: {text}")
        for path, scan in zip(case.images, scans, strict=True)
        for text in scan.remarks
    ]
    remarks += [encodable(text) for path in case.images for text in _beside_the_series(path)]
    first = scans[0]
    image = Image(array, first.spacing_mm[-(array.ndim - 1) :], None, first.affine)
    hashes = {encodable(Path(name).name): digest for scan in scans for name, digest in scan.sha256.items()}
    parts = tuple(map(_parts, case.images, scans))
    return SourceImage(image, first, hashes, parts, (*remarks, *converted))


def _parts(path: Path, scan: Scan) -> dict[str, str]:
    """Return name → SHA-256 of what was read beside a given file: the other half of a pair, the voxels of a header."""
    if path.is_dir():
        return {}
    beside = {encodable(Path(name).name): digest for name, digest in scan.sha256.items()}
    return {name: digest for name, digest in beside.items() if name != encodable(path.name)}


def _beside_the_series(path: Path) -> list[str]:
    """Tell what a folder holds beside DICOM: a slice that lost its ending or beginning may be among it."""
    others = passed_over(path) if path.is_dir() else []
    if not others:
        return []
    count = "1 file is" if len(others) == 1 else f"{len(others)} files are"
    return [f"{count} no DICOM and left out, first {others[0].name!r}: an outer slice of the series may be missing"]


def _with_channels(scans: Sequence[Scan], path: Path, contract: Contract) -> tuple[NDArray[Any], tuple[str, ...]]:
    count, total = len(contract.channels), sum(scan.array.shape[0] for scan in scans)
    # As in the trial's sources: grey stored as colour is grey, and true colour is never made grey.
    if count not in channel_options(scans):
        raise RefusedFile(
            path,
            f"it has {total} channels and the network takes {count} ({', '.join(contract.channels)})",
            "give these channels, in this order",
        )
    array = with_channels(scans, count)
    if len(array) != count:
        raise RefusedFile(path, f"its channels are not {', '.join(contract.channels)}", "give one file per channel")
    converted = () if total == count else (AS_GREY if total > count else AS_COLOUR,)
    return array, converted


def _read(path: Path, case: CaseInput, contract: Contract, limits: Limits) -> Scan:
    if suffix_of(path) in ARRAYS and not path.is_dir():
        return _read_arrays(path, case.row, contract)
    return read_any(path, series_uid=case.series_uid, limits=limits)


def _read_arrays(path: Path, row: int | None, contract: Contract) -> Scan:
    """Read .npy, or .npz with `image` (or `images`), and perhaps `spacing_mm` and `affine`."""
    arrays = open_arrays(path)  # kept open: a file of many images is read once
    if not arrays.names:
        raise RefusedFile(path, "it holds no array", "save the image as `image`")
    key = "images" if row is not None else _key_of(arrays, path)
    values = arrays[key] if row is None else rows(path, key)[row]
    dims, count = contract.spatial_dims, len(contract.channels)
    if values.ndim == dims and count == 1:
        values = values[None]
    if values.ndim != dims + 1 or values.shape[0] != count or values.dtype.kind not in "buif":
        axes = "(channel, z, y, x)" if dims == 3 else "(channel, y, x)"
        raise RefusedFile(
            path,
            f"its array {key!r} has the shape {values.shape} of {values.dtype.name}",
            f"save numbers as {axes} with {count} channels",
        )
    if not values.size:
        raise RefusedFile(path, f"its array {key!r} has no voxels: its shape is {values.shape}", "save it again")
    values, remark = with_finite_values(values, path, "refuse")
    spacing, affine = _placed(arrays, path, dims)
    header = {} if affine is not None or "spacing_mm" in arrays.names else {"spacing_unstated": True}
    return Scan(values, spacing, affine, {str(path): arrays.sha256}, header=header, remarks=remark)


def _key_of(arrays: ArrayFile | LargeArrayFile, path: Path) -> str:
    """Return the name of the array that is the image: `image`, or the only one that can be; refuse a choice."""
    names = [name for name in arrays.names if name not in ("spacing_mm", "affine")]
    if "images" in names:
        remedy = "give the file itself, which is a case for each, or save one as 'image'"
        raise RefusedFile(path, "it holds 'images' of several cases where one image belongs", remedy)
    if "image" in names or names == [""]:
        return "image" if "image" in names else ""
    # A mask or a heat map beside the scan has the same form, and an order of names says nothing.
    possible = [name for name in names if arrays[name].ndim >= 2 and arrays[name].dtype.kind in "buif"]
    if len(possible) != 1:
        listed = ", ".join(map(repr, (possible or arrays.names)[:8]))
        what = f"it holds several arrays that could be the image ({listed})" if possible else f"none of {listed} is one"
        raise RefusedFile(path, what, "save the image under the name 'image'")
    return possible[0]


def _placed(
    arrays: ArrayFile | LargeArrayFile, path: Path, dims: int
) -> tuple[tuple[float, ...], NDArray[np.float64] | None]:
    """Return spacing and affine as far as the file states them; refuse two that contradict each other."""
    affine = _numbers(arrays, "affine", path) if "affine" in arrays.names and dims == 3 else None
    if affine is not None and not _is_place(affine):
        raise RefusedFile(
            path,
            "its affine is not an invertible 4 × 4 matrix of finite numbers whose last row is 0 0 0 1",
            "save the affine of voxels to RAS+ mm",
        )
    spacing = tuple(_numbers(arrays, "spacing_mm", path).ravel().tolist()) if "spacing_mm" in arrays.names else None
    if spacing is not None and len(spacing) != dims:
        raise RefusedFile(path, f"its spacing_mm has {len(spacing)} values", f"give {dims}, in the order of the axes")
    if affine is None:
        return spacing or (1.0,) * dims, None
    by_affine = tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0)[::-1])
    if spacing is not None and not np.allclose(spacing, by_affine, rtol=1e-3):
        raise RefusedFile(path, f"its spacing_mm {spacing} contradicts its affine {by_affine}", "save one of them")
    return by_affine, affine


def _numbers(arrays: ArrayFile | LargeArrayFile, key: str, path: Path) -> NDArray[np.float64]:
    values = arrays[key]
    if values.dtype.kind not in "iuf":
        raise RefusedFile(path, f"its {key} holds {values.dtype.name} and not real numbers", "save it as float64")
    return values.astype(np.float64)


def _is_place(affine: NDArray[np.float64]) -> bool:
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.allclose(affine[3], (0, 0, 0, 1)):
        return False
    return bool(abs(np.linalg.det(affine[:3, :3])) >= 1e-9)
