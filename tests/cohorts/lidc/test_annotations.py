"""LIDC-IDRI annotation files: all real ones parse, and agree with an independent tabulation of the same readings."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.lidc.annotations import read_lidc_xml
from equipoise.cohorts.lidc.database import find_database, read_database


@pytest.fixture(scope="module")
def readings(shared_data):
    files = sorted(shared_data.glob("lidc_xml/*.xml"))
    assert len(files) == 34
    return [read_lidc_xml(path) for path in files]


@pytest.mark.long
def test_all_files_parse_and_the_radiographs_are_named(readings):
    assert [reading.modality for reading in readings].count("CT") == 31
    for reading in readings:
        assert reading.series_uid.startswith("1.3.6.1.4.1.14519.5.2.1.6279.6001.")
        is_xray = Path(reading.file).name.startswith("CXR")
        assert is_xray == (reading.modality == "X-ray")
        assert is_xray == (reading.sessions == ())


def signature(rows):
    return sorted((tuple(map(int, ratings)), tuple(sorted(shapes))) for ratings, shapes in rows)


@pytest.mark.long
def test_large_nodules_agree_with_the_database_of_all_readings(readings):
    database = read_database(find_database())
    compared = 0
    for reading in readings:
        scan = np.flatnonzero(database.series == reading.series_uid)
        if reading.modality != "CT" or not len(scan):
            assert not reading.large_nodules()
            continue
        theirs = []
        for mark in np.flatnonzero(database.mark_scan == scan[0]):
            shapes = []
            for contour in np.flatnonzero(database.contour_mark == mark):
                points = database.points[database.point_start[contour] : database.point_start[contour + 1]]
                shapes.append(
                    (round(float(database.z_mm[contour]), 3), len(points), tuple(points.sum(axis=0).tolist()))
                )
            theirs.append((database.ratings[mark].tolist(), shapes))
        mine = [
            (
                mark.ratings,
                [
                    (round(outline.z_mm, 3), len(outline.points), tuple(outline.points.sum(axis=0).tolist()))
                    for outline in mark.outlines
                    if len(outline.points) > 1  # the tabulation leaves out slices touched in one pixel
                ],
            )
            for mark in reading.large_nodules()
        ]
        assert signature(mine) == signature(theirs), reading.file
        compared += len(mine)
    assert compared > 100


@pytest.mark.long
def test_small_nodules_and_other_marks_are_kept_apart(readings):
    small = [mark for reading in readings for mark in reading.small_nodules()]
    others = [mark for reading in readings for session in reading.sessions for mark in session.non_nodules]
    assert small
    assert others
    assert all(len(outline.points) == 1 for mark in (*small, *others) for outline in mark.outlines)
    assert not any(mark.is_large for mark in (*small, *others))


GOOD = """<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>1.2.3</SeriesInstanceUid>
<StudyInstanceUID>1.2</StudyInstanceUID></ResponseHeader><readingSession><servicingRadiologistID>7</servicingRadiologistID>
<unblindedReadNodule><noduleID>n</noduleID><characteristics><subtlety>3</subtlety><internalStructure>1</internalStructure>
<calcification>6</calcification><sphericity>3</sphericity><margin>3</margin><lobulation>1</lobulation>
<spiculation>1</spiculation><texture>5</texture><malignancy>4</malignancy></characteristics><roi>
<imageZposition> -1.5 </imageZposition><imageSOP_UID>1.2.3.4</imageSOP_UID><inclusion>FALSE</inclusion>
<edgeMap><xCoord>5</xCoord><yCoord>6</yCoord></edgeMap></roi></unblindedReadNodule></readingSession></LidcReadMessage>"""


def test_every_field_is_read(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(GOOD)
    reading = read_lidc_xml(path)
    (mark,) = reading.large_nodules()
    assert (reading.study_uid, reading.sessions[0].reader, mark.id) == ("1.2", "7", "n")
    assert mark.ratings == (3, 1, 6, 3, 3, 1, 1, 5, 4)
    (outline,) = mark.outlines
    assert (outline.z_mm, outline.sop_uid, outline.inclusion) == (-1.5, "1.2.3.4", False)
    assert outline.points.tolist() == [[5, 6]]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("LidcReadMessage", "Other", "root is <Other>"),
        ("ResponseHeader", "Header", "no response header"),
        ("SeriesInstanceUid", "Nothing", "names no series"),
        ("<malignancy>4", "<malignancy>9", "is rated"),
        ("<malignancy>4", "<malignancy>high", "malignancy is 'high'"),
        ("FALSE", "MAYBE", "inclusion is 'MAYBE'"),
        (" -1.5 ", "nan", "no slice position"),
        (" -1.5 ", "", "no slice position"),
        ("<xCoord>5", "<xCoord>5.5", "xCoord is '5.5'"),
        ("edgeMap", "edges", "has no points"),
        ("roi>", "region>", "has no outline"),
    ],
)
def test_broken_files_are_refused_with_the_reason(tmp_path, old, new, reason):
    path = tmp_path / "a.xml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RefusedFile, match=reason):
        read_lidc_xml(path)
