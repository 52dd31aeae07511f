"""Write lung-like phantoms as LIDC-IDRI is distributed: DICOM series and the readers' XML files, with known truth.

Nodules are balls that up to four readers outlined slightly differently. Malignant ones are larger and are rated 4 or 5,
benign ones 1 or 2. Every scan also has a mark below 3 mm and a non-nodule. Scanners alternate from scan to scan.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.formats.dicom import require_dicom
from equipoise.cohorts.lidc.annotations import CT_ROOT, NoduleMark, Outline, Session, read_lidc_xml
from equipoise.cohorts.lidc.database import RATINGS
from equipoise.errors import ProtocolError
from equipoise.testing.phantoms.ct_series import SCANNERS, WrittenSeries, uid_of, write_ct

READERS = 4
NAMESPACE = "http://www.nih.gov"
RADIUS_MM = ((2.5, 4.0), (5.0, 7.5))  # of benign and of malignant nodules
SPACE_MM = 34.0  # nodules' centres are this far apart, so that marks of two are never joined


@dataclass(frozen=True)
class TrueNodule:
    """A written nodule: the mean diameter and voxel volume over its readers' balls.

    malignancy: one rating per reader who marked it. label: 0 benign, 1 malignant.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    volume_mm3: float
    malignancy: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class WrittenScan:
    """A phantom patient's files and truth; small and others count the marks that are not nodules of 3 mm or more."""

    patient: str
    xml: Path
    series: WrittenSeries
    nodules: tuple[TrueNodule, ...]
    small: int
    others: int


def write_lidc(
    folder: Path,
    *,
    patients: int = 4,
    nodules: int = 2,
    pixel_mm: float = 0.75,
    slice_mm: float = 2.0,
    seed: int = 0,
    fault: str = "",
) -> tuple[WrittenScan, ...]:
    """Write `patients` scans with `nodules` (1–4) each, benign and malignant alternately, with their readings.

    fault: one of `ct_series.FAULTS`, for the first patient's series.
    """
    require_dicom()
    if not 1 <= nodules <= 4 or patients < 1:
        raise ProtocolError(f"the phantom was asked for {patients} patients with {nodules} nodules; give 1–4 nodules")
    written = []
    for index in range(patients):
        patient = f"PHANTOM-{index + 1:04d}"
        place = folder / patient / "series"
        place.mkdir(parents=True, exist_ok=True)
        grid = _Field(patient, pixel_mm, slice_mm, seed)
        truths, sessions, small = _invented(grid, nodules, index, np.random.default_rng([seed, index]))
        xml = place / f"{index + 1:03d}.xml"
        write_xml(xml, sessions, study_uid=grid.uid("study"), series_uid=grid.uid("series"))
        series = write_ct(
            place,
            read_lidc_xml(xml),
            patient=patient,
            pixel_mm=pixel_mm,
            slice_mm=slice_mm,
            matrix=grid.matrix,
            scanner=SCANNERS[index % len(SCANNERS)],
            fault=fault if index == 0 else "",
            seed=seed + index,
        )
        written.append(WrittenScan(patient, xml, series, truths, small, sum(len(s.non_nodules) for s in sessions)))
    return tuple(written)


@dataclass(frozen=True)
class _Field:
    """The grid of one patient's scan, with four positions for nodules in one plane."""

    patient: str
    pixel_mm: float
    slice_mm: float
    seed: int

    @property
    def matrix(self) -> int:
        """Pixels along a side of a slice."""
        return int(np.ceil(2.2 * SPACE_MM / self.pixel_mm))

    def uid(self, *what: object) -> str:
        """Unique identifier of one object of this patient."""
        return uid_of(self.patient, self.seed, *what)

    def slice_uid(self, z: int) -> str:
        """Unique identifier of one slice."""
        return self.uid("slice", z)


def _invented(
    field: _Field, count: int, patient: int, generator: np.random.Generator
) -> tuple[tuple[TrueNodule, ...], list[Session], int]:
    """Invent true nodules and each reader's marks; also return the number of marks below 3 mm."""
    corners = generator.permutation([(-1, -1), (-1, 1), (1, -1), (1, 1)])
    middle = field.matrix * field.pixel_mm / 2
    truths, by_reader = [], defaultdict(list)
    for number in range(count):
        x, y = middle + corners[number] * SPACE_MM / 2 + generator.uniform(-2, 2, 2)
        centre = (float(x), float(y), float(generator.uniform(-4, 4)))
        truth, marks = _nodule(field, f"Nodule {number + 1:03d}", centre, (patient + number) % 2, generator)
        truths.append(truth)
        for reader, mark in marks.items():
            by_reader[reader].append(mark)
    point = Outline(0.0, field.slice_uid(0), True, np.array([[field.matrix // 2, field.matrix // 2]]))
    small, other = NoduleMark("small", (), (point,)), NoduleMark("other", (), (point,))
    sessions = [Session(str(100 + reader), (*by_reader[reader], small), (other,)) for reader in range(READERS)]
    return tuple(truths), sessions, len(sessions)


def _nodule(
    field: _Field, name: str, centre_mm: tuple[float, float, float], label: int, generator: np.random.Generator
) -> tuple[TrueNodule, dict[int, NoduleMark]]:
    """Invent one nodule and the marks of the one to four readers who saw it."""
    seen = int(generator.choice([1, 2, 3, 4], p=[0.1, 0.2, 0.3, 0.4]))
    readers = generator.permutation(READERS)[:seen].tolist()
    spread = 1 + np.clip(0.05 * generator.standard_normal(seen), -0.1, 0.1)
    radii = generator.uniform(*RADIUS_MM[label]) * spread
    ratings = tuple((generator.integers(1, 3, seen) + 3 * label).tolist())
    marks, volumes = {}, []
    for reader, radius, rating in zip(readers, radii.tolist(), ratings, strict=True):
        marks[reader], voxels = _mark(name, field, centre_mm, radius, rating)
        volumes.append(voxels * field.pixel_mm**2 * field.slice_mm)
    return TrueNodule(centre_mm, 2 * float(radii.mean()), float(np.mean(volumes)), ratings, label), marks


def _mark(
    name: str, field: _Field, centre_mm: Sequence[float], radius_mm: float, malignancy: int
) -> tuple[NoduleMark, int]:
    """Outline one reader's ball slice by slice; also return the number of its voxels."""
    outlines, voxels = [], 0
    row, column = np.mgrid[: field.matrix, : field.matrix] * field.pixel_mm
    reach = int(np.ceil(radius_mm / field.slice_mm)) + 1
    nearest = round(centre_mm[2] / field.slice_mm)
    for z in range(nearest - reach, nearest + reach + 1):
        square = radius_mm**2 - (z * field.slice_mm - centre_mm[2]) ** 2
        inside = (column - centre_mm[0]) ** 2 + (row - centre_mm[1]) ** 2 <= square
        if inside.any():
            voxels += int(inside.sum())
            outlines.append(Outline(z * field.slice_mm, field.slice_uid(z), True, outline_of(inside)))
    others = {"calcification": 6, "internalStructure": 1, "malignancy": malignancy}
    return NoduleMark(name, tuple(others.get(key, 3) for key in RATINGS), tuple(outlines)), voxels


def outline_of(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first pixels outside a disc-like region, (points, 2) as (column, row), in order around it."""
    # Outside, because LIDC-IDRI's readers drew the first pixels that no longer belong to the nodule.
    grown = inside.copy()
    grown[1:] |= inside[:-1]
    grown[:-1] |= inside[1:]
    grown[:, 1:] |= inside[:, :-1]
    grown[:, :-1] |= inside[:, 1:]
    row, column = np.nonzero(grown & ~inside)
    middle = np.argwhere(inside).mean(axis=0)
    around = np.argsort(np.arctan2(row - middle[0], column - middle[1]), kind="stable")
    return np.stack([column, row], axis=1)[around].astype(np.int64)


def write_xml(path: Path, sessions: Sequence[Session], *, study_uid: str, series_uid: str) -> None:
    """Write readings in the schema of LIDC-IDRI's own files."""
    root = ElementTree.Element(CT_ROOT, {"uid": series_uid, "xmlns": NAMESPACE})
    header = ElementTree.SubElement(root, "ResponseHeader")
    for name, value in (("SeriesInstanceUid", series_uid), ("StudyInstanceUID", study_uid)):
        ElementTree.SubElement(header, name).text = value
    for session in sessions:
        root.append(_session_element(session))
    ElementTree.indent(root)
    path.write_bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _session_element(session: Session) -> ElementTree.Element:
    node = _element("readingSession", annotationVersion="3.12", servicingRadiologistID=session.reader)
    for mark in session.nodules:
        nodule = _element("unblindedReadNodule", noduleID=mark.id)
        if mark.is_large:
            named = {key: str(value) for key, value in zip(RATINGS, mark.ratings, strict=True)}
            nodule.append(_element("characteristics", **named))
        for outline in mark.outlines:
            roi = _element("roi", **_place(outline), inclusion=str(outline.inclusion).upper())
            roi.extend(_points("edgeMap", outline))
            nodule.append(roi)
        node.append(nodule)
    for mark in session.non_nodules:
        other = _element("nonNodule", nonNoduleID=mark.id, **_place(mark.outlines[0]))
        other.extend(_points("locus", mark.outlines[0]))
        node.append(other)
    return node


def _place(outline: Outline) -> dict[str, str]:
    return {"imageZposition": f"{outline.z_mm:.6f}", "imageSOP_UID": outline.sop_uid}


def _points(name: str, outline: Outline) -> Iterator[ElementTree.Element]:
    for x, y in outline.points.tolist():
        yield _element(name, xCoord=str(x), yCoord=str(y))


def _element(tag: str, **children: str) -> ElementTree.Element:
    node = ElementTree.Element(tag)
    for name, value in children.items():
        ElementTree.SubElement(node, name).text = value
    return node
