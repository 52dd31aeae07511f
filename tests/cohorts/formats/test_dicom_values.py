"""DICOM attributes as checked values: what is missing, malformed or of a lost type is told apart."""

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from equipoise.cohorts.formats.dicom_values import items, meaning, number, numbers, text, uid, whole
from equipoise.cohorts.formats.refusal import RefusedFile


def raw(name: str, vr: str | None, value: bytes) -> Dataset:
    data = Dataset()
    tag = Tag(name)
    data._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, vr is None, True, True)
    return data


def test_absent_and_empty_attributes_are_none():
    data = Dataset()
    data.PatientID, data.ImagePositionPatient = "", None
    assert text(data, "PatientID") == ""
    assert text(data, "Modality") == ""
    assert number(data, "SliceThickness") is None
    assert numbers(data, "ImagePositionPatient", 3) is None
    assert items(data, "SegmentSequence") == []
    assert whole(data, "NumberOfFrames", 1) == 1


def test_values_are_converted():
    data = Dataset()
    data.ImagePositionPatient, data.Rows, data.PatientID = [1, 2.5, -3], 5, "P1 "
    data.SOPInstanceUID = "1.2.3"
    assert numbers(data, "ImagePositionPatient", 3) == [1.0, 2.5, -3.0]
    assert whole(data, "Rows") == 5
    assert text(data, "PatientID") == "P1"
    assert uid(data, "SOPInstanceUID") == "1.2.3"


@pytest.mark.parametrize(
    ("data", "read", "reason"),
    [
        (raw("SliceThickness", "DS", b"nan "), lambda d: number(d, "SliceThickness"), "finite numbers belong"),
        (raw("SliceThickness", "DS", b"1e999 "), lambda d: number(d, "SliceThickness"), "finite numbers belong"),
        (raw("PixelSpacing", "DS", b"1\\2\\3 "), lambda d: numbers(d, "PixelSpacing", 2), "where 2 finite"),
        (raw("PixelSpacing", "UN", b"1\\2 "), lambda d: numbers(d, "PixelSpacing", 2), "without a type"),
        (raw("SliceThickness", "DS", b"thin"), lambda d: number(d, "SliceThickness"), "not a number|cannot be read"),
        (raw("SOPInstanceUID", "UI", b"1.2.x"), lambda d: uid(d, "SOPInstanceUID"), "not a unique identifier"),
        (raw("SOPInstanceUID", "UI", b"1." * 33), lambda d: uid(d, "SOPInstanceUID"), "not a unique identifier"),
        (raw("Rows", "US", b"\x01"), lambda d: whole(d, "Rows"), "cannot be read"),
        (Dataset(), lambda d: whole(d, "Rows"), "Rows is missing"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_malformed_values_are_refused_by_name(data, read, reason):
    with pytest.raises(RefusedFile, match=reason):
        read(data)


def coded(scheme: str, value: str, words: str) -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning = scheme, value, words
    return item


@pytest.mark.parametrize("inside", [True, False])
def test_a_code_is_read_with_its_modifiers(inside: bool) -> None:
    names = ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence")
    data, kidney = Dataset(), coded("SCT", "64033007", "Kidney")
    setattr(kidney if inside else data, names[1], [coded("SCT", "7771000", "Left")])
    setattr(data, names[0], [kidney])
    assert meaning(data, *names) == {"code": "SCT 64033007 + SCT 7771000", "meaning": "Kidney, Left"}
    assert meaning(Dataset(), *names) == {"code": "", "meaning": ""}
