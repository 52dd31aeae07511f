"""The files of one answer, in the formats that were asked for; nothing is written before all of them are made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_bytes
from equipoise.deploy.contract import Contract
from equipoise.deploy.dicom_report import Report
from equipoise.deploy.dicom_segmentation import segmentation_bytes
from equipoise.deploy.dicom_structures import structures_bytes
from equipoise.deploy.inputs import CaseInput, SourceImage
from equipoise.deploy.outputs import mask_names, write_masks
from equipoise.deploy.page import case_page
from equipoise.deploy.predictor import Answer, Bundle
from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest
from equipoise.tasks.task import MASK

NIFTI, JSON, SEG, LABELMAP, SR, RTSTRUCT, PAGE = "nifti", "json", "seg", "labelmap", "sr", "rtstruct", "page"
FORMATS = (NIFTI, JSON, SEG, LABELMAP, SR, RTSTRUCT, PAGE)
OF_MASKS = (SEG, LABELMAP, RTSTRUCT)
"""Formats that hold masks alone: of a bundle that answers with classes or candidates they are refused."""
SEG_FILE, LABELMAP_FILE, SR_FILE, RTSTRUCT_FILE = "seg.dcm", "labelmap.dcm", "sr.dcm", "rtstruct.dcm"
PAGE_FILE = "page.html"


@dataclass
class Written:
    """What was written for an answer: names of files, further columns of its row, further warnings."""

    names: list[str] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def formats_of(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Return the formats by name, from a text joined by commas or from a list; EquipoiseError for an unknown one."""
    names = tuple(filter(None, formats.split(","))) if isinstance(formats, str) else tuple(formats)
    for name in names:
        if name not in FORMATS:
            raise EquipoiseError(f"--as {name!r} is unknown; {nearest(name, FORMATS)}")
    return names


def check_formats(formats: Sequence[str], contract: Contract) -> None:
    """Raise EquipoiseError for a format that no answer of the bundle can have."""
    wrong = next((name for name in formats if name in OF_MASKS), None)
    if wrong is not None and contract.truth != MASK:
        raise EquipoiseError(f"this bundle predicts no masks, so --as {wrong} is not possible; use --as sr")
    if LABELMAP in formats and contract.overlapping:
        raise EquipoiseError("regions of this bundle may overlap, which a label map cannot represent; use --as seg")


def loss_columns(contract: Contract, formats: Sequence[str]) -> list[str]:
    """Return the columns of the table that say what masks lose as contours; none where none are written."""
    if RTSTRUCT not in formats:
        return []
    return [f"{name}_rtstruct_{what}" for name in contract.regions for what in ("dice", "volume_change")]


def possible_names(contract: Contract) -> list[str]:
    """Return the names of all files that `write_answer` may write for images of a contract, in any format."""
    return [*mask_names(contract), SEG_FILE, LABELMAP_FILE, SR_FILE, RTSTRUCT_FILE, PAGE_FILE]


def write_answer(
    folder: Path, case: CaseInput, bundle: Bundle, source: SourceImage, answer: Answer, formats: Sequence[str]
) -> Written:
    """Write an answer's files to a folder; EquipoiseError, and nothing written, where one of them cannot be made."""
    written = Written()
    # DICOM first, which may be refused: a case that failed must leave no mask behind.
    contents = _dicom(written, bundle, source, answer, formats)
    if PAGE in formats:
        warnings = (*answer.warnings, *written.warnings)
        contents[PAGE_FILE] = case_page(
            case.id, source.image, answer, warnings=warnings, channel=bundle.contract.channels[0], arm=bundle.arm,
            bundle=bundle.sha256, against=bundle.against,
        ).encode()  # fmt: skip
    if answer.masks and NIFTI in formats:
        written.names += write_masks(folder, answer.masks, bundle.contract, source.scan, case.images[0])
    for name, content in contents.items():
        write_bytes(folder / name, content)
        written.names.append(name)
    return written


def _dicom(
    written: Written, bundle: Bundle, source: SourceImage, answer: Answer, formats: Sequence[str]
) -> dict[str, bytes]:
    """Return the DICOM files asked for, by name; a report on masks brings the segmentation that it refers to."""
    named = {"arm": bundle.arm, "bundle": bundle.sha256}
    contents: dict[str, bytes] = {}
    if answer.masks and (SEG in formats or SR in formats):
        contents[SEG_FILE] = segmentation_bytes(answer.masks, source.scan, **named)
    if LABELMAP in formats:
        contents[LABELMAP_FILE] = segmentation_bytes(answer.masks, source.scan, **named, kind="LABELMAP")
    if SR in formats:
        segmentation, label = contents.get(SEG_FILE, b""), bundle.contract.classes[-1]
        contents[SR_FILE] = Report(answer, source.scan, **named, segmentation=segmentation, label=label).encoded()
    if RTSTRUCT in formats:
        contents[RTSTRUCT_FILE], losses, remarks = structures_bytes(answer.masks, source.scan, **named)
        for name, loss in losses.items():
            change = round(loss.volume_change, 6)
            written.columns |= {f"{name}_rtstruct_dice": round(loss.dice, 6), f"{name}_rtstruct_volume_change": change}
        written.warnings += [*filter(None, (loss.warning(name) for name, loss in losses.items())), *remarks]
    return contents
