"""Names and codes of segments in a .seg.nrrd, and the masks that are read by them."""

import numpy as np
import pytest

from equipoise.cohorts.formats.nrrd import read_nrrd
from equipoise.cohorts.formats.nrrd_segments import segments_in
from equipoise.cohorts.formats.refusal import RefusedFile
from equipoise.cohorts.layouts.manifest import manifest
from equipoise.cohorts.layouts.masks import read_mask
from equipoise.cohorts.layouts.pairs import pairs
from equipoise.cohorts.layouts.structure_names import codes_of, numbers_of

CLASSES = ["background", "liver", "spleen"]
TAGS = "TerminologyEntry:Segmentation category~SCT^123037004^Anatomical Structure~SCT^{code}^{words}~^^~ctx~^^~^^|x:y"


def written(path, array, segments=()):
    """array: (z, y, x) of bytes; segments: (name, value, line of tags) of each."""
    lines = ["NRRD0005", "type: unsigned char", "dimension: 3", "space: left-posterior-superior"]
    lines += ["sizes: " + " ".join(map(str, array.shape[::-1])), "space directions: (1,0,0) (0,1,0) (0,0,3)"]
    lines += ["kinds: domain domain domain", "encoding: raw", "space origin: (0,0,0)"]
    for index, (name, value, tags) in enumerate(segments):
        lines += [f"Segment{index}_Name:={name}", f"Segment{index}_LabelValue:={value}", f"Segment{index}_Layer:=0"]
        lines += [f"Segment{index}_Tags:={tags}"] if tags else []
    path.write_bytes("\n".join([*lines, "", ""]).encode() + array.astype(np.uint8).tobytes())
    return path


def boxes(first, second):
    array = np.zeros((3, 6, 6), np.uint8)
    array[1, :2], array[1, 4:] = first, second
    return array


def test_names_and_codes_are_in_the_header(tmp_path):
    tags = TAGS.format(code="10200004", words="Liver")
    scan = read_nrrd(written(tmp_path / "m.seg.nrrd", boxes(1, 2), [("Leber", 1, tags), ("Milz", 2, "")]))
    assert scan.header["structures"] == {1: "Leber", 2: "Milz"}
    assert scan.header["meanings"] == {1: ("SCT 10200004", "Liver"), 2: ("", "")}
    assert "structures" not in read_nrrd(written(tmp_path / "m.nrrd", boxes(1, 2))).header


@pytest.mark.parametrize("value", ["0", "-1", "256", "1.5", "x"])
def test_a_value_that_no_voxel_can_hold_is_refused(tmp_path, value):
    with pytest.raises(RefusedFile, match="segment 'Liver' has the value"):
        read_nrrd(written(tmp_path / "m.seg.nrrd", boxes(1, 2), [("Liver", value, "")]))


def test_two_segments_of_one_value_are_refused_and_layers_are_left_to_the_channels():
    lines = b"Segment0_Name:=a\nSegment0_LabelValue:=1\nSegment1_Name:=b\nSegment1_LabelValue:=1\n"
    with pytest.raises(RefusedFile, match="'a' and 'b' both have the value 1"):
        segments_in(lines, "m.seg.nrrd", np.dtype("u1"))
    assert segments_in(lines + b"Segment1_Layer:=1\n", "m.seg.nrrd", np.dtype("u1")) == {}
    assert segments_in(b"Segment0_Name:=a\n", "m.seg.nrrd", np.dtype("u1")) == {}


def test_names_find_their_values_and_the_others_are_left_out(tmp_path):
    path = written(tmp_path / "m.seg.nrrd", boxes(1, 2), [("Body", 1, ""), ("LIVER", 2, "")])
    codes = codes_of(["background", "Liver"], ["background", "liver"])
    scan = read_mask(path, None, codes=codes)
    assert np.unique(scan.array).tolist() == [0, 2]
    assert numbers_of(path, scan.header, codes) == {0: 0, 2: 1}
    assert scan.remarks[-1] == "segments left out: 'Body'"


def test_values_that_are_exchanged_in_one_patient_are_asked_and_names_read_them(tmp_path):
    rows = ["case,patient,image,mask"]
    for case, (first, second) in enumerate([(1, 2), (1, 2), (2, 1)]):
        written(tmp_path / f"i{case}.nrrd", np.random.default_rng(case).integers(0, 99, (3, 6, 6)))
        segments = [("Liver", first, ""), ("Spleen", second, "")]
        written(tmp_path / f"m{case}.seg.nrrd", boxes(first, second), segments)
        rows.append(f"c{case},p{case},i{case}.nrrd,m{case}.seg.nrrd")
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    asked = manifest(tmp_path / "cases.csv", task="segmentation", classes=CLASSES)
    assert [problem.case for problem in asked.problems] == ["c2"]
    read = manifest(tmp_path / "cases.csv", task="segmentation", classes=CLASSES, values=CLASSES)
    assert read.problems == ()
    masks = [case.read().mask for case in read.cases]
    assert all(np.array_equal(masks[0], mask) for mask in masks)


def test_a_file_of_one_structure_that_holds_another_class_is_refused(tmp_path):
    for case in ("a", "b"):
        (tmp_path / case).mkdir()
        written(tmp_path / case / "ct.nrrd", np.random.default_rng(ord(case)).integers(0, 99, (3, 6, 6)))
        for name, box in (("liver", boxes(1, 0)), ("spleen", boxes(0, 1))):
            held = "Spleen" if case == "b" else name
            written(tmp_path / case / f"{name}.seg.nrrd", box, [(held, 1, "")])
    made = pairs(tmp_path, images="{case}/ct.nrrd", mask="{case}/{structure}.seg.nrrd", classes=CLASSES)
    (problem,) = made.problems
    assert problem.problem == "its structure is called 'Spleen' and would be the class 'liver'"
