"""Read LIDC-IDRI annotation files: the outlines, ratings and points of each reader of one CT scan.

Structure (Armato et al. 2011): `readingSession` per reader; `unblindedReadNodule` with `characteristics` for nodules of
3 mm and more (outlined slice by slice), without for smaller ones (one point); `nonNodule` for other marks. Outlines are
the first pixels outside the nodule; `inclusion` FALSE outlines a hole.
"""

import math
from dataclasses import dataclass
from os import PathLike, fspath
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.formats.xml_tree import read_xml
from equipoise.cohorts.lidc.database import RATINGS

CT_ROOT, XRAY_ROOT = "LidcReadMessage", "IdriReadMessage"
_SCALE = range(1, 7)
_BROKEN = "fetch the annotation file again"


@dataclass(frozen=True)
class Outline:
    """One closed outline on one slice: its position (z, mm), its image, and its pixels (points, 2) as (column, row)."""

    z_mm: float
    sop_uid: str
    inclusion: bool
    points: NDArray[np.int64]


@dataclass(frozen=True)
class NoduleMark:
    """One reader's nodule. ratings: the nine of `database.RATINGS` for nodules ≥ 3 mm, () for smaller ones."""

    id: str
    ratings: tuple[int, ...]
    outlines: tuple[Outline, ...]

    @property
    def is_large(self) -> bool:
        """Whether the reader judged it 3 mm or more, and therefore outlined and rated it."""
        return bool(self.ratings)


@dataclass(frozen=True)
class Session:
    """The marks of one reader; non_nodules are single points, stored as outlines of one pixel."""

    reader: str
    nodules: tuple[NoduleMark, ...]
    non_nodules: tuple[NoduleMark, ...]


@dataclass(frozen=True)
class LidcReading:
    """One annotation file. modality: "CT", or "X-ray" for the few chest radiographs, whose marks are not read."""

    file: str
    sha256: str
    modality: str
    study_uid: str
    series_uid: str
    sessions: tuple[Session, ...]

    def large_nodules(self) -> tuple[NoduleMark, ...]:
        """Return the marks of nodules ≥ 3 mm of all readers."""
        return tuple(mark for session in self.sessions for mark in session.nodules if mark.is_large)

    def small_nodules(self) -> tuple[NoduleMark, ...]:
        """Return the marks of nodules < 3 mm of all readers."""
        return tuple(mark for session in self.sessions for mark in session.nodules if not mark.is_large)


def read_lidc_xml(path: str | PathLike[str]) -> LidcReading:
    """Read one annotation file of LIDC-IDRI; RefusedFile for other or broken XML."""
    root, digest = read_xml(path)
    if root.tag not in (CT_ROOT, XRAY_ROOT):
        raise RefusedFile(path, f"its root is <{root.tag}>", f"give an LIDC-IDRI file, with <{CT_ROOT}>")
    header = root.find("ResponseHeader")
    if header is None:
        raise RefusedFile(path, "it has no response header", _BROKEN)
    is_ct = root.tag == CT_ROOT
    series = _text(header, "SeriesInstanceUid") or _text(header, "SeriesInstanceUID")
    if not series:
        raise RefusedFile(path, "it names no series", _BROKEN)
    return LidcReading(
        file=fspath(path),
        sha256=digest,
        modality="CT" if is_ct else "X-ray",
        study_uid=_text(header, "StudyInstanceUID"),
        series_uid=series,
        sessions=tuple(_session(item, path) for item in root.iter("readingSession")) if is_ct else (),
    )


def _session(item: Element, path: str | PathLike[str]) -> Session:
    return Session(
        reader=_text(item, "servicingRadiologistID"),
        nodules=tuple(_nodule(node, path) for node in item.findall("unblindedReadNodule")),
        non_nodules=tuple(_non_nodule(node, path) for node in item.findall("nonNodule")),
    )


def _nodule(node: Element, path: str | PathLike[str]) -> NoduleMark:
    name = _text(node, "noduleID")
    outlines = tuple(_outline(roi, roi.findall("edgeMap"), path) for roi in node.findall("roi"))
    if not outlines:
        raise RefusedFile(path, f"nodule {name!r} has no outline", _BROKEN)
    characteristics = node.find("characteristics")
    # A nodule without ratings was smaller than 3 mm for this reader; its element is missing or empty.
    if characteristics is None or not len(characteristics):
        return NoduleMark(name, (), outlines)
    ratings = tuple(_whole(characteristics, key, path) for key in RATINGS)
    if any(rating not in _SCALE for rating in ratings):
        raise RefusedFile(path, f"nodule {name!r} is rated {ratings}", _BROKEN)
    return NoduleMark(name, ratings, outlines)


def _non_nodule(node: Element, path: str | PathLike[str]) -> NoduleMark:
    return NoduleMark(_text(node, "nonNoduleID"), (), (_outline(node, node.findall("locus"), path),))


def _outline(node: Element, points: list[Element], path: str | PathLike[str]) -> Outline:
    if not points:
        raise RefusedFile(path, "an outline has no points", _BROKEN)
    # Non-nodules have no element `inclusion`: a point cannot be a hole.
    inclusion = _text(node, "inclusion").upper() or "TRUE"
    if inclusion not in ("TRUE", "FALSE"):
        raise RefusedFile(path, f"an outline's inclusion is {inclusion!r}", _BROKEN)
    try:
        z_mm = float(_text(node, "imageZposition"))
    except ValueError:
        z_mm = math.nan
    if not math.isfinite(z_mm):
        raise RefusedFile(path, "an outline has no slice position", _BROKEN)
    pixels = np.array([(_whole(point, "xCoord", path), _whole(point, "yCoord", path)) for point in points], np.int64)
    return Outline(z_mm, _text(node, "imageSOP_UID"), inclusion == "TRUE", pixels)


def _text(node: Element, name: str) -> str:
    return (node.findtext(name) or "").strip()


def _whole(node: Element, name: str, path: str | PathLike[str]) -> int:
    text = _text(node, name)
    # At most nine characters: a longer number overflows int64 later, and int() raises its own error for thousands of
    # digits, which would pass every refusal.
    if not text.lstrip("-").isdecimal() or len(text) > 9:
        raise RefusedFile(path, f"its {name} is {text[:20]!r} and not a whole number", _BROKEN)
    return int(text)
